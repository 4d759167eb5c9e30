"""Dramatiq with the promises that Kolga gives, as far as it has them: what is published is confirmed and
persistent; a task is acked after it ran and its result is committed to PostgreSQL. Its queues are what it
declares by itself: classic and durable. It brings no store for results in PostgreSQL; the one here is as
short as can be, one connection a thread, one commit a result.
"""

import threading
import time

import dramatiq
import psycopg
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.results import ResultBackend, Results, ResultTimeout
from dramatiq.results.backend import Missing

from measure import AMQP, POSTGRES, now


class Postgres(ResultBackend):
    """Results in the table `dramatiq_results`, which deploy/bench makes."""

    local = threading.local()

    def database(self):
        if not hasattr(self.local, "connection"):
            self.local.connection = psycopg.connect(POSTGRES, autocommit=True)
        return self.local.connection

    def _get(self, message_key):
        row = (
            self.database()
            .execute("SELECT result FROM dramatiq_results WHERE key = %s", (message_key,))
            .fetchone()
        )
        return self.encoder.decode(bytes(row[0])) if row else Missing

    def _store(self, message_key, result, ttl):
        self.database().execute(
            "INSERT INTO dramatiq_results (key, result) VALUES (%s, %s)"
            " ON CONFLICT (key) DO UPDATE SET result = excluded.result",
            (message_key, self.encoder.encode(result)),
        )

    def get_result(self, message, *, block=False, timeout=None):
        """Asks every millisecond; the base class would wait for 100 ms and more."""
        if not block:
            return super().get_result(message)
        key, end = self.build_message_key(message), time.monotonic() + timeout / 1e3
        while (result := self._get(key)) is Missing:
            if time.monotonic() > end:
                raise ResultTimeout(message)
            time.sleep(0.001)
        return self.unwrap_result(result)


results = Postgres()
broker = RabbitmqBroker(url=AMQP, confirm_delivery=True)
broker.add_middleware(Results(backend=results))
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="peers.dramatiq", store_results=True)
def ping():
    """Does nothing; tells when it began."""
    return now()
