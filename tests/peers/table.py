"""Makes one result of the rounds that deploy/bench measured, and shows it.

    table.py summary ABOUT.json < ROUNDS.jsonl     the result, as JSON
    table.py text|markdown < RESULT.json           for a terminal, for docs/BENCHMARKS.md
"""

import json
import statistics
import sys

NAMES = {
    "bare": "bare broker loop",
    "kolga-sqlite": "Kolga, hub on SQLite",
    "kolga-postgres": "Kolga, hub on PostgreSQL",
    "celery": "Celery",
    "dramatiq": "Dramatiq",
}
PROCESSES = ("hub", "worker", "broker", "database", "client")


def dig(figures, path):
    """The number at `a.b.c`, or None where this system does not have it."""
    for name in path.split("."):
        figures = figures.get(name) if isinstance(figures, dict) else None
    return figures


def middle(rounds, path):
    """Median, least and greatest over the rounds."""
    values = [value for value in (dig(figures, path) for figures in rounds) if value is not None]
    if not values:
        return None
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def summary(about):
    """All rounds as one result."""
    by_system = {}
    for line in sys.stdin:
        figures = json.loads(line)
        by_system.setdefault(figures["system"], []).append(figures)
    systems = {}
    for system, rounds in by_system.items():
        result = {"rounds": len(rounds), "tasks": rounds[0]["tasks"]}
        result["tasks_per_second"] = middle(rounds, "tasks_per_second")
        for moment in ("started_ms", "finished_ms"):
            for rank in ("p50", "p99", "p999"):
                result[f"{moment}.{rank}"] = middle(rounds, f"latency.{moment}.{rank}")
        result["cpu_ms_per_task"] = {name: middle(rounds, f"cpu.{name}") for name in PROCESSES}
        systems[system] = result
    return {"about": about, "systems": systems}


def median(result, system, path):
    """One figure of the result, or None."""
    figures = result["systems"].get(system, {}).get(path)
    return figures and figures["median"]


def number(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def ratio(result, system, other, digits):
    mine = median(result, system, "tasks_per_second")
    theirs = median(result, other, "tasks_per_second")
    return mine and theirs and round(mine / theirs, digits)


def rates(result):
    """The table of systems."""
    rows = [("system", "tasks/s", "least – greatest", "of the bare loop", "× Celery",
             "started p50 / p99 / p99.9 ms", "finished p50 / p99 / p99.9 ms")]
    for system, name in NAMES.items():
        if system not in result["systems"]:
            continue
        rate = result["systems"][system]["tasks_per_second"]
        share = ratio(result, system, "bare", 3)
        times = [
            " / ".join(number(median(result, system, f"{moment}.{rank}")) for rank in ("p50", "p99", "p999"))
            for moment in ("started_ms", "finished_ms")
        ]
        rows.append((
            name, number(rate["median"], 0), f"{number(rate['least'], 0)} – {number(rate['greatest'], 0)}",
            "–" if share is None else f"{share:.0%}", number(ratio(result, system, "celery", 1)), *times,
        ))
    return rows


def costs(result):
    """The table of CPU time."""
    rows = [("CPU ms a task", *PROCESSES, "together")]
    for system, name in NAMES.items():
        if system not in result["systems"]:
            continue
        spent = result["systems"][system]["cpu_ms_per_task"]
        each = [spent[process] and spent[process]["median"] for process in PROCESSES]
        rows.append((name, *(number(value, 2) for value in each), number(sum(filter(None, each)), 2)))
    return rows


def goals(result):
    """What was wanted, and what came of it."""
    rows = [("goal", "SQLite", "PostgreSQL")]

    def add(goal, wanted, measured, shown):
        cells = []
        for system in ("kolga-sqlite", "kolga-postgres"):
            value = measured(system)
            met = value is not None and wanted(value)
            cells.append("–" if value is None else f"{shown(value)}: {'reached' if met else 'not reached'}")
        rows.append((goal, *cells))

    add("at least 60 % of the bare loop", lambda v: v >= 0.6,
        lambda s: ratio(result, s, "bare", 3), lambda v: f"{v:.0%}")
    add("at least 8 × Celery", lambda v: v >= 8, lambda s: ratio(result, s, "celery", 2), lambda v: f"{v:.1f} ×")
    for moment, rank, limit in (("started", "p50", 3), ("started", "p99", 10), ("finished", "p50", 6)):
        add(f"idle, {moment} {rank} under {limit} ms", lambda v, limit=limit: v < limit,
            lambda s, path=f"{moment}_ms.{rank}": median(result, s, path), lambda v: f"{v:.1f} ms")
    return rows


def about(result):
    """Where and how, in lines."""
    facts = result["about"]
    counts = ", ".join(
        f"{NAMES[system]} {figures['tasks']:,}" for system, figures in result["systems"].items()
    )
    return [
        f"{facts['taken_at']}, `{facts['command']}`: {facts['rounds']} round(s), the systems in turn, medians; tasks a round: {counts}.",
        f"{facts['machine']}; load {facts['load']} before the first round.",
        f"{facts['versions']}.",
    ]


def markdown(result):
    def table(rows):
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|---|" + "---:|" * (len(rows[0]) - 1))
        return "\n".join(lines)

    parts = [*about(result), *(table(rows) for rows in (rates(result), costs(result), goals(result)))]
    return "\n\n".join(parts)


def text(result):
    def table(rows):
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        lines = []
        for row in rows:
            first, *others = (cell.ljust(w) if at == 0 else cell.rjust(w) for at, (cell, w) in enumerate(zip(row, widths)))
            lines.append("  ".join((first, *others)).rstrip())
        return "\n".join(lines)

    parts = ["\n".join(about(result)), *(table(rows) for rows in (rates(result), costs(result), goals(result)))]
    return "\n\n".join(parts)


def main():
    what = sys.argv[1]
    if what == "summary":
        with open(sys.argv[2], encoding="utf-8") as file:
            print(json.dumps(summary(json.load(file)), indent=1))
    else:
        print({"text": text, "markdown": markdown}[what](json.load(sys.stdin)))


main()
