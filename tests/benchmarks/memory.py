"""Bytes: of a processor, a subscriber, an item, a million requests."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import TypeAlias

import trio
import trio.testing

import trio_jobs

from .harness import Bench
from .jobs import give_back, give_back_job
from .raw import RawFanOut, RawProcessor

QUEUED = 1_000_000
KEPT = 2_000
SUBSCRIBERS = 1_000
PROCESSORS = 20  # or what Trio's own tables grow by would count as one's

Make: TypeAlias = Callable[[trio.Nursery, ExitStack], Awaitable[object]]
"""Makes something that runs in the nursery and is closed with the stack."""


def bytes_of(make: Make) -> int:
    """Bytes that Python's allocator gave away for what ``make`` makes; made once before, so caches are filled."""

    async def measure() -> int:
        with ExitStack() as stack:
            async with trio.open_nursery() as nursery:
                kept = [await make(nursery, stack)]
                await trio.testing.wait_all_tasks_blocked()
                gc.collect()
                before = tracemalloc.get_traced_memory()[0]
                kept.append(await make(nursery, stack))
                await trio.testing.wait_all_tasks_blocked()
                gc.collect()
                after = tracemalloc.get_traced_memory()[0]
                nursery.cancel_scope.cancel()
        return after - before

    tracemalloc.start()
    try:
        return trio.run(measure)
    finally:
        tracemalloc.stop()


# --- what is made


def raw_processors(workers: int) -> Make:
    """Trio by hand."""

    async def make(nursery: trio.Nursery, stack: ExitStack) -> object:
        made = [RawProcessor(give_back, workers) for _ in range(PROCESSORS)]
        for processor in made:
            await nursery.start(processor.run)
        return made

    return make


def processors(workers: int) -> Make:
    """Processors that have nothing to do."""

    async def make(nursery: trio.Nursery, stack: ExitStack) -> object:
        made = [trio_jobs.Processor(give_back_job, concurrency=workers) for _ in range(PROCESSORS)]
        for processor in made:
            await nursery.start(processor.run)
        return made

    return make


def subscribers(overflow: trio_jobs.Overflow) -> Make:
    """Receivers of one channel."""

    async def make(nursery: trio.Nursery, stack: ExitStack) -> object:
        sender: trio_jobs.BroadcastSender[int] = trio_jobs.open_broadcast_channel(64)
        return sender, [stack.enter_context(sender.subscribe(overflow=overflow)) for _ in range(SUBSCRIBERS)]

    return make


async def raw_subscribers(nursery: trio.Nursery, stack: ExitStack) -> object:
    """A memory channel each."""
    fan_out: RawFanOut[int] = RawFanOut()
    return fan_out, [fan_out.subscribe() for _ in range(SUBSCRIBERS)]


def kept_items(receivers: int, items: int) -> Make:
    """What was sent and not read; the items are nothing."""

    async def make(nursery: trio.Nursery, stack: ExitStack) -> object:
        sender: trio_jobs.BroadcastSender[None] = trio_jobs.open_broadcast_channel(inf)
        subscribed = [stack.enter_context(sender.subscribe()) for _ in range(receivers)]
        for _ in range(items):
            sender.send_nowait(None)
        return sender, subscribed

    return make


def raw_kept_items(receivers: int, items: int) -> Make:
    """The same in a memory channel each."""

    async def make(nursery: trio.Nursery, stack: ExitStack) -> object:
        fan_out: RawFanOut[None] = RawFanOut()
        subscribed = [fan_out.subscribe() for _ in range(receivers)]
        for _ in range(items):
            fan_out.send_nowait(None)
        return fan_out, subscribed

    return make


def waiting_callers(callers: int) -> Make:
    """Tasks that wait in `call`."""

    async def hang(body: int) -> None:
        await trio.sleep_forever()

    async def make(nursery: trio.Nursery, stack: ExitStack) -> object:
        made = trio_jobs.Processor(trio_jobs.job(hang), concurrency=1, request_buffer_size=inf)
        await nursery.start(made.run)
        for number in range(callers):
            nursery.start_soon(made.call, number)
        return made

    return make


# --- a million requests, in a process of their own


def peak_of(requests: int) -> int:
    """The most memory, in bytes, of a process that has so many requests waiting."""
    return int(subprocess.check_output([sys.executable, "-m", __name__, str(requests)]))


async def queue_up(requests: int) -> None:
    """Have so many requests waiting, all with the same body."""
    waiting = trio_jobs.Processor(give_back_job, request_buffer_size=inf)
    with waiting.request_sender() as sender:
        for _ in range(requests):
            sender.send_nowait(trio_jobs.Request(0))


def main() -> None:
    """Print the most memory that it took."""
    trio.run(queue_up, int(sys.argv[1]))
    print(peak())


def peak() -> int:
    """The most memory, in bytes, that this process ever had."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux has getrusage count the parent's memory as well, as it was at the fork
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(bench: Bench) -> None:
    """By Python's allocator for each, and as the process sees it for a million."""
    rows: list[tuple[str, ...]] = []

    def row(what: str, size: float, at_most: float | None = None) -> None:
        rows.append((what, f"{size:,.0f}"))
        if at_most is not None:
            bench.goal(f"bytes of {what}", at_most, size, "tracemalloc", unit="bytes")

    row("an idle processor, 1 worker", bytes_of(processors(1)) / PROCESSORS, 24_000)
    row("an idle processor, up to 1,000 workers", bytes_of(processors(1_000)) / PROCESSORS, 26_000)
    row("raw Trio, 1 worker", bytes_of(raw_processors(1)) / PROCESSORS)
    row("raw Trio, 1,000 workers", bytes_of(raw_processors(1_000)) / PROCESSORS)
    row("a subscriber", bytes_of(subscribers(trio_jobs.Overflow.BLOCK)) / SUBSCRIBERS, 400)
    row("a subscriber by raw Trio", bytes_of(raw_subscribers) / SUBSCRIBERS)
    for receivers in (1, 100):
        who = f"{receivers} slow receiver{'s' if receivers > 1 else ''}"
        kept = bytes_of(kept_items(receivers, 2 * KEPT)) - bytes_of(kept_items(receivers, KEPT))
        row(f"a kept item, {who}", kept / KEPT, 64)
        kept = bytes_of(raw_kept_items(receivers, 2 * KEPT)) - bytes_of(raw_kept_items(receivers, KEPT))
        row(f"a kept item by raw Trio, {who}", kept / KEPT)
    calls = (bytes_of(waiting_callers(2_000)) - bytes_of(waiting_callers(1_000))) / 1_000
    row("a caller that waits, its task included", calls)
    queued = QUEUED // 20 if bench.quick else QUEUED
    size = (peak_of(queued) - peak_of(0)) / queued
    bench.goal(f"bytes of each of {queued:,} queued requests, without bodies", 200, size, "RSS", unit="bytes")
    rows.append((f"each of {queued:,} queued requests, without bodies (RSS)", f"{size:,.0f}"))
    bench.table("bytes", ("", "bytes"), rows)


if __name__ == "__main__":
    main()
