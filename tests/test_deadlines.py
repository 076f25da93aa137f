"""Which of many deadlines passes next."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from trio_jobs._deadlines import Deadlines
from trio_jobs._message import Request


def request(name: str, deadline: float) -> Request[None]:
    return Request(None, id=name, deadline=deadline)


def watching(**deadlines: float) -> Deadlines:
    """The deadlines of requests with these ids."""
    watched = Deadlines()
    for name, deadline in deadlines.items():
        watched.add(request(name, deadline), accepted=0)
    return watched


def popped(deadlines: Deadlines, now: float) -> list[str]:
    return [one.request.id for one in list(deadlines.pop_due(now))]


def test_without_requests_no_deadline_passes() -> None:
    """There is nothing to wait for, for ever."""
    deadlines = Deadlines()

    assert deadlines.next == inf
    assert list(deadlines.pop_due(1e9)) == []


def test_the_earliest_is_next() -> None:
    """Whatever the order in which they were added."""
    deadlines = watching(a=3, b=1, c=2)

    assert deadlines.next == 1
    assert len(deadlines) == 3


def test_those_that_have_passed_come_earliest_first() -> None:
    """A deadline has passed when its time has come, not only after it."""
    deadlines = watching(a=3, b=1, c=2, d=4)

    assert popped(deadlines, now=3) == ["b", "c", "a"]


def test_what_was_popped_is_not_watched_any_more() -> None:
    """It is answered once."""
    deadlines = watching(a=1, b=2)
    list(deadlines.pop_due(1))

    assert popped(deadlines, now=1) == []
    assert deadlines.next == 2
    assert len(deadlines) == 1


def test_the_time_of_acceptance_comes_along() -> None:
    """The answer says how long it has waited."""
    deadlines = Deadlines()
    late = request("a", deadline=5)
    deadlines.add(late, accepted=2)

    assert list(deadlines.pop_due(5)) == [(late, 2)]


def test_equal_deadlines_pass_together() -> None:
    """None of them hides another."""
    deadlines = watching(a=1, b=1, c=1)

    assert sorted(popped(deadlines, now=1)) == ["a", "b", "c"]


def test_a_deadline_that_always_has_passed_is_due() -> None:
    """A caller whose scope is cancelled already sends such a one."""
    deadlines = watching(a=-inf)

    assert popped(deadlines, now=0) == ["a"]


def test_what_was_discarded_does_not_pass() -> None:
    """It was answered in time."""
    deadlines = watching(a=1, b=2)
    deadlines.discard("a")

    assert deadlines.next == 2
    assert popped(deadlines, now=9) == ["b"]


def test_discarding_what_is_not_watched_changes_nothing() -> None:
    """Most requests have no deadline."""
    deadlines = watching(a=1)
    deadlines.discard("b")

    assert popped(deadlines, now=1) == ["a"]


@pytest.mark.parametrize("deadline", [1, 3, 5], ids=["earlier", "same", "later"])
@pytest.mark.parametrize("discarded", [True, False])
def test_an_id_that_comes_again_has_its_new_deadline(deadline: float, discarded: bool) -> None:
    """A request that was given back is watched anew, once; its old deadline means nothing."""
    deadlines = watching(a=3)
    if discarded:
        deadlines.discard("a")
    again = request("a", deadline)
    deadlines.add(again, accepted=7)

    assert deadlines.next == deadline
    assert list(deadlines.pop_due(9)) == [(again, 7)]
    assert deadlines.next == inf


def test_what_is_discarded_does_not_pile_up() -> None:
    """Requests that are answered long before their deadline leave nothing behind for good."""
    deadlines = watching(kept=1_000, as_well=2_000)
    for number in range(10_000):
        deadlines.add(request(f"{number}", deadline=10_000 + number), accepted=0)
        deadlines.discard(f"{number}")

    assert len(deadlines._heap) <= 70
    assert popped(deadlines, now=1e9) == ["kept", "as_well"]


def test_deadlines_that_are_watched_are_not_swept_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to remove, so nothing is looked for."""
    sweeps: list[object] = []
    monkeypatch.setattr("trio_jobs._deadlines.heapify", sweeps.append)
    deadlines = Deadlines()
    for number in range(1_000):
        deadlines.add(request(f"{number}", deadline=number), accepted=0)

    assert not sweeps


def test_a_sweep_loses_nothing_that_is_watched() -> None:
    """Only what was discarded goes."""
    deadlines = Deadlines()
    for number in range(1_000):
        deadlines.add(request(f"{number}", deadline=1_000 - number), accepted=0)
    for number in range(0, 1_000, 10):
        for other in range(number + 1, number + 10):
            deadlines.discard(f"{other}")
    deadlines.add(request("last", deadline=2_000), accepted=0)

    assert len(deadlines._heap) == 101
    assert popped(deadlines, now=5_000) == [*(f"{n}" for n in range(990, -1, -10)), "last"]


@pytest.mark.parametrize("seed", range(20))
def test_it_does_as_a_plain_table_does(seed: int) -> None:
    """Added, discarded and popped at random, it holds what a dict holds."""
    random = Random(seed)
    deadlines = Deadlines()
    table: dict[str, float] = {}
    now = 0.0
    for _ in range(500):
        name = str(random.randrange(100))
        match random.randrange(4):
            case 0 | 1:
                table[name] = now + random.randrange(20)
                deadlines.add(request(name, table[name]), accepted=now)
            case 2:
                table.pop(name, None)
                deadlines.discard(name)
            case _:
                now += random.random()
                due = sorted(one for one, deadline in table.items() if deadline <= now)
                found = [(one.request.deadline, one.request.id) for one in list(deadlines.pop_due(now))]
                assert sorted(name for _, name in found) == due
                assert found == sorted(found)
                for one in due:
                    del table[one]
        assert len(deadlines) == len(table)
        assert deadlines.next == min(table.values(), default=inf)


def test_only_the_very_request_is_forgotten() -> None:
    """Another of its id is watched on."""
    deadlines = Deadlines()
    first, second = Request(1, id="same", deadline=5), Request(2, id="same", deadline=5)
    deadlines.add(first, 0)
    deadlines.forget(second)
    assert "same" in deadlines
    deadlines.forget(first)

    assert "same" not in deadlines
