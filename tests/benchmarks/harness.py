"""Times that can be compared on a busy machine, as ratios of cases that ran within the same fraction of a second.

1. Every round runs all cases, one after another, and another of them begins; a ratio is made within a round, and the
   median of the rounds is what counts. Its quartiles tell how much it is worth: wider than 5 % either way, run again.
2. The clock is the processor time of the process. What runs in memory on one thread never sleeps, so that is what it
   costs, and a busy neighbour hardly shows in it.
3. A case has enough to do that caches are warm and that the clock's own grain does not show.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import attrs
import trio

Case: TypeAlias = Callable[[int], float]
"""Does so many operations, and returns the seconds of processor time that they took."""

clock = time.process_time

_GROWTH = 4  # by which a trial run is made longer until it is long enough to be measured
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@attrs.frozen
class Cost:
    """What one operation of a case costs."""

    seconds: float
    """The median of all rounds."""
    ratio: float
    """To the first case: the median of what it was in each round."""
    low: float
    """The lower quartile of these ratios."""
    high: float
    """The upper one."""


@attrs.frozen
class Goal:
    """A number that was aimed at, and the one that was reached."""

    topic: str
    """The file it is measured in."""
    what: str
    """What is measured."""
    at_most: float
    """What it may be."""
    measured: float
    """What it is."""
    unit: str
    """What both are counted in; ``x`` for a ratio."""
    base: str
    """What it is a ratio to, or how it was counted."""

    @property
    def is_met(self) -> bool:
        """Whether it is no more than it may be."""
        return self.measured <= self.at_most

    def row(self) -> tuple[str, ...]:
        """As a line of the table of goals."""
        return (
            self.what,
            _amount(self.at_most, self.unit),
            _amount(self.measured, self.unit),
            self.base,
            "ok" if self.is_met else "missed",
        )


def _amount(value: float, unit: str) -> str:
    if unit == "x":
        return f"{value:.2f}x"
    return f"{value:,.2f} {unit}".replace(".00 ", " ").strip()


@attrs.define
class Bench:
    """Runs cases, prints what they cost, and keeps what is to be said at the end."""

    rounds: int
    """How often each case is measured."""
    seconds: float
    """How long a case runs each time, about."""
    quick: bool = False
    """Whether numbers are only wanted to see that all of it runs: large cases are made small."""
    topic: str = ""
    goals: list[Goal] = attrs.field(factory=list[Goal])
    tables: dict[str, dict[str, Cost]] = attrs.field(factory=dict[str, dict[str, Cost]])
    """Everything that was measured, for ``--json``."""

    def compare(
        self,
        title: str,
        cases: Mapping[str, Case],
        *,
        per: float = 1,
        unit: str = "us",
        least: int = 1,
        operations: int | None = None,
        rounds: int | None = None,
    ) -> dict[str, Cost]:
        """Measure ``cases`` against the first of them, and print the table.

        Args:
            title: What one operation is.
            cases: By their names.
            per: An operation of a case does so many of what is to be counted.
            unit: For printing.
            least: How many operations there have to be in a round.
            operations: How many there are exactly; by default as many as take ``seconds``.
            rounds: How often each is measured, where that takes long.
        """
        names = list(cases)
        counts = {name: operations or self._count(f"{title}: {name}", cases[name], least) for name in names}
        costs: dict[str, list[float]] = {name: [] for name in names}
        rounds = rounds or self.rounds
        for round_ in range(rounds):
            first = round_ % len(names)
            for name in names[first:] + names[:first]:
                self._show(f"{title}: {name} {round_ + 1}/{rounds}")
                gc.collect()
                costs[name].append(cases[name](counts[name]) / counts[name] / per)
        self._show("")
        table = {name: _cost(costs[name], costs[names[0]]) for name in names}
        self.tables[f"{self.topic}: {title}"] = table
        scale = _UNITS[unit]
        self.table(
            f"{title}, {unit}",
            ("", unit, "ratio", "quartiles"),
            [
                (name, f"{cost.seconds * scale:.3g}", f"{cost.ratio:.2f}", f"{cost.low:.2f}-{cost.high:.2f}")
                for name, cost in table.items()
            ],
        )
        return table

    def goal(self, what: str, at_most: float, measured: float, base: str, *, unit: str = "x") -> None:
        """Note what was reached."""
        self.goals.append(Goal(self.topic, what, at_most, measured, unit, base))

    def table(self, title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
        """Print a table."""
        print(f"\n### {title}\n", flush=True)
        print_table(head, rows)

    def note(self, text: str) -> None:
        """Print a line."""
        print(f"\n{text}", flush=True)

    def progress(self, text: str) -> None:
        """Say what is being done, where somebody watches."""
        self._show(text)

    def _count(self, what: str, case: Case, least: int) -> int:
        """How many operations take as long as wanted."""
        self._show(f"{what}, how many take {self.seconds:g} s?")
        count = least
        while True:
            seconds = case(count)
            if seconds >= self.seconds / _GROWTH:
                return max(least, int(count * self.seconds / seconds))
            count *= _GROWTH

    def _show(self, text: str) -> None:
        """Where somebody watches, say what is being done."""
        if sys.stderr.isatty():
            line = f"[{self.topic}] {text}"[: os.get_terminal_size(sys.stderr.fileno()).columns - 1] if text else ""
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def _cost(costs: list[float], base: list[float]) -> Cost:
    ratios = [cost / of_base for cost, of_base in zip(costs, base, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Cost(statistics.median(costs), middle, low, high)


def print_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """As Markdown that can also be read as it is; columns of numbers to the right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    numbers = [all(line[column][:1].isdigit() for line in lines[1:]) for column in range(len(head))]
    columns = list(zip(widths, numbers, strict=True))
    rule = "|".join("-" * (width + 1) + (":" if right else "-") for width, right in columns)
    for number, line in enumerate(lines):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, (width, right) in zip(line, columns, strict=True)
        ]
        print(f"| {' | '.join(cells)} |")
        if not number:
            print(f"|{rule}|")
    sys.stdout.flush()


def machine() -> str:
    """What it all was measured on."""
    return (
        f"{_processor_name()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}; "
        f"{platform.python_implementation()} {platform.python_version()}, trio {trio.__version__}"
    )


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
