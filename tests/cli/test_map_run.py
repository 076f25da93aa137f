"""One run of a job over inputs: what is sent, what is written, and how it ends early."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from math import inf, nan
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import attrs
import pytest
import trio
from rich.console import Console
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_jobs import ErrorInfo, Job, Shared, job
from trio_jobs.cli._exit_code import WrongUse
from trio_jobs.cli._inputs import BadInput, Input, Inputs, Item
from trio_jobs.cli._map_run import MapOptions, MapRun, Requests

from ..simple_jobs import double, hang, sleep_for


def item(body: Any) -> Input:
    return Input(body, json.dumps(body), f"in:{body}", 1)


def bad(text: str) -> BadInput:
    return BadInput(ErrorInfo("ValueError", f"{text} is bad"), json.dumps(text), f"in:{text}", 1)


class FakeInputs(Inputs):
    """Inputs that need no thread, and tell how many were taken."""

    def __init__(self, items: Iterable[Item], total: int | None = None) -> None:
        super().__init__([])
        self.taken = 0
        self._items = iter(items)
        self._total = total

    async def __anext__(self) -> Item:
        await trio.lowlevel.checkpoint()
        return self.take()

    def take(self) -> Item:
        for one in self._items:
            self.taken += 1
            return one
        raise StopAsyncIteration

    async def total(self) -> int | None:
        await trio.lowlevel.checkpoint()
        if self._total is None:
            raise OSError("gone")
        return self._total


@attrs.define
class Left(BaseException):
    """Instead of the end of the process."""

    code: int
    time: float


@attrs.define
class Runner:
    """Runs, and tells what was written."""

    console: Console
    path: Path
    live: bool = False

    async def __call__(
        self, job: Job[Any, Any, Any], inputs: Iterable[Item] | Inputs, resources: Any = None, **options: Any
    ) -> int:
        def leave(code: int) -> None:
            raise Left(code, trio.current_time())

        with self._opened() as descriptor:
            return await MapRun(
                job,
                inputs if isinstance(inputs, Inputs) else FakeInputs(inputs),
                MapOptions(**options),
                resources=resources,
                console=self.console,
                live=self.live,
                descriptor=descriptor,
                shares_terminal=True,  # then no thread writes
                leave=leave,
            ).run()

    @contextmanager
    def _opened(self) -> Generator[int]:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    @property
    def outcomes(self) -> list[tuple[Any, str]]:
        return [(record["input"], record["outcome"]) for record in self.records]

    @property
    def ended(self) -> dict[Any, str]:
        return dict(self.outcomes)


@pytest.fixture
def run(console: Console, tmp_path: Path) -> Runner:
    """Run a job over inputs; returns the exit code."""
    return Runner(console, tmp_path / "out.jsonl")


@job
async def fail_odd(request: int) -> int:
    await trio.lowlevel.checkpoint()
    if request % 2:
        raise ValueError(f"{request} is odd")
    return request


@job
async def interrupt_at_three(seconds: float) -> float:
    """Ctrl-C at three seconds, from inside a job."""
    await trio.sleep(seconds)
    if seconds == 3:
        signal.raise_signal(signal.SIGINT)
        await trio.sleep(1)
    return seconds


# --- answers


async def test_every_input_is_answered_with_a_line(run: Runner, said: Callable[[], str]) -> None:
    """All went well: 0, and a summary."""
    code = await run(double, [item(number) for number in range(100)])

    assert code == 0
    assert sorted(record["value"] for record in run.records) == [2 * number for number in range(100)]
    assert len({record["id"] for record in run.records}) == 100
    assert said().startswith("100 inputs in 0.")
    assert said().endswith(": 100 succeeded\n")


async def test_answers_come_as_they_are_completed(run: Runner, autojump_clock: MockClock) -> None:
    """A slow one holds up none."""
    await run(sleep_for, map(item, [3, 1, 2]))

    assert run.outcomes == [(1, "succeeded"), (2, "succeeded"), (3, "succeeded")]


async def test_ordered_answers_keep_the_order_of_the_inputs(run: Runner, autojump_clock: MockClock) -> None:
    """Bad ones too have their place."""
    await run(sleep_for, [item(3), bad("x"), item(1), item(2)], ordered=True)

    assert [record["input"] for record in run.records] == [3, "x", 1, 2]


async def test_no_inputs_are_no_failure(run: Runner, said: Callable[[], str]) -> None:
    """Nothing had to be done, and that is done."""
    assert await run(double, []) == 0
    assert run.records == []
    assert said().endswith(": 0 succeeded\n")


async def test_a_job_gets_its_resources(run: Runner) -> None:
    """Opened before the first and closed after the last."""
    opened: list[str] = []

    @asynccontextmanager
    async def open_store() -> AsyncGenerator[str]:
        opened.append("open")
        yield "store"
        opened.append("closed")

    @job
    async def look_up(request: str, store: str) -> str:
        return store + request

    await run(look_up, [item("a")], Shared(open_store))

    assert run.records[0]["value"] == "storea"
    assert opened == ["open", "closed"]


async def test_a_value_without_a_form_is_told_once(run: Runner, said: Callable[[], str]) -> None:
    """It is written as what repr() says."""

    class Opaque:
        def __repr__(self) -> str:
            return "<opaque>"

    @job
    async def make(request: int) -> object:
        return Opaque()

    await run(make, [item(1), item(2)])

    assert [record["value"] for record in run.records] == ["<opaque>", "<opaque>"]
    assert said().count("has no form in JSON") + said().count("have no form in JSON") == 1


# --- failures


async def test_a_failure_is_a_line_and_the_others_go_on(run: Runner, said: Callable[[], str]) -> None:
    """Some failed: 1."""
    code = await run(fail_odd, map(item, [0, 1, 2]), ordered=True)

    assert code == 1
    assert run.outcomes == [(0, "succeeded"), (1, "failed"), (2, "succeeded")]
    assert run.records[1]["error"]["message"] == "1 is odd"
    assert "failed: in:1: ValueError: 1 is odd\n" in said()
    assert said().endswith(": 2 succeeded, 1 failed\n")


async def test_what_could_not_be_read_has_failed(run: Runner, said: Callable[[], str]) -> None:
    """Without a request."""
    code = await run(double, [bad("x"), item(1)])

    assert code == 1
    assert run.ended == {"x": "failed", 1: "succeeded"}
    assert "failed: in:x: ValueError: x is bad\n" in said()


async def test_only_the_first_failures_are_named(run: Runner, said: Callable[[], str]) -> None:
    """A thousand would hide what else there is to see; the output has them."""
    await run(fail_odd, [item(1)] * 1000)

    assert said().count("failed: in:1") == 5
    assert said().count("more have failed") == 1


async def test_verbose_names_all_with_their_tracebacks(run: Runner, said: Callable[[], str]) -> None:
    """Whoever asks wants to see them."""
    await run(fail_odd, [item(1)] * 10, verbose=True)

    assert said().count("failed: in:1: ValueError: 1 is odd\nTraceback") == 10
    assert "in fail_odd" in said()


async def test_quiet_says_nothing(run: Runner, said: Callable[[], str]) -> None:
    """The output and the exit code say it."""
    assert await run(fail_odd, [item(1), bad("x")], quiet=True) == 1
    assert said() == ""


async def test_what_is_too_slow_is_aborted(run: Runner, said: Callable[[], str], autojump_clock: MockClock) -> None:
    """At its own time limit; the others go on."""
    code = await run(sleep_for, map(item, [5, 1]), time_limit=2)

    assert code == 1
    assert run.ended == {5: "aborted", 1: "succeeded"}
    assert run.records[1]["reason"] == "deadline"
    assert said().endswith("2 inputs in 2.0 s (1.0/s): 1 succeeded, 1 aborted\n")


async def test_the_time_limit_does_not_run_while_an_input_waits_for_others(
    run: Runner, autojump_clock: MockClock
) -> None:
    """With one at a time, each has all of it."""
    assert await run(sleep_for, map(item, [1.5] * 10), time_limit=2, concurrency=1) == 0


async def test_fail_fast_stops_at_the_first_failure(
    run: Runner, said: Callable[[], str], autojump_clock: MockClock
) -> None:
    """What runs is aborted for its sibling's sake, what comes later is not read."""

    @job
    async def fail_at_two(seconds: float) -> float:
        await trio.sleep(seconds)
        if seconds == 2:
            raise ValueError("two")
        return seconds

    inputs = FakeInputs(map(item, [1, 2, 50, 60, 70, 80]), 6)
    code = await run(fail_at_two, inputs, fail_fast=True, concurrency=3, time_limit=1000)

    assert code == 1
    assert run.ended == {1: "succeeded", 2: "failed", 50: "aborted", 60: "aborted"}
    assert {record.get("reason") for record in run.records[2:]} == {"sibling"}
    assert inputs.taken == 4
    assert "aborted: in:50, in:60\n" in said()


