"""The same job for many bodies: sent no faster than answers are received, as completed or in order."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from contextlib import suppress
from itertools import count
from math import inf
from typing import Any, Generic, TypeVar

import attrs
import trio

from ._asking import Asking, CallOptions, new_request, stopped
from ._current_run import running
from ._errors import ProcessorStopped
from ._message import AbortReason, Request, Response

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class _Mapped:
    """Where one of many answers goes."""

    __slots__ = ("_mapping", "place", "request", "since")

    def __init__(self, mapping: Mapping[Any, Any], place: int, request: Request[Any]) -> None:
        self._mapping = mapping
        self.place = place
        self.request = request
        self.since = trio.current_time()

    def _deliver(self, item: Response[Any], cause: BaseException | None) -> None:
        """It is answered."""
        self._mapping._answered(self, item)

    def _end(self, error: BaseException | None) -> None:
        """It will not be answered any more."""
        self._mapping._ended(self, error)


class Mapping(trio.abc.ReceiveChannel[Response[ResponseT]], Generic[RequestT, ResponseT]):
    """The channel that `Client.map` gives out, and who feeds it."""

    def __init__(self, asking: Asking[RequestT, ResponseT], limit: int, *, in_order: bool) -> None:
        self._asking = asking
        self._slots = trio.Semaphore(limit)
        self._in_order = in_order
        self._runner = running()
        self._open: dict[int, _Mapped] = {}
        self._early: dict[int, Response[ResponseT]] = {}
        self._next_place = 0
        self._places = count().__next__
        self._fed = False
        self._error: BaseException | None = None
        self._nothing_open = trio.Event()
        self._put, self._out = trio.open_memory_channel[Response[ResponseT]](inf)  # bounded by the slots

    def __repr__(self) -> str:
        return f"<responses in_flight={len(self._open)} to_receive={self._out.statistics().current_buffer_used}>"

    async def receive(self) -> Response[ResponseT]:
        """The next response. Cancelled, it is still there.

        Raises:
            trio.EndOfChannel: All are received.
            trio.ClosedResourceError: You closed this, or the block has ended.
            ProcessorStopped: The processor is gone, and so are the answers that have not come.
        """
        try:
            response = await self._out.receive()
        except trio.EndOfChannel:
            if self._error is not None:
                raise stopped(self._error) from None
            raise
        self._slots.release()
        return response

    async def aclose(self) -> None:
        """Receive nothing more; a checkpoint. The end of the block cancels what is not answered."""
        await self._out.aclose()

    async def _feed(self, bodies: Iterable[Any] | AsyncIterable[Any], options: CallOptions) -> None:
        """Send a request for each body, as slots become free."""
        if isinstance(bodies, AsyncIterable):
            async for body in bodies:
                await self._send(body, options)
        else:
            for body in bodies:
                await self._send(body, options)
        self._fed = True
        self._close_if_done()

    async def _send(self, body: Any, options: CallOptions) -> None:
        await self._slots.acquire()
        request = self._request_for(body, options)
        if self._runner is not None:
            self._asking.begin_waiting(self._runner, request)
        one = _Mapped(self, self._places(), request)
        self._open[one.place] = one
        try:
            await self._asking.send(request, one)
        except ProcessorStopped as error:
            self._ended(one, error)
            await trio.sleep_forever()  # until the block ends: there is nobody to send to
        except BaseException:
            self._close(one)
            raise

    def _request_for(self, body: Any, options: CallOptions) -> Request[Any]:
        if not isinstance(body, Request):
            return new_request(body, **options)
        request: Request[Any] = body  # pyright: ignore[reportUnknownVariableType]  # of whatever it is
        deadline = trio.current_time() + options.get("time_limit", inf)
        return request if deadline >= request.deadline else attrs.evolve(request, deadline=deadline)

    def _close(self, one: _Mapped) -> None:
        """It needs no more waiting for."""
        self._open.pop(one.place, None)
        if self._runner is not None:
            self._asking.end_waiting(self._runner, one.request)

    def _answered(self, one: _Mapped, response: Response[ResponseT]) -> None:
        """Put it where it belongs."""
        self._close(one)
        if self._in_order:
            self._early[one.place] = response
            while self._next_place in self._early:
                self._hand_out(self._early.pop(self._next_place))
                self._next_place += 1
        else:
            self._hand_out(response)
        self._close_if_done()

    def _hand_out(self, response: Response[ResponseT]) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # nobody receives any more
            self._put.send_nowait(response)

    def _ended(self, one: _Mapped, error: BaseException | None) -> None:
        """It will not come, and nothing more can be sent; what was sent before may still come."""
        self._close(one)
        self._error = error or ProcessorStopped("the channel of responses ended before all answers had come")
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._open:
            return
        self._nothing_open.set()
        if self._fed or self._error is not None:
            for place in sorted(self._early):  # behind one that will not come
                self._hand_out(self._early.pop(place))
            self._put.close()

    def _will_be_answered(self, one: _Mapped, reason: AbortReason) -> bool:
        """Abort it; whether its job still runs."""
        return not self._asking.withdraw(one.request) and self._asking.cancel(one.request, one.since, reason)

    async def _cancel_rest(self, reason: AbortReason) -> None:
        """Abort what is not answered, and wait until that is gone."""
        self._out.close()
        for one in list(self._open.values()):
            # What was done about one may have answered another.
            if one.place in self._open and not self._will_be_answered(one, reason):
                self._asking.unwatch(one.request, one)
                self._close(one)
        with trio.CancelScope(shield=True):
            while self._open:
                self._nothing_open = trio.Event()
                await self._nothing_open.wait()
