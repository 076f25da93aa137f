"""What tests of the broadcast channel say in one word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio

from trio_jobs import Lagged
from trio_jobs._broadcast import BroadcastReceiver, BroadcastSender, open_broadcast_channel


@attrs.frozen
class Item:
    """What has an id."""

    id: str
    number: int = 0


def open_channel(max_buffer_size: float = 3, *, max_replay: int | None = None) -> BroadcastSender[Any]:
    return open_broadcast_channel(max_buffer_size, max_replay=max_replay)


def send_all(sender: BroadcastSender[Any], *items: object) -> None:
    for item in items:
        sender.send_nowait(item)


async def wait_to_send(sender: BroadcastSender[Any], item: object, sent: list[object]) -> None:
    await sender.send(item)
    sent.append(item)


def everything(_: object) -> bool:
    return True


def is_even(number: int) -> bool:
    return number % 2 == 0


class Asked:
    """A predicate that remembers what it was asked."""

    def __init__(self, answer: Callable[[Any], object] = lambda _: True) -> None:
        self.items: list[Any] = []
        self._answer = answer

    def __call__(self, item: Any) -> bool:
        self.items.append(item)
        return self._answer(item)  # type: ignore[return-value]  # some tests answer with anything


def fail_on(bad: object) -> Callable[[Any], bool]:
    def predicate(item: Any) -> bool:
        if item == bad:
            raise ValueError(f"cannot judge {bad}")
        return True

    return predicate


class Log:
    """A sink that remembers what it was told."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.told: list[tuple[object, object]] = []
        self._then = then

    def _deliver(self, item: Any, cause: BaseException | None) -> None:
        self.told.append((item, cause))
        self._then()

    def _end(self, error: BaseException | None) -> None:
        self.told.append(("end", error))
        self._then()


def assert_nothing_there(receiver: BroadcastReceiver[Any]) -> None:
    with pytest.raises(trio.WouldBlock):
        receiver.receive_nowait()


def assert_ended(receiver: BroadcastReceiver[Any]) -> None:
    with pytest.raises(trio.EndOfChannel):
        receiver.receive_nowait()


def assert_nothing_left_unread(receiver: BroadcastReceiver[Any]) -> None:
    """A closed handle that somebody keeps must not keep items."""
    subscription = receiver._subscription
    assert not subscription.replayed
    assert not getattr(subscription, "items", None)


def assert_lagged(receiver: BroadcastReceiver[Any], skipped: int) -> None:
    with pytest.raises(Lagged) as caught:
        receiver.receive_nowait()

    assert caught.value.skipped == skipped
