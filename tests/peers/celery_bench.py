"""Drives celery_app.py: see measure.py."""

from celery_app import ping
from measure import PATIENCE, main


def hear(result):
    """Asks every millisecond; by default Celery would ask twice a second."""
    return result.get(timeout=PATIENCE, interval=0.001)


main(ping.delay, hear, "celery_taskmeta")
