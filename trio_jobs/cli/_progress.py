"""How far a run is: counted always, shown live on a terminal, said now and then in a log."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf

import attrs
import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ._screen import say

_SECONDS_BETWEEN_FRAMES = 0.1
_SECONDS_BETWEEN_LINES = 30
_WIDEST_BAR, _SHORTEST_BAR = 40, 10  # columns
_BESIDE_THE_BAR = 46  # columns

SHOW_CURSOR = b"\x1b[?25h"


@attrs.define
class Tally:
    """What became of the inputs so far."""

    started: float
    """When it began, on Trio's clock."""
    succeeded: int = 0
    failed: int = 0
    aborted: int = 0
    interrupted: int = 0
    weight: int = 0
    """How much is done, in whatever the inputs are weighed in."""
    total: int | None = None
    """How much there is, once that is known."""

    @property
    def done(self) -> int:
        """How many inputs have come to an end."""
        return self.succeeded + self.failed + self.aborted + self.interrupted

    @property
    def fraction(self) -> float | None:
        """How much of all is done, at most 1; None while that is not known."""
        return min(1.0, self.weight / self.total) if self.total else None

    def rate(self, now: float) -> float:
        """Inputs a second, from the start until now."""
        return self.done / (now - self.started) if now > self.started else 0.0

    def seconds_left(self, now: float) -> float:
        """How long the rest takes if it goes on like this; infinity if there is no telling."""
        fraction = self.fraction
        return (now - self.started) * (1 - fraction) / fraction if fraction else inf


class Progress:
    """Shows a tally on a console while a block runs.

    Args:
        running: How many jobs run at the moment.
        live: Whether what is shown can be replaced; if not, a line is printed now and then.
    """

    def __init__(self, console: Console, tally: Tally, running: Callable[[], int], *, live: bool) -> None:
        self._is_live = live
        self._console = console
        self._tally = tally
        self._running = running
        self._live = self._new_live()

    async def run(self) -> None:
        """Keep what is shown up to date until cancelled."""
        if not self._is_live:
            while True:
                await trio.sleep(_SECONDS_BETWEEN_LINES)
                say(self._console, f"trio-jobs: {self._line(trio.current_time())}")
        try:
            self._live.start()
            while True:
                self._live.refresh()
                await trio.sleep(_SECONDS_BETWEEN_FRAMES)
        finally:
            self._live.stop()

    @contextmanager
    def hidden(self) -> Generator[None]:
        """Take it from the screen while something else is written there."""
        if not self._live.is_started:
            yield
            return
        self._live.stop()
        yield
        # A new one: the old would take the lines that have been written since for its own.
        self._live = self._new_live()
        self._live.start(refresh=True)

    def _new_live(self) -> Live:
        return Live(console=self._console, get_renderable=self._frame, auto_refresh=False, transient=True)

    def _line(self, now: float) -> str:
        tally, left = self._tally, self._tally.seconds_left(now)
        parts = [f"{tally.done:,} done", f"{tally.failed:,} failed" if tally.failed else ""]
        parts += [f"{tally.aborted:,} aborted" if tally.aborted else "", per_second(tally.rate(now))]
        parts += [f"{duration(left)} left" if left < inf else ""]
        return ", ".join(filter(None, parts))

    def _frame(self) -> RenderableType:
        now = trio.current_time()
        return Group(self._how_far(now), self._what())

    def _how_far(self, now: float) -> RenderableType:
        tally, fraction, left = self._tally, self._tally.fraction, self._tally.seconds_left(now)
        row: list[RenderableType] = [Text(f"{tally.done:,} done")]
        if fraction is not None:
            width = min(_WIDEST_BAR, self._console.width - _BESIDE_THE_BAR)
            if width >= _SHORTEST_BAR:
                row.append(ProgressBar(1.0, fraction, width=width))
            row.append(Text(f"{fraction:4.0%}"))
        row.append(Text(per_second(tally.rate(now))))
        row.append(Text(f"{duration(left)} left" if left < inf else duration(now - tally.started)))
        line = Table.grid(padding=(0, 2))
        for _ in row:
            line.add_column(no_wrap=True)
        line.add_row(*row)
        return line

    def _what(self) -> Text:
        tally = self._tally
        line = Text.assemble((f"{tally.succeeded:,} succeeded", "green"), f"  {self._running():,} running")
        if tally.failed:
            line.append(f"  {tally.failed:,} failed", "red")
        if tally.aborted:
            line.append(f"  {tally.aborted:,} aborted", "yellow")
        return line


def per_second(rate: float) -> str:
    """Inputs a second, with one digit after the point below ten."""
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def duration(seconds: float) -> str:
    """Minutes and seconds, and hours where there are some; tenths of seconds below ten."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
