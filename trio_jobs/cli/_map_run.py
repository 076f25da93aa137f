"""One run of a job over inputs: what is sent, what is written of each, and how it ends early.

1. An input is read when there is room for its request, never before: at most as many as are in flight are held.
2. Every input that was sent gets its line, also when the run is stopped, fails or stops at a failure.
3. A line that was handed over is written, whatever happens next.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import Any, assert_never

import attrs
import trio
from rich.console import Console

from .._error_info import ErrorInfo
from .._errors import ProcessorStopped
from .._job import Job
from .._message import Aborted, AbortReason, Failed, InterruptReason, Request, Response, Succeeded
from .._processor import Processor, open_processor
from .._single_error import single_error
from . import _record
from ._exit_code import ExitCode, WrongUse, code_of_signal
from ._in_order import AsCompleted, InOrder
from ._inputs import BadInput, Input, Inputs, Item
from ._interrupts import Interrupts, open_interrupts
from ._json_text import JsonText
from ._output import Output, open_output
from ._progress import SHOW_CURSOR, Progress, Tally, duration, per_second
from ._screen import say

_AHEAD = 4  # requests in flight for each that may run, so that slots never wait for inputs
_CLEANUP_LIMIT = 5.0  # seconds for what was cancelled to clean up
_NAMED = 5  # failures and interrupted inputs that are named; the others are counted


@attrs.frozen(kw_only=True)
class MapOptions:
    """How to run it, as on the command line."""

    concurrency: int = 16
    ordered: bool = False
    time_limit: float = inf
    fail_fast: bool = False
    grace: float = 10.0
    quiet: bool = False
    verbose: bool = False

    def __attrs_post_init__(self) -> None:
        if self.concurrency < 1:
            raise WrongUse(f"--concurrency must be at least 1, got {self.concurrency}")
        if not self.time_limit > 0:
            raise WrongUse(f"--time-limit must be a number of seconds above 0, got {self.time_limit:g}")
        if not self.grace >= 0:
            raise WrongUse(f"--grace must be a number of seconds from 0 on, got {self.grace:g}")
        if self.quiet and self.verbose:
            raise WrongUse("--quiet and --verbose are opposites: leave one of them out")

    @property
    def in_flight(self) -> int:
        """How many inputs are read and not yet written, at most.

        With a time limit no more than may run: a request's time must not pass while it waits for others.
        """
        return self.concurrency if self.time_limit < inf else self.concurrency * _AHEAD


@attrs.frozen
class Sent:
    """An input whose answer is not there yet."""

    number: int
    item: Input


class Requests(AsyncIterator[Request[Any]]):
    """The requests for the inputs, one as soon as there is room for it.

    Args:
        on_bad: Told of what cannot be read, which becomes no request.
    """

    def __init__(
        self, inputs: Inputs, options: MapOptions, on_bad: Callable[[int, BadInput], Awaitable[object]]
    ) -> None:
        self.open: dict[str, Sent] = {}
        """What was sent and is not answered, by the ids of the requests."""
        self.room = trio.Semaphore(options.in_flight)
        """Released for each input whose line was handed over."""
        self.last: str | None = None
        """The place of the last input that was read."""
        self._inputs = inputs
        self._time_limit = options.time_limit
        self._on_bad = on_bad
        self._count = 0
        self._stopped = False
        self._reading = trio.CancelScope()
        self._ended = trio.Event()

    async def __anext__(self) -> Request[Any]:
        with trio.CancelScope() as self._reading:
            while not self._stopped:
                await self.room.acquire()
                try:
                    item = await anext(self._inputs)
                except StopAsyncIteration:
                    break
                self.last, number = item.place, self._count
                self._count += 1
                if isinstance(item, Input):
                    return self._request(number, item)
                await self._on_bad(number, item)
        self._ended.set()
        raise StopAsyncIteration

    def _request(self, number: int, item: Input) -> Request[Any]:
        request = Request(item.body, deadline=trio.current_time() + self._time_limit)
        self.open[request.id] = Sent(number, item)
        return request

    def end(self) -> None:
        """Read nothing more."""
        self._stopped = True
        self._reading.cancel(reason="the run is being stopped")

    async def wait_ended(self) -> None:
        """Wait until whoever sends the requests has got to the end of them."""
        await self._ended.wait()


class MapRun:
    """Runs a job over inputs and writes a line for each.

    Args:
        console: Where a person is told how it goes.
        live: Whether what was said there can be replaced by what is so later.
        descriptor: Where the lines are written.
        shares_terminal: Whether that is the terminal that the console is on.
        leave: Ends the process when a job does not end although it was cancelled.
    """

    def __init__(
        self,
        job: Job[Any, Any, Any],
        inputs: Inputs,
        options: MapOptions,
        *,
        resources: Any,
        console: Console,
        live: bool,
        descriptor: int,
        shares_terminal: bool = False,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._job = job
        self._inputs = inputs
        self._options = options
        self._resources = resources
        self._console = console
        self._live = live
        self._descriptor = descriptor
        self._leave = leave
        self._requests = Requests(inputs, options, self._bad)
        self._order = InOrder() if options.ordered else AsCompleted()
        self._json_text = JsonText(self._has_no_form)
        self._tally = Tally(trio.current_time())
        self._everything = trio.CancelScope()
        self._answering = trio.CancelScope()
        self._processor: Processor[Any, Any, Any] | None = None
        self._progress = Progress(console, self._tally, self._running, live=live)
        self._around = self._progress.hidden if shares_terminal and not options.quiet else None
        self._output: Output
        self._signal: signal.Signals | None = None
        self._stopped_at_failure = False
        self._broken: Exception | None = None

    async def run(self) -> int:
        """Run it to its end, and return the exit code."""
        await trio.lowlevel.checkpoint()
        try:
            with open_interrupts(self._show_cursor) as interrupts, single_error():
                async with trio.open_nursery() as nursery:
                    if not self._options.quiet:
                        nursery.start_soon(self._progress.run)
                        nursery.start_soon(self._measure)
                    nursery.start_soon(self._obey, interrupts)
                    await self._map()
                    nursery.cancel_scope.cancel()
        except BrokenPipeError:
            return ExitCode.BROKEN_PIPE
        except OSError as error:
            say(self._console, f"trio-jobs: cannot write the output: {error}", "red")
            return ExitCode.FAILED
        self._summarize()
        return self._exit_code()

    async def _map(self) -> None:
        async with open_output(self._descriptor, around=self._around) as self._output:
            with self._everything:
                try:
                    await self._process()
                except Exception as error:
                    self._broken = error
            self._write_rest()
            if self._everything.cancel_called:
                self._output.hurry()

    async def _process(self) -> None:
        options = self._options
        async with open_processor(
            self._job,
            resources=self._resources,
            concurrency=options.concurrency,
            request_buffer_size=options.in_flight,
            grace=options.grace,
            cleanup_limit=_CLEANUP_LIMIT,
        ) as self._processor:
            async with self._processor.map(self._requests, max_in_flight=options.in_flight) as responses:
                # Stopped by a signal, the processor leaves the others unanswered; failing, it says so itself.
                with self._answering, suppress(ProcessorStopped):
                    async for response in responses:
                        await self._answered(response)

    async def _measure(self) -> None:
        await trio.lowlevel.checkpoint()
        with suppress(OSError):  # whoever reads the inputs will say so
            self._tally.total = await self._inputs.total()

    def _running(self) -> int:
        return 0 if self._processor is None else self._processor.statistics().running

    # --- what becomes of the inputs

    async def _answered(self, response: Response[Any]) -> None:
        sent = self._requests.open.pop(response.id)
        match response:
            case Succeeded():
                self._tally.succeeded += 1
            case Failed(error):
                self._failed(sent.item.place, error)
            case Aborted():
                self._tally.aborted += 1
                self._stop_at_failure()
            case _:
                assert_never(response)
        await self._put(sent.number, sent.item, _record.answered(sent.item, response, self._json_text))

    async def _bad(self, number: int, item: BadInput) -> None:
        self._failed(item.place, item.error)
        await self._put(number, item, _record.unreadable(item))

    def _failed(self, place: str, error: ErrorInfo) -> None:
        self._tally.failed += 1
        self._stop_at_failure()
        if self._options.verbose:
            self._say(f"failed: {place}: {error}\n{error.traceback}", "red")
        elif self._tally.failed <= _NAMED:
            self._say(f"failed: {place}: {error}", "red")
        elif self._tally.failed == _NAMED + 1:
            self._say("more have failed; the output has them all, and -v shows each", "red")

    def _stop_at_failure(self) -> None:
        if self._options.fail_fast:
            self._stopped_at_failure = True
            self._requests.end()
            self._answering.cancel(reason="an input failed")

    async def _put(self, number: int, item: Item, line: bytes) -> None:
        self._tally.weight += item.weight
        ready = self._order.put(number, line)
        for _ in ready:
            self._requests.room.release()
        await self._output.write(b"".join(ready))

    def _write_rest(self) -> None:
        """A line for each input that was sent and will not be answered."""
        outcome: str = "aborted" if self._stopped_at_failure else "interrupted"
        reason: AbortReason | InterruptReason = AbortReason.SIBLING
        if not self._stopped_at_failure:
            reason = InterruptReason.CRASH if self._broken else InterruptReason.DRAIN
        rest = self._requests.open
        places: list[str] = []
        while rest:
            request_id = next(iter(rest))
            sent = rest.pop(request_id)
            places.append(sent.item.place)
            line = _record.unanswered(sent.item, request_id, outcome, reason)
            self._output.write_nowait(b"".join(self._order.put(sent.number, line)))
        if outcome == "aborted":
            self._tally.aborted += len(places)
        else:
            self._tally.interrupted += len(places)
        if places:
            more = f" and {len(places) - _NAMED:,} more" if len(places) > _NAMED else ""
            self._say(f"{outcome}: {', '.join(places[:_NAMED])}{more}", "yellow")

    # --- being stopped

    async def _obey(self, interrupts: Interrupts) -> None:
        await interrupts.wait(1)
        self._signal = interrupts.first
        async with trio.open_nursery() as nursery:
            if self._processor is None:
                self._everything.cancel(reason="stopped before the resources were open")
            else:
                nursery.start_soon(self._drain, self._processor)
            await interrupts.wait(2)
            self._say("cancelling; the next signal ends the process at once", "yellow")
            self._everything.cancel(reason="a second signal")
            await trio.sleep(_CLEANUP_LIMIT + 1)
            await self._abandon()

    async def _drain(self, processor: Processor[Any, Any, Any]) -> None:
        running, grace = self._running(), self._options.grace
        if running:
            self._say(f"stopping: {running:,} running, {grace:g} s to end; the next signal cancels them", "yellow")
        self._requests.end()
        # Not before they have ended: one that is sent to a processor which drains ends the answers of those that run.
        await self._requests.wait_ended()
        report = await processor.drain(grace)
        if report.left:
            await self._abandon()

    async def _abandon(self) -> None:
        """End the process although jobs, cancelled long ago, still run, each in an endless shield of its own."""
        self._write_rest()
        with trio.move_on_after(1):
            await self._output.flush()
        self._summarize()
        self._show_cursor()
        self._leave(self._exit_code())

    def _show_cursor(self) -> None:
        """Straight to the terminal: a signal may have come in the middle of printing."""
        if self._live:
            os.write(self._console.file.fileno(), SHOW_CURSOR)

    # --- telling a person

    def _say(self, text: str, style: str) -> None:
        if not self._options.quiet:
            say(self._console, text, style)

    def _has_no_form(self, cls: type) -> None:
        name = f"{cls.__module__}.{cls.__qualname__}"
        self._say(f"values of type {name} have no form in JSON, so what repr() says is written", "yellow")

    def _summarize(self) -> None:
        if self._broken is not None:
            text = "".join(traceback.format_exception(self._broken)).rstrip()
            say(self._console, f"trio-jobs: the run broke off\n{text}", "red")
        if self._signal is not None:
            after = f" after {self._requests.last}" if self._requests.last else ""
            self._say(f"stopped by {self._signal.name}{after}; what comes behind that was not read", "yellow")
        self._say(self._summary(trio.current_time()), "bold")

    def _summary(self, now: float) -> str:
        tally = self._tally
        counts = {
            "succeeded": tally.succeeded,
            "failed": tally.failed,
            "aborted": tally.aborted,
            "interrupted": tally.interrupted,
        }
        said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name == "succeeded")
        inputs = "1 input" if tally.done == 1 else f"{tally.done:,} inputs"
        return f"{inputs} in {duration(now - tally.started)} ({per_second(tally.rate(now))}): {said}"

    def _exit_code(self) -> int:
        if self._signal is not None:
            return code_of_signal(self._signal)
        everything_went_well = self._broken is None and self._tally.succeeded == self._tally.done
        return ExitCode.DONE if everything_went_well else ExitCode.FAILED