async def test_nothing_is_read_after_the_failure(run: Runner) -> None:
    """Although there is room for it again. Repeated, because Trio shuffles who comes next."""
    for _ in range(20):
        inputs = FakeInputs(map(item, [1, 2, 4, 6]), 4)
        await run(fail_odd, inputs, fail_fast=True, concurrency=1, time_limit=1000)

        assert inputs.taken == 1


@pytest.mark.parametrize("first", [bad("x"), item(5)])
async def test_fail_fast_stops_at_what_is_bad_or_too_slow_as_well(
    first: Item, run: Runner, autojump_clock: MockClock
) -> None:
    """Everything that is no success counts."""
    code = await run(sleep_for, [item(1), first, item(4)], fail_fast=True, time_limit=3, concurrency=2)

    assert code == 1
    assert "succeeded" not in {run.ended.get(4), run.ended.get(5)}


# --- how far reading is ahead


async def test_requests_end_as_soon_as_they_are_told_to(run: Runner) -> None:
    """Also before the first, and whoever told it can wait for that."""

    async def never(number: int, one: BadInput) -> None: ...

    inputs = FakeInputs([item(1)], 1)
    requests = Requests(inputs, MapOptions(), never)
    requests.end()
    with pytest.raises(StopAsyncIteration):
        await anext(requests)
    await requests.wait_ended()

    assert inputs.taken == 0


