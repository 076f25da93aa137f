"""What a transport is made of: Trio's channels, and a receiver of requests that settles what it hands out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeAlias, TypeVar

import attrs
import trio

from ._message import Request
from ._record import Record

T = TypeVar("T")
RequestT = TypeVar("RequestT")

Sender: TypeAlias = trio.abc.SendChannel[T]
Receiver: TypeAlias = trio.abc.ReceiveChannel[T]


class RequestReceiver(trio.abc.ReceiveChannel[Request[RequestT]]):
    """A receiver of requests that is told what became of each.

    Between `receive` and the settlement the request is held by this receiver under a lease; where a lease can end
    (never in memory), `extend` prolongs it. Every settling call is a checkpoint. Cancelled, `release` and `extend` did
    not happen.

    Raises:
        LeaseLost: From each settling call, when the request is not held by this receiver: its lease ended,
            another holds it, or it was settled already. Nothing was changed.
    """

    @abstractmethod
    async def ack(self, request: Request[Any]) -> None:
        """It was answered: it never comes again."""

    @abstractmethod
    async def release(self, request: Request[Any], delay: float = 0, *, charge: bool = False) -> None:
        """Give it back, to be received again by anyone ``delay`` seconds from now.

        With ``charge`` the next attempt counts as one more; without, this one did not count.
        """

    @abstractmethod
    async def reject(self, request: Request[Any], reason: str) -> None:
        """It can't be answered, or was answered with its final failure: keep it as a dead letter with ``reason``."""

    @abstractmethod
    async def extend(self, request: Request[Any], seconds: float) -> None:
        """Hold it for ``seconds`` from now."""


@attrs.frozen(eq=False, repr=False)
class DeadLetter(Record):
    """A request that will not be run again, and why."""

    request: Request[Any]
    """The request as it was last received."""
    reason: str
    """What was wrong, for a person to read."""
