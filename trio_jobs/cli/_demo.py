"""``trio-jobs demo``: the main job on real files, and what two listeners make of the same answers."""

from __future__ import annotations

import sys
from collections import Counter
from heapq import nlargest
from pathlib import Path
from shlex import quote
from typing import assert_never

import trio
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from .._broadcast import BroadcastReceiver
from .._message import Aborted, Failed, Response, Succeeded
from .._processor import open_processor
from ._exit_code import ExitCode, WrongUse, code_of_signal
from ._inputs import BadInput, Input, Inputs, Item, open_inputs
from ._interrupts import Interrupts, open_interrupts
from ._progress import Progress, Tally, duration
from ._screen import is_live, open_screen, printable, say
from .example import FileFacts, file_facts

_ROWS = 8

USAGE = "Usage: trio-jobs demo [FOLDER]"

EXAMPLES = """\
Examples:
    trio-jobs demo
    trio-jobs demo ~/Documents"""


def demo(folder: Path | None = None, /) -> int:
    """Run a job that comes with trio-jobs on the files of a folder: the digest, lines and words of each.

    Two subscribers to the same answers print a table each.

    Args:
        folder: The folder; by default the one that trio-jobs itself is installed in.
    """
    if folder is not None and not folder.is_dir():
        raise WrongUse(f'"{folder}" is no folder: name one, such as `.`')
    found = folder or Path(__file__).parents[1]
    inputs = open_inputs([str(found)], "files", stdin=None, output=None)

    async def run() -> int:
        return await Demo(found, open_screen(sys.stdout), open_screen(sys.stderr)).run(inputs)

    return trio.run(run)


class Largest:
    """The largest files, and how many there were in all; made from answers that a mapping gives out."""

    def __init__(self) -> None:
        self.facts: list[FileFacts] = []
        self.files = self.bytes = self.lines = self.words = 0
        self.failures: list[str] = []

    def add(self, response: Response[FileFacts]) -> None:
        """One more answer."""
        match response:
            case Succeeded(facts):
                self.files += 1
                self.bytes += facts.size
                self.lines += facts.lines
                self.words += facts.words
                self.facts = nlargest(_ROWS, [*self.facts, facts], key=lambda one: one.size)
            case Failed(error):
                self.failures.append(str(error))
            case Aborted(reason):
                self.failures.append(f"aborted ({reason.value})")
            case _:
                assert_never(response)

    def table(self, folder: Path) -> Table:
        """The files as rows, the sums as the last one."""
        table = Table(box=SIMPLE_HEAD, title=f"largest files in {printable(str(folder))}", title_justify="left")
        table.add_column("file", overflow="fold")
        for name in ("size", "lines", "words"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("sha256", no_wrap=True)
        for one in self.facts:
            name = printable(str(one.path.relative_to(folder)))
            table.add_row(name, decimal(one.size), f"{one.lines:,}", f"{one.words:,}", one.sha256[:12])
        table.add_section()
        files = "1 file" if self.files == 1 else f"all {self.files:,} files"
        table.add_row(files, decimal(self.bytes), f"{self.lines:,}", f"{self.words:,}", "", style="bold")
        return table


class Kinds:
    """How many files and bytes there are of each kind; made by a subscriber of its own, from the same answers."""

    def __init__(self, answers: BroadcastReceiver[Response[FileFacts]]) -> None:
        self._answers = answers
        self.files: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    async def listen(self) -> None:
        """Count until the processor ends."""
        async with self._answers:
            async for response in self._answers:
                if isinstance(response, Succeeded):
                    self.files[response.value.kind] += 1
                    self.bytes[response.value.kind] += response.value.size

    def table(self) -> Table:
        """The kinds as rows, by their bytes."""
        table = Table(box=SIMPLE_HEAD, title="by kind, counted by a second subscriber", title_justify="left")
        table.add_column("kind", overflow="fold")
        for name in ("files", "bytes", "share"):
            table.add_column(name, justify="right", no_wrap=True)
        everything = max(1, self.bytes.total())
        for kind, size in self.bytes.most_common(_ROWS):
            table.add_row(kind, f"{self.files[kind]:,}", decimal(size), f"{size / everything:.0%}")
        return table


class Demo:
    """One run of the demonstration.

    Args:
        out: Where the result goes.
        screen: Where it is shown how far it is, if that can be shown.
    """

    def __init__(self, folder: Path, out: Console, screen: Console) -> None:
        self._folder = folder
        self._out = out
        self._tally = Tally(trio.current_time())
        self._progress = Progress(screen, self._tally, lambda: 0, live=is_live(screen))
        self._largest = Largest()

    async def run(self, inputs: Inputs) -> int:
        """Run it, and return the exit code."""
        with open_interrupts(lambda: None) as interrupts:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_at_interrupt, interrupts, nursery.cancel_scope)
                nursery.start_soon(self._progress.run)
                kinds = await self._map([item async for item in inputs])
                nursery.cancel_scope.cancel()
        if interrupts.first is not None:
            return code_of_signal(interrupts.first)
        self._show(kinds)
        return ExitCode.FAILED if self._largest.failures else ExitCode.DONE

    async def _map(self, items: list[Item]) -> Kinds:
        """The demonstration itself: one job, one stream of answers, two who make something of it."""
        paths = [item.body for item in items if isinstance(item, Input)]
        self._largest.failures += [str(item.error) for item in items if isinstance(item, BadInput)]
        self._tally.total = len(paths)
        async with trio.open_nursery() as nursery:
            async with open_processor(file_facts) as processor:
                kinds = Kinds(processor.subscribe())
                nursery.start_soon(kinds.listen)
                async with processor.map(paths) as responses:
                    async for response in responses:
                        self._largest.add(response)
                        self._tally.succeeded += 1
                        self._tally.weight += 1
        return kinds

    def _show(self, kinds: Kinds) -> None:
        self._out.print(self._largest.table(self._folder))
        self._out.print(kinds.table())
        for failure in self._largest.failures:
            say(self._out, f"failed: {failure}", "red")
        took = duration(trio.current_time() - self._tally.started)
        say(self._out, _CLOSING.format(count=self._largest.files, took=took, folder=quote(str(self._folder))))


_CLOSING = """\
{count:,} files in {took}. Each was a request to one job, which read it in a worker
thread. Both tables are made of the same answers, the second by a subscriber.

The same job on input of yours, an answer a line, or a job of yours:

    trio-jobs map trio_jobs.cli.example:file_facts {folder}
    trio-jobs map --help"""


async def _cancel_at_interrupt(interrupts: Interrupts, scope: trio.CancelScope) -> None:
    await interrupts.wait(1)
    scope.cancel(reason="a signal")