@pytest.mark.parametrize(("options", "ahead"), [({}, 64), ({"concurrency": 3}, 12), ({"time_limit": 1e6}, 16)])
@pytest.mark.parametrize("ordered", [False, True])
async def test_no_more_is_read_than_is_in_flight(
    options: dict[str, Any], ahead: int, ordered: bool, run: Runner
) -> None:
    """However much there is: the rest stays where it is until there is room."""
    let_go = trio.Event()

    @job
    async def wait(request: int) -> None:
        await let_go.wait()

    inputs = FakeInputs(map(item, range(1000)), 1000)
    async with trio.open_nursery() as nursery:

        async def run_it() -> None:
            await run(wait, inputs, ordered=ordered, **options)

        nursery.start_soon(run_it)
        await wait_all_tasks_blocked()

        assert inputs.taken == ahead
        let_go.set()

    assert inputs.taken == 1000


async def test_a_slow_first_answer_bounds_what_is_kept_for_the_order(run: Runner) -> None:
    """Answers that wait for their turn count as in flight."""
    let_go = trio.Event()

    @job
    async def wait_at_zero(request: int) -> None:
        if request == 0:
            await let_go.wait()

    inputs = FakeInputs(map(item, range(1000)), 1000)
    async with trio.open_nursery() as nursery:

        async def run_it() -> None:
            await run(wait_at_zero, inputs, ordered=True)

        nursery.start_soon(run_it)
        await wait_all_tasks_blocked()
        assert inputs.taken == 64
        let_go.set()

    assert [record["input"] for record in run.records] == list(range(1000))


# --- stopped by a signal


async def test_a_signal_lets_end_what_runs_and_names_the_rest(
    run: Runner, said: Callable[[], str], autojump_clock: MockClock
) -> None:
    """What finishes within the grace is written; what has not started is interrupted; the rest is not read."""
    inputs = FakeInputs(map(item, [3, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]), 11)
    code = await run(interrupt_at_three, inputs, concurrency=2)

    assert code == 130
    assert [outcome for _, outcome in run.outcomes] == ["succeeded", "succeeded"] + ["interrupted"] * 6
    assert {record.get("reason") for record in run.records[2:]} == {"drain"}
    assert "stopping: 2 running, 10 s to end; the next signal cancels them\n" in said()
    assert "interrupted: in:5, in:5, in:5, in:5, in:5 and 1 more\n" in said()
    assert "stopped by SIGINT after in:5; what comes behind that was not read\n" in said()
    assert said().endswith("8 inputs in 5.0 s (1.6/s): 2 succeeded, 6 interrupted\n")
    assert inputs.taken == 8


async def test_the_order_is_kept_when_a_signal_comes(run: Runner, autojump_clock: MockClock) -> None:
    """What has finished is written although something before it is interrupted."""
    code = await run(interrupt_at_three, map(item, [100, 3, 4]), ordered=True)

    assert code == 130
    assert run.outcomes == [(100, "interrupted"), (3, "succeeded"), (4, "succeeded")]


