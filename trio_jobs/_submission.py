"""Work that was asked for and goes on while its caller does something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

import trio

from ._asking import Asking, stopped
from ._broadcast import BroadcastReceiver
from ._current_run import running
from ._errors import ProcessorStopped
from ._message import Aborted, AbortReason, Failed, Progress, Request, Response

ResponseT = TypeVar("ResponseT")


class Submission(Generic[ResponseT]):
    """Work that was asked for and goes on: wait for its answer, watch its progress, or cancel it.

    Made by `Client.submit` and `Processor.submit`.
    """

    def __init__(
        self,
        asking: Asking[Any, ResponseT],
        request: Request[Any],
        on_answered: Callable[[Submission[ResponseT]], object],
    ) -> None:
        self.request = request
        """The request as it was sent."""
        self._asking = asking
        self._on_answered = on_answered
        self._since = trio.current_time()
        self._response: Response[ResponseT] | None = None
        self._error: ProcessorStopped | None = None
        self._done = trio.Event()
        self._read = False
        self._listener: ProgressReceiver | None = None

    def __del__(self) -> None:
        listener: ProgressReceiver | None = getattr(self, "_listener", None)  # `__init__` may not have come so far
        if listener is not None:
            listener._abandon()

    def __repr__(self) -> str:
        state = "ended" if self._error else "open" if self._response is None else type(self._response).__name__
        return f"<Submission {self.request.id} {state}>"

    @property
    def id(self) -> str:
        """The request's id."""
        return self.request.id

    async def wait(self) -> Response[ResponseT]:
        """Wait for the answer, which thereby was looked at; many may wait, again and again.

        Cancelled, the work goes on.

        Raises:
            ProcessorStopped: The processor is gone and will not answer.
            CallCycle: This is awaited in a job, and can never come.
        """
        runner = running()
        if runner is None or self._done.is_set():
            await self._done.wait()
        else:
            with self._asking.waiting_for(runner, self.request):
                await self._done.wait()
        self._read = True
        if self._response is None:
            raise stopped(self._error)
        return self._response

    async def cancel(self) -> None:
        """Abort the work, and return when it is gone. Without effect on what has been answered.

        Cancelled, the work may have been aborted. Where it runs in another process this asks for nothing and returns at
        once.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._read = True
        if not self._done.is_set() and self._asking.withdraw(self.request):
            self._asking.unwatch(self.request, self)
            self._deliver(Aborted(AbortReason.CALLER, id=self.id, attempt=self.request.attempt), None)
        if not self._done.is_set() and self._asking.cancel(self.request, self._since):
            await self._done.wait()
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def progress(self) -> ProgressReceiver:
        """What the job reports until its answer comes: a channel of `Progress`, to be closed.

        From its start, the first time, if it was submitted with ``progress=True``; else from now on.
        """
        listener, self._listener = self._listener, None
        if listener is not None:
            return listener
        return ProgressReceiver(self._asking.subscribe_to_progress(self.request.id), ended=self._done.is_set())

    def _listen(self) -> None:
        """Keep what is reported for the first who asks; called before the request is sent."""
        self._listener = ProgressReceiver(self._asking.subscribe_to_progress(self.request.id), ended=False)

    def _stop_listening(self) -> None:
        """It could not be sent: there will be no reports."""
        if self._listener is not None:
            self._listener.close()

    @property
    def _is_open(self) -> bool:
        """Whether its answer has still to come."""
        return not self._done.is_set()

    @property
    def _unread_failure(self) -> Failed | None:
        """Its answer, if that is a failure and nobody has looked at it."""
        return self._response if isinstance(self._response, Failed) and not self._read else None

    def _deliver(self, item: Response[ResponseT], cause: BaseException | None) -> None:
        """It is answered."""
        self._response = item
        self._done.set()
        self._on_answered(self)

    def _end(self, error: BaseException | None) -> None:
        """It will not be answered any more."""
        self._error = stopped(error)
        self._done.set()
        self._on_answered(self)


class ProgressReceiver(trio.abc.ReceiveChannel[Progress]):
    """What one job reports of itself; it ends when the job does. Made by `Submission.progress`."""

    def __init__(self, receiver: BroadcastReceiver[Any], *, ended: bool) -> None:
        self._receiver = receiver
        self._ended = ended

    async def receive(self) -> Progress:
        """The next report.

        Raises:
            trio.EndOfChannel: The request is answered, or never will be: its processor has stopped.
            trio.BrokenResourceError: The processor has failed.
            trio.ClosedResourceError: You closed this.
        """
        if self._ended:
            await trio.lowlevel.checkpoint()
        else:
            item = await self._receiver.receive()
            if isinstance(item, Progress):
                return item
            self._ended = True
        raise trio.EndOfChannel

    def close(self) -> None:
        """Stop listening."""
        self._receiver.close()

    def _abandon(self) -> None:
        """Stop listening, in any thread: nobody has seen this, so nobody could close it."""
        self._receiver._abandon()

    async def aclose(self) -> None:
        """Stop listening; a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
