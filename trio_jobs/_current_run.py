"""The request that is being run here: how a job reaches what surrounds it without being given it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

import trio

from ._message import Request


class Runner(Protocol):
    """Whatever runs a job: it holds one request at a time."""

    @property
    def request(self) -> Request[Any] | None:
        """What it runs now."""
        ...

    @property
    def shields(self) -> set[trio.CancelScope]:
        """Shielded scopes in which the run waits for something that cannot be cancelled.

        Whoever runs the job cancels them when the clean-up limit is over.
        """
        ...

    @property
    def calls(self) -> dict[str, Any]:
        """Who was sent the requests, by their ids, whose answers the run waits for."""
        ...

    def publish_progress(self, body: object) -> None:
        """Tell those who subscribed to progress; never waits."""
        ...


# The pair, not the runner alone: a task that escaped from an ended job must not be taken for the runner's next one.
current_run: ContextVar[tuple[Runner, Request[Any]] | None] = ContextVar("trio_jobs.run", default=None)


def running() -> Runner | None:
    """The runner of the job in whose context this is called, while that job runs."""
    pair = current_run.get()
    if pair is None or pair[0].request is not pair[1]:
        return None
    return pair[0]


async def report(body: object) -> None:
    """Publish a `Progress` with ``body`` for the request that this job runs; a checkpoint that never waits for anyone.

    Only receivers that subscribed with ``progress=True`` see it, and where one of them has no room its oldest Progress
    is dropped. From a `thread_job`, call ``trio.from_thread.run(report, body)``. Where no processor runs the job, as in
    a test that awaits its function, nobody hears it.

    Raises:
        RuntimeError: The job has ended, and this is called in a task that it left behind.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    pair = current_run.get()
    if pair is not None:
        runner, request = pair
        if runner.request is not request:
            raise RuntimeError(f"the job that report({body!r}) speaks for has ended, and its request was answered")
        runner.publish_progress(body)
    await trio.lowlevel.cancel_shielded_checkpoint()