async def test_the_grace_is_that_of_the_option(run: Runner, autojump_clock: MockClock) -> None:
    """With none, nothing more is waited for."""
    await run(interrupt_at_three, map(item, [3, 4]), grace=0)

    assert run.ended == {3: "interrupted", 4: "interrupted"}


async def test_a_second_signal_cancels_at_once(run: Runner, said: Callable[[], str], autojump_clock: MockClock) -> None:
    """Whatever the grace is."""
    start = trio.current_time()

    @job
    async def interrupt_twice(request: int) -> None:
        if request == 1:
            await trio.sleep(1)
            signal.raise_signal(signal.SIGTERM)
            await trio.sleep(1)
            signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()

    code = await run(interrupt_twice, map(item, [1, 2, 3]), grace=1000)

    assert code == 143
    assert start + 2 <= trio.current_time() < start + 2.5
    assert run.ended == {1: "interrupted", 2: "interrupted", 3: "interrupted"}
    assert "cancelling; the next signal ends the process at once\n" in said()


async def test_an_input_that_comes_in_spite_of_the_signal_does_not_cost_the_answers(
    run: Runner, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """It was being read and is sent; only then the processor is drained, and what runs still answers."""
    told_to_end = trio.Event()
    really_end = Requests.end

    class Stubborn(FakeInputs):
        async def __anext__(self) -> Item:
            if self.taken:
                with trio.CancelScope(shield=True):
                    await told_to_end.wait()
            return self.take()

    def end(requests: Requests) -> None:
        really_end(requests)
        told_to_end.set()

    monkeypatch.setattr(Requests, "end", end)
    code = await run(interrupt_at_three, Stubborn(map(item, [3, 100]), 2))

    assert code == 130
    assert run.ended == {3: "succeeded", 100: "interrupted"}


async def test_a_second_signal_does_not_wait_for_a_reader(
    run: Runner, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Who does not read gets a second, and is then left with what there is."""
    start = trio.current_time()
    reader, writer = os.pipe()
    with pytest.raises(BlockingIOError):
        os.set_blocking(writer, False)
        while os.write(writer, b"." * 4096):
            pass
    os.set_blocking(writer, True)

    @job
    async def interrupt_twice(request: int) -> None:
        await trio.sleep(2)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    code = await into(run, writer, interrupt_twice, FakeInputs([item(1), bad("x")], 2))
    while not os.read(reader, 1 << 20).endswith(b"}\n"):
        pass  # the thread that was left behind writes now, and ends
    os.close(reader)
    os.close(writer)

    assert code == 130
    assert trio.current_time() <= start + 4


async def test_a_signal_while_resources_open_ends_the_run(
    run: Runner, said: Callable[[], str], autojump_clock: MockClock
) -> None:
    """Nothing was read, nothing is written."""

    class Slow:
        async def __aenter__(self) -> None:
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()

        async def __aexit__(self, *_: object) -> None: ...

    @job
    async def need(request: int, resources: None) -> None: ...

    inputs = FakeInputs([item(1)], 1)
    code = await run(need, inputs, Shared(Slow))

    assert (code, inputs.taken, run.records) == (130, 0, [])
    assert "stopped by SIGINT; what" in said()


async def test_a_signal_ends_the_wait_for_input(run: Runner, said: Callable[[], str]) -> None:
    """A terminal on which nobody types; nothing runs, so there is nothing to wait for."""

    class Silent(FakeInputs):
        async def __anext__(self) -> Item:
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()

    assert await run(double, Silent([], 0)) == 130
    assert "stopping" not in said()


async def test_a_job_that_does_not_end_does_not_keep_the_process(
    run: Runner, said: Callable[[], str], autojump_clock: MockClock
) -> None:
    """After grace and clean-up limit it leaves, with everything written."""
    start = trio.current_time()

    @job
    async def hang(request: int) -> None:
        if request == 1:
            await trio.sleep(1)
            signal.raise_signal(signal.SIGINT)
            return
        with trio.CancelScope(shield=True):
            await trio.sleep(10_000)

    with pytest.raises(Left) as caught:
        await run(hang, map(item, [1, 2]))

    assert caught.value.code == 130
    assert run.ended == {1: "succeeded", 2: "interrupted"}
    assert said().endswith(": 1 succeeded, 1 interrupted\n")
    assert start + 15 < caught.value.time < start + 17


async def test_a_second_signal_leaves_behind_what_does_not_end(run: Runner, autojump_clock: MockClock) -> None:
    """A little after the clean-up limit, whatever the grace is."""
    start = trio.current_time()

    @job
    async def hang(request: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with trio.CancelScope(shield=True):
            await trio.sleep(10_000)

    with pytest.raises(Left) as caught:
        await run(hang, [item(1)])

    assert caught.value.code == 130
    assert run.ended == {1: "interrupted"}
    assert caught.value.time < start + 7


async def test_the_cursor_is_back_when_a_job_does_not_end(run: Runner, autojump_clock: MockClock) -> None:
    """The display had hidden it, and nobody else shows it again."""

    @job
    async def hang(request: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with trio.CancelScope(shield=True):
            await trio.sleep(10_000)

    with TemporaryFile("w+") as stream:
        run.console, run.live = Console(file=stream, force_terminal=True), True
        with pytest.raises(Left):
            await run(hang, [item(1)])
        stream.seek(0)
        sent = stream.read()

    assert sent.count("\x1b[?25h") >= sent.count("\x1b[?25l") > 0


# --- broken off


async def test_resources_that_cannot_be_opened_break_it_off(run: Runner, said: Callable[[], str]) -> None:
    """The error is shown, nothing was read."""

    def refuse() -> None:
        raise RuntimeError("no such store")

    @job
    async def need(request: int, resources: None) -> None: ...

    inputs = FakeInputs([item(1)], 1)
    code = await run(need, inputs, Shared(refuse))

    assert (code, inputs.taken) == (1, 0)
    assert "trio-jobs: the run broke off\nTraceback" in said()
    assert "RuntimeError: no such store\n" in said()


async def test_inputs_that_raise_break_it_off_and_what_was_sent_is_named(run: Runner, said: Callable[[], str]) -> None:
    """Nothing goes in silence."""

    def broken() -> Generator[Item]:
        yield item(1)
        raise ZeroDivisionError

    code = await run(hang, broken(), quiet=True)

    assert code == 1
    assert run.outcomes == [(1, "interrupted")]
    assert run.records[0]["reason"] == "crash"
    assert said().startswith("trio-jobs: the run broke off\n")
    assert "ZeroDivisionError" in said()


async def test_an_output_that_nobody_reads_ends_it_quietly(run: Runner, said: Callable[[], str]) -> None:
    """As `head` does to what is before it in the pipe."""
    reader, writer = os.pipe()
    os.close(reader)

    code = await into(run, writer)
    os.close(writer)

    assert code == 141
    assert said() == ""


async def test_an_output_that_cannot_be_written_is_told(run: Runner, said: Callable[[], str]) -> None:
    """A full disk is a failure of the run."""
    full = os.open("/dev/full", os.O_WRONLY)
    code = await into(run, full)
    os.close(full)

    assert code == 1
    assert said() == "trio-jobs: cannot write the output: [Errno 28] No space left on device\n"


async def into(run: Runner, descriptor: int, job: Job[Any, Any, Any] = double, inputs: FakeInputs | None = None) -> int:
    """Run into this descriptor, by default endlessly were it not for an error."""
    return await MapRun(
        job,
        inputs or FakeInputs((item(1) for _ in iter(int, 1)), 1),
        MapOptions(),
        resources=None,
        console=run.console,
        live=False,
        descriptor=descriptor,
    ).run()


# --- wrong use


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "--concurrency must be at least 1, got 0"),
        ({"time_limit": 0.0}, "--time-limit must be a number of seconds above 0, got 0"),
        ({"time_limit": nan}, "--time-limit must be a number of seconds above 0, got nan"),
        ({"grace": -1.0}, "--grace must be a number of seconds from 0 on, got -1"),
        ({"grace": nan}, "--grace must be a number of seconds from 0 on, got nan"),
        ({"quiet": True, "verbose": True}, "--quiet and --verbose are opposites: leave one of them out"),
    ],
)
def test_options_that_make_no_sense_are_told_with_the_mend(options: dict[str, Any], message: str) -> None:
    """Before anything runs."""
    with pytest.raises(WrongUse) as caught:
        MapOptions(**options)

    assert str(caught.value) == message


def test_no_grace_limit_can_be_said() -> None:
    """Infinity is a number of seconds."""
    assert MapOptions(grace=inf).grace == inf
