"""A limit on how many requests run at the same time, over all processors that share it."""

from __future__ import annotations

import pytest
from trio.testing import wait_all_tasks_blocked

from trio_jobs import open_processor
from trio_jobs._message import Request
from trio_jobs._waiting_room import WaitingRoom
from trio_jobs.gates import Concurrency, Hold

from ..simple_jobs import double, hang


def request(name: str) -> Request[None]:
    return Request(None, id=name)


def room_with(gate: Concurrency, *names: str) -> WaitingRoom:
    room = WaitingRoom(gates=[gate])
    for name in names:
        room.add(request(name), now=0)
    return room


def take_all(room: WaitingRoom) -> list[str]:
    """The ids of all that may start, in their order."""
    return [one.id for one in iter(lambda: room.take(0), None)]


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_than_the_limit_run(limit: int) -> None:
    """Those behind wait."""
    room = room_with(Concurrency(limit), "a", "b", "c", "d")

    assert take_all(room) == ["a", "b", "c", "d"][:limit]
    assert len(room) == 4 - limit


def test_an_end_lets_the_one_that_has_waited_longest_start() -> None:
    """One slot, one start."""
    room = room_with(Concurrency(2), "a", "b", "c", "d")
    take_all(room)

    room.finished(request("b"), now=1)

    assert take_all(room) == ["c"]


def test_several_processors_share_one_limit() -> None:
    """What ends in one makes room in the other, which is told."""
    gate = Concurrency(2)
    one, other = room_with(gate, "a", "b"), room_with(gate, "x", "y")
    told: list[str] = []
    other.on_ready = lambda: told.append("other")
    assert take_all(one) == ["a", "b"]
    assert take_all(other) == []

    one.finished(request("a"), now=1)

    assert told == ["other"]
    assert take_all(other) == ["x"]
    assert take_all(other) == []
    other.finished(request("x"), now=1)
    assert take_all(other) == ["y"]


def test_who_waits_for_it_holds_no_slot_of_its_processor() -> None:
    """A slot is taken by what runs."""
    gate = Concurrency(1)
    take_all(room_with(gate, "other"))
    room = room_with(gate, "a")

    assert take_all(room) == []
    assert room.running == 0


def test_a_no_names_what_it_waits_for() -> None:
    """It is the same for whoever asks."""
    gate = Concurrency(1)
    assert gate.ask(request("a"), now=0) is None
    gate.started(request("a"), now=0)

    assert gate.ask(request("b"), now=0) == Hold("slot", "waits for one of 1 shared slots", everyone=True)


def test_asking_takes_no_slot() -> None:
    """Another gate may still say no."""
    gate = Concurrency(1)

    assert gate.ask(request("a"), now=0) is None
    assert gate.ask(request("b"), now=0) is None
    assert gate.running == 0


def test_it_shows_how_many_run() -> None:
    """Of how many there may be."""
    gate = Concurrency(3)
    take_all(room_with(gate, "a", "b"))

    assert repr(gate) == "<Concurrency 2/3>"


@pytest.mark.parametrize("limit", [1.5, None, True])
def test_a_limit_that_is_no_number_is_refused(limit: object) -> None:
    """There is no half slot."""
    with pytest.raises(TypeError, match=f"^limit must be an int, got {limit}$"):
        Concurrency(limit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_limit_that_lets_nothing_run_is_refused() -> None:
    """Everything would wait for ever."""
    with pytest.raises(ValueError, match=r"^limit must be at least 1, got 0$"):
        Concurrency(0)


async def test_a_request_that_is_interrupted_gives_its_shared_slot_back() -> None:
    """One processor is drained, and the other goes on."""
    gate = Concurrency(1)
    async with open_processor(hang, gates=[gate]) as one, open_processor(double, gates=[gate]) as other:
        await one.submit(None, detached=True)
        await wait_all_tasks_blocked()
        answer = await other.submit(21)
        await wait_all_tasks_blocked()
        assert other.statistics().running == 0
        await one.drain(0)

        assert (await answer.wait()).unwrap() == 42
