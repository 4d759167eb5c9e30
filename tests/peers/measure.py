"""What the drivers of the peers have in common: the places that deploy/bench names, the clock, the figures.

Each driver hands over `ask` (publish one task, return its handle), `hear` (wait for that handle's result,
return when the task began) and how to count and forget stored results.
"""

import json
import os
import sys
import time

import psycopg

AMQP = os.environ["PEERS_AMQP"]
POSTGRES = os.environ["PEERS_POSTGRES"]
WARM_UP = 50
# Seconds that one task may take before the run counts as failed.
PATIENCE = 120


def now():
    """The machine's monotonic clock, the same in every process."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def spread(seconds):
    """By nearest rank, in milliseconds, as `kolga bench` tells it."""
    ordered = sorted(seconds)

    def rank(per_mille):
        at = max(-(-len(ordered) * per_mille // 1000) - 1, 0)
        return round(ordered[at] * 1e3, 3)

    return {"p50": rank(500), "p99": rank(990), "p999": rank(999), "max": rank(1000)}


def throughput(count, ask, table):
    """All at once; over when the last result is in the database."""
    with psycopg.connect(POSTGRES, autocommit=True) as database:
        database.execute(f"TRUNCATE {table}")
        spent, began = time.process_time(), now()
        for _ in range(count):
            ask()
        asked = now()
        while database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] < count:
            if now() - asked > PATIENCE:
                sys.exit(f"not all of {count} results are there after {PATIENCE} s")
            time.sleep(0.02)
        seconds = now() - began
    return {
        "tasks": count,
        "seconds": seconds,
        "tasks_per_second": count / seconds,
        "client_cpu_ms": (time.process_time() - spent) * 1e3,
    }


def latency(count, ask, hear):
    """One after the other."""
    started, finished = [], []
    for _ in range(count):
        began = now()
        at = hear(ask())
        finished.append(now() - began)
        started.append(at - began)
    return {
        "latency": {
            "samples": count,
            "started_ms": spread(started),
            "finished_ms": spread(finished),
        }
    }


def main(ask, hear, table):
    """`throughput COUNT` or `latency COUNT`; the figures go to standard output as JSON."""
    what, count = sys.argv[1], int(sys.argv[2])
    for _ in range(WARM_UP):
        hear(ask())
    if what == "throughput":
        figures = throughput(count, ask, table)
    else:
        figures = latency(count, ask, hear)
    print(json.dumps(figures))
