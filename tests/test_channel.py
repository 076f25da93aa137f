"""What a receiver of requests has to do, and what it is a kind of."""

from __future__ import annotations

import attrs
import pytest
import trio

from trio_jobs import DeadLetter, Receiver, Request, RequestReceiver, Sender


def test_channels_are_trios() -> None:
    """Whatever sends and receives in Trio can be used."""
    assert Sender[int] == trio.abc.SendChannel[int]
    assert Receiver[int] == trio.abc.ReceiveChannel[int]
    assert issubclass(RequestReceiver, trio.abc.ReceiveChannel)


def test_a_receiver_of_requests_must_settle_in_every_way() -> None:
    """One that lacks a way cannot be made."""
    assert RequestReceiver.__abstractmethods__ == {"receive", "aclose", "ack", "release", "reject", "extend"}


class Remembering(RequestReceiver[str]):
    """Has one request, and remembers what became of it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def receive(self) -> Request[str]:
        return Request("body", id="r")

    async def aclose(self) -> None:
        self.events.append("closed")

    async def ack(self, request: Request[str]) -> None:
        self.events.append(f"ack {request.id}")

    async def release(self, request: Request[str], delay: float = 0, *, charge: bool = False) -> None:
        self.events.append(f"release {request.id} {delay} {charge}")

    async def reject(self, request: Request[str], reason: str) -> None:
        self.events.append(f"reject {request.id} {reason}")

    async def extend(self, request: Request[str], seconds: float) -> None:
        self.events.append(f"extend {request.id} {seconds}")


async def test_a_transport_needs_nothing_else() -> None:
    """The methods of the contract are all there is to write."""
    async with Remembering() as receiver:
        request = await receiver.receive()
        await receiver.extend(request, 5)
        await receiver.release(request, 2.0, charge=True)
        await receiver.reject(request, "broken")
        await receiver.ack(request)

    assert receiver.events == ["extend r 5", "release r 2.0 True", "reject r broken", "ack r", "closed"]


def test_a_dead_letter_says_what_and_why() -> None:
    """It is data, and cannot be changed."""
    request = Request("body")
    letter = DeadLetter(request, "its job failed three times")

    assert letter == DeadLetter(request, "its job failed three times")
    assert (letter.request, letter.reason) == (request, "its job failed three times")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        letter.reason = "other"  # type: ignore[misc]  # the mistake
