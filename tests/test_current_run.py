"""How a job reaches what surrounds it, and that only a running one does."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints

from trio_jobs import Request, report
from trio_jobs._current_run import Runner, running

from .fake_runner import FakeRunner


def test_a_runner_has_what_a_job_may_need() -> None:
    """The fake of these tests is one, also for type checkers."""
    runner: Runner = FakeRunner()

    assert runner.request is None
    assert runner.shields == set()
    assert runner.calls == {}


def test_outside_a_job_nothing_runs() -> None:
    """As in a test, or in a script."""
    assert running() is None


def test_inside_a_job_its_runner_is_known() -> None:
    """Until it ends."""
    runner = FakeRunner()
    with runner.run(Request(None)):
        assert running() is runner

    assert running() is None


async def test_a_task_of_a_job_belongs_to_it_only_while_it_runs() -> None:
    """One that escaped must not be taken for the next request of the same runner."""
    runner = FakeRunner()
    seen: list[Runner | None] = []

    async def escaped(go_on: trio.Event) -> None:
        seen.append(running())
        await go_on.wait()
        seen.append(running())

    go_on = trio.Event()
    async with trio.open_nursery() as nursery:
        with runner.run(Request(1)):
            nursery.start_soon(escaped, go_on)
            await trio.testing.wait_all_tasks_blocked()
        with runner.run(Request(2)):
            go_on.set()
            await trio.testing.wait_all_tasks_blocked()

    assert seen == [runner, None]


async def test_an_equal_request_is_another_run() -> None:
    """What is delivered again is equal to what escaped from its first delivery."""
    runner = FakeRunner()
    with runner.run(Request(1, id="r")):
        runner.request = Request(1, id="r")

        assert running() is None


async def test_a_report_goes_to_the_runner() -> None:
    """Any body, and it is a checkpoint."""
    runner = FakeRunner()
    with runner.run(Request(None)):
        with assert_checkpoints():
            await report("half")
        await report(None)

    assert runner.reported == ["half", None]


async def test_a_cancelled_report_did_not_happen() -> None:
    """As a send of Trio's."""
    runner = FakeRunner()
    with runner.run(Request(None)), trio.CancelScope() as scope:
        scope.cancel()
        await report("half")

    assert scope.cancelled_caught
    assert runner.reported == []


async def test_a_report_that_was_made_is_not_cancelled() -> None:
    """A cancellation in the same moment comes later."""

    class CancelsWhenReported(FakeRunner):
        def publish_progress(self, body: object) -> None:
            super().publish_progress(body)
            scope.cancel()

    runner = CancelsWhenReported()
    with runner.run(Request(None)), trio.CancelScope() as scope:
        await report("half")
        runner.reported.append("went on")

    assert runner.reported == ["half", "went on"]


async def test_a_report_where_no_processor_runs_a_job_is_a_checkpoint_and_nothing_else() -> None:
    """So a test may await the function of a job that reports."""
    with assert_checkpoints():
        await report("half")


async def test_a_report_after_the_job_is_refused() -> None:
    """Its request has been answered."""
    runner = FakeRunner()
    with runner.run(Request(None)):
        runner.request = None
        with pytest.raises(RuntimeError, match=r"the job that report\('late'\) speaks for has ended"):
            await report("late")

    assert runner.reported == []
