"""Asking for work: one call, many calls, or work that goes on while you do something else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import asynccontextmanager
from math import inf
from typing import Generic, TypeVar, Unpack

import trio

from ._arguments import check_int, check_seconds
from ._asking import Asking, CallOptions, Responses, new_request
from ._errors import JobAborted, JobFailed, JobTooSlow
from ._hidden_nursery import open_hidden_nursery
from ._mapping import Mapping
from ._message import Aborted, AbortReason, Failed, Request, Response, Succeeded
from ._submission import Submission

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class Client(Generic[RequestT, ResponseT]):
    """Sends requests and finds their answers. Made by `open_client`; a `Processor` has one built in."""

    def __init__(self, sender: trio.abc.SendChannel[Request[RequestT]], responses: Responses[ResponseT]) -> None:
        self._asking: Asking[RequestT, ResponseT] = Asking(sender, responses)
        self._submissions: dict[str, Submission[ResponseT]] = {}
        self._unread: list[Submission[ResponseT]] = []
        self._all_answered = trio.Event()

    def __repr__(self) -> str:
        return f"<Client open={len(self._submissions)}>"

    async def call(self, body: RequestT, **options: Unpack[CallOptions]) -> ResponseT:
        """Have the job run for ``body``, and return what it returns.

        The earliest deadline of the scopes around this call travels with the request. Cancelled, the job is cancelled
        too, and this returns when it is gone, if it runs in this process.

        Args:
            body: What the job is given.
            options: ``id``, ``key``, ``priority``, ``time_limit`` and ``headers``, see `CallOptions`.

        Raises:
            JobFailed: The job raised; if it ran in this process, that is the ``__cause__``.
            JobTooSlow: ``time_limit`` is over; it is a `trio.TooSlowError`.
            JobAborted: Somebody cancelled the request.
            ProcessorStopped: The processor is gone and will not answer.
            CallCycle: This is called in a job, and can never start.
            ValueError: The ``id`` that you chose is not answered yet.
        """
        request = new_request(body, **options)
        if request.parent_id is None:
            response, cause = await self._asking.ask(request)
        else:
            response, cause = await self._asking.ask_in_job(request)
        if isinstance(response, Succeeded):
            return response.value
        if isinstance(response, Aborted) and trio.current_effective_deadline() <= trio.current_time():
            await trio.lowlevel.checkpoint()  # the deadline was that of a scope around: it is for the scope to say so
        if cause is not None and isinstance(response, Failed):
            raise JobFailed(response.error, request_id=response.id) from cause
        return response.unwrap()

    async def submit(
        self, body: RequestT, *, detached: bool = False, progress: bool = False, **options: Unpack[CallOptions]
    ) -> Submission[ResponseT]:
        """Have the job run for ``body``; return as soon as the request was sent, which waits for room in the buffer.

        The work belongs to the client's block: its normal end waits for it, its end by an error cancels it, and a
        failure that nobody looked at is raised there. With ``detached`` it belongs to nobody. With ``progress`` its
        `Submission.progress` tells of everything that the job reports, from its start. Cancelled, nothing was sent.

        Raises:
            ProcessorStopped: The processor is gone.
            CallCycle: This is called in a job, and there can never be room.
            ValueError: The ``id`` that you chose is not answered yet.
        """
        request = new_request(body, **options)
        submission = Submission(self._asking, request, self._answered)
        if progress:
            submission._listen()
        try:
            await self._asking.send(request, submission)
        except BaseException:
            submission._stop_listening()
            raise
        if not detached:
            self._adopt(submission)
        return submission

    @asynccontextmanager
    async def map(
        self,
        bodies: Iterable[RequestT | Request[RequestT]] | AsyncIterable[RequestT | Request[RequestT]],
        *,
        max_in_flight: int | None = None,
        ordered: bool = False,
        time_limit: float = inf,
    ) -> AsyncGenerator[trio.abc.ReceiveChannel[Response[ResponseT]]]:
        """Have the job run for each of ``bodies``; the block is given a channel of their responses.

        Responses come as they are completed, or with ``ordered`` in the order of ``bodies``. Bodies are taken from the
        iterable no faster than answers are received, so it may be endless. A Request among them is sent as it is: give
        it the id by which you will know its response. Leaving the block early cancels what is not answered, and waits
        until that is gone; if an unwrapped response was what ended it, the reason is `AbortReason.SIBLING`.

        Args:
            bodies: What the job is given, one after another.
            max_in_flight: How many may be sent and not yet received from the channel; 64 by default.
            ordered: Whether to keep the order of ``bodies``; one slow job then holds up all behind it.
            time_limit: Seconds for each, counted from when it is sent; a Request may have an earlier deadline.

        Raises:
            ProcessorStopped: From the channel, when the processor is gone.
            TypeError, ValueError: An argument has a wrong type or value; the message names both.
            Others: What ``bodies`` raises ends the block, and so does `CallCycle` in a job.
        """
        limit = 64 if max_in_flight is None else max_in_flight
        check_int("max_in_flight", limit, least=1)
        check_seconds("time_limit", time_limit)
        if not isinstance(bodies, Iterable | AsyncIterable):
            raise TypeError(f"bodies must be an iterable or an async iterable, got {bodies!r}")
        mapping: Mapping[RequestT, ResponseT] = Mapping(self._asking, limit, in_order=ordered)
        options: CallOptions = {} if time_limit == inf else {"time_limit": time_limit}
        reason = AbortReason.CALLER
        try:
            async with open_hidden_nursery() as nursery:
                nursery.start_soon(mapping._feed, bodies, options)
                yield mapping
                nursery.cancel_scope.cancel(reason="the block that maps has ended")
        except (JobFailed, JobTooSlow, JobAborted):
            reason = AbortReason.SIBLING
            raise
        finally:  # when nothing is being sent any more
            await mapping._cancel_rest(reason)

    def _raise_unread(self) -> None:
        """Raise the failures of submitted work that nobody looked at."""
        failures = [failed for one in self._unread if (failed := one._unread_failure) is not None]
        self._unread.clear()
        errors = [JobFailed(failed.error, request_id=failed.id) for failed in failures]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("submitted work failed, and nobody looked at its answers", errors)

    def _adopt(self, submission: Submission[ResponseT]) -> None:
        """It was sent, and belongs to this client's block from now on."""
        if submission._is_open:
            self._submissions[submission.id] = submission
        elif submission._unread_failure is not None:
            self._unread.append(submission)

    def _answered(self, submission: Submission[ResponseT]) -> None:
        """It needs no more waiting for."""
        if self._submissions.pop(submission.id, None) is None:
            return
        if submission._unread_failure is not None:
            self._unread.append(submission)
        if not self._submissions:
            self._all_answered.set()

    # --- the end of its block

    async def _wait_all(self) -> None:
        while self._submissions:
            self._all_answered = trio.Event()
            await self._all_answered.wait()

    async def _cancel_all(self) -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for submission in self._submissions.values():
                    nursery.start_soon(submission.cancel)


