"""Benchmarks: every figure that the documentation states, measured again.

Most are ratios to Trio written by hand in the same run, for those are worth something on another machine as well. Run
them with ``nox -s bench``, or as ``python -m tests.benchmarks``. A table of goals closes the run.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import attrs

from .harness import Bench, machine, print_table

TOPICS = ("counts", "calls", "queue", "broadcast", "memory", "fairness", "imports", "scale", "peers")
LEAST_ROUNDS = 7


def main() -> None:
    """Measure what was asked for."""
    options = parser().parse_args()
    rounds = 3 if options.quick else max(LEAST_ROUNDS, options.rounds)
    bench = Bench(rounds, 0.005 if options.quick else options.seconds, quick=options.quick)
    print(f"{machine()}; {rounds} rounds of {bench.seconds:g} s each", flush=True)
    for topic in options.only or TOPICS:
        bench.topic = topic
        print(f"\n## {topic}", flush=True)
        importlib.import_module(f".{topic}", __package__).measure(bench)
    print("\n## Goals\n")
    print_table(("goal", "at most", "measured", "base", ""), [goal.row() for goal in bench.goals])
    missed = sum(not goal.is_met for goal in bench.goals)
    print(f"\n{len(bench.goals) - missed} of {len(bench.goals)} goals are met")
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(bench), indent=1))


def parser() -> argparse.ArgumentParser:
    """What can be chosen."""
    made = argparse.ArgumentParser("python -m tests.benchmarks", description=(__doc__ or "").partition("\n")[0])
    made.add_argument("--only", nargs="+", choices=TOPICS, metavar="TOPIC", help=f"any of {', '.join(TOPICS)}")
    made.add_argument("--rounds", type=int, default=9, help=f"how often each case is measured, at least {LEAST_ROUNDS}")
    made.add_argument("--seconds", type=float, default=0.04, help="how long a case runs each time")
    made.add_argument("--quick", action="store_true", help="only to see that all of it runs: the numbers mean little")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    return made


def as_json(bench: Bench) -> dict[str, object]:
    """All numbers there are."""
    return {
        "machine": machine(),
        "rounds": bench.rounds,
        "seconds": bench.seconds,
        "goals": [attrs.asdict(goal) | {"met": goal.is_met} for goal in bench.goals],
        "tables": {
            title: {name: attrs.asdict(cost) for name, cost in table.items()} for title, table in bench.tables.items()
        },
    }


if __name__ == "__main__":
    main()
