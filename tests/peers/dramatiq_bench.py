"""Drives dramatiq_app.py: see measure.py."""

from dramatiq_app import ping
from measure import PATIENCE, main


def hear(message):
    return message.get_result(block=True, timeout=PATIENCE * 1000)


main(ping.send, hear, "dramatiq_results")
