"""Celery with the promises that Kolga gives, as far as it has them: what is published is confirmed and
persistent, in a quorum queue; a task is acked after it ran, and comes again when its process dies; its
result is committed to PostgreSQL.
"""

from celery import Celery

from measure import AMQP, POSTGRES, now

app = Celery("celery_app", broker=AMQP)
app.conf.update(
    result_backend="db+" + POSTGRES.replace("postgresql://", "postgresql+psycopg://"),
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue="peers.celery",
    task_default_queue_type="quorum",
    # Two processes: 200 messages in advance, as everybody here has.
    worker_prefetch_multiplier=100,
)


@app.task
def ping():
    """Does nothing; tells when it began."""
    return now()