async def send_receive(
    sender: trio.abc.SendChannel[Request[RequestT]],
    responses: Responses[ResponseT],
    body: RequestT,
    **options: Unpack[CallOptions],
) -> ResponseT:
    """Send a request for ``body`` and return its answer: one call, without a client around it.

    It subscribes before it sends, and leaves nothing behind however it ends; see `Client.call` for the rest.

    Args:
        sender: Where requests go.
        responses: Where answers can be had; anything with ``subscribe(ids=...)``, never an open receiver.
        body: What the job is given.
        options: ``id``, ``key``, ``priority``, ``time_limit`` and ``headers``, see `CallOptions`.
    """
    return await Client(_checked(sender), _checked_responses(responses)).call(body, **options)


@asynccontextmanager
async def open_client(
    sender: trio.abc.SendChannel[Request[RequestT]], responses: Responses[ResponseT]
) -> AsyncGenerator[Client[RequestT, ResponseT]]:
    """A client for many calls, and the block that submitted work belongs to.

    Its normal end waits for all submitted work; its end by an error, or by being cancelled, cancels that.

    Args:
        sender: Where requests go. It is not closed.
        responses: Where answers can be had; anything with ``subscribe(ids=...)``, never an open receiver.

    Raises:
        JobFailed: Submitted work failed and nobody looked at its answer; several together as an ExceptionGroup.
    """
    client: Client[RequestT, ResponseT] = Client(_checked(sender), _checked_responses(responses))
    async with open_hidden_nursery() as client._asking.nursery:
        try:
            yield client
            await client._wait_all()
        except BaseException:
            await client._cancel_all()
            raise
    client._raise_unread()


def _checked(sender: trio.abc.SendChannel[Request[RequestT]]) -> trio.abc.SendChannel[Request[RequestT]]:
    if not isinstance(sender, trio.abc.SendChannel):
        raise TypeError(f"sender must be a channel to send into, such as processor.request_sender(), got {sender!r}")
    return sender


def _checked_responses(responses: Responses[ResponseT]) -> Responses[ResponseT]:
    if not callable(getattr(responses, "subscribe", None)):
        raise TypeError(
            "responses must be something to subscribe to, such as a processor or a broadcast channel, never an open "
            f"receiver, got {responses!r}"
        )
    return responses
