"""Where requests wait until they may start: who comes next, what keeps them, what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from functools import partial
from math import inf
from random import Random
from typing import Any

import pytest

from trio_jobs._message import Request
from trio_jobs._waiting_room import Gate, Hold, WaitingRoom, _is_awaited
from trio_jobs.gates import Concurrency


def request(name: str, key: str | None = None) -> Request[None]:
    return Request(None, id=name, key=key)


def add(room: WaitingRoom, *names: str, now: float = 0) -> None:
    """Add a request for each name: ``a`` has no key, ``a/k`` the key k."""
    for name in names:
        _, slash, key = name.partition("/")
        room.add(request(name, key if slash else None), now)


def take(room: WaitingRoom, now: float = 0) -> str | None:
    """The id of the next that may start."""
    taken = room.take(now)
    return None if taken is None else taken.id


def take_all(room: WaitingRoom, now: float = 0) -> list[str]:
    """The ids of all that may start, in their order."""
    return [*iter(lambda: take(room, now), None)]


def ids(room: WaitingRoom) -> list[str]:
    return [one.id for one in room]


class Scripted(Gate):
    """Says to whom it says no: a set of ids, or a function of the request and the time. It notes all it is told."""

    def __init__(self, no_to: Callable[[Request[Any], float], bool] | None = None, **hold: Any) -> None:
        super().__init__()
        self.closed: set[Hashable] = set()
        self.asked: list[str] = []
        self.told: list[str] = []
        self._no_to = no_to
        self._hold = hold

    def on(self, one: Request[Any]) -> Hashable:
        return one.key

    def ask(self, request: Request[Any], now: float) -> Hold | None:
        self.asked.append(request.id)
        on = self.on(request)
        no = on in self.closed if self._no_to is None else self._no_to(request, now)
        return Hold(on, f"waits for {on}", **self._hold) if no else None

    def started(self, request: Request[Any], now: float) -> None:
        self.told.append(f"started {request.id} at {now:g}")

    def finished(self, request: Request[Any], now: float) -> None:
        self.told.append(f"finished {request.id} at {now:g}")

    def open(self, on: Hashable) -> None:
        """Say yes to those who want ``on`` from now on, and tell the rooms."""
        self.closed.discard(on)
        self.free(on)


class OnePerKey(Gate):
    """At most one request of a key runs."""

    def __init__(self) -> None:
        super().__init__()
        self.running: set[str | None] = set()
        self.asked = 0

    def ask(self, request: Request[Any], now: float) -> Hold | None:
        self.asked += 1
        return Hold(request.key, f"waits for key {request.key!r}") if request.key in self.running else None

    def started(self, request: Request[Any], now: float) -> None:
        self.running.add(request.key)

    def finished(self, request: Request[Any], now: float) -> None:
        self.running.remove(request.key)
        self.free(request.key)


class OnePerSecond(Gate):
    """At most one request starts in a second."""

    def __init__(self) -> None:
        super().__init__()
        self.next = -inf
        self.asked = 0

    def ask(self, request: Request[Any], now: float) -> Hold | None:
        self.asked += 1
        return Hold("a start", "waits for the next second", until=self.next) if now < self.next else None

    def started(self, request: Request[Any], now: float) -> None:
        self.next = now + 1

    def finished(self, request: Request[Any], now: float) -> None:
        pass


# -- Without gates


def test_an_empty_room_gives_nothing() -> None:
    """There is nothing to take and nothing to wait for."""
    room = WaitingRoom()

    assert take(room) is None
    assert len(room) == 0
    assert not room.may_start
    assert room.next_time == inf


def test_requests_start_in_the_order_in_which_they_were_accepted() -> None:
    """First come, first served."""
    room = WaitingRoom()
    add(room, "a", "b", "c")

    assert ids(room) == ["a", "b", "c"]
    assert take_all(room) == ["a", "b", "c"]
    assert len(room) == 0


def test_what_was_taken_was_accepted_at_some_time() -> None:
    """The answer will say how long it waited."""
    room = WaitingRoom()
    add(room, "a", now=1)
    add(room, "b", now=2.5)

    assert take(room, now=3) == "a"
    assert room.accepted == 1
    assert take(room, now=3) == "b"
    assert room.accepted == 2.5


def test_no_more_run_than_there_are_slots() -> None:
    """A slot that becomes free is taken by the next."""
    room = WaitingRoom(concurrency=2)
    add(room, "a", "b", "c")

    assert take_all(room) == ["a", "b"]
    assert not room.may_start
    room.finished(request("a"), now=0)
    assert room.may_start
    assert take_all(room) == ["c"]


def test_a_paused_room_gives_nothing_until_it_is_not() -> None:
    """It accepts all the same, and loses nothing."""
    room = WaitingRoom()
    room.paused = True
    add(room, "a")

    assert take(room) is None
    assert not room.may_start
    assert len(room) == 1
    room.paused = False
    assert room.may_start
    assert take(room) == "a"


def test_what_is_given_back_comes_before_what_came_later() -> None:
    """It was accepted before them."""
    room = WaitingRoom()
    add(room, "a", "b", "c")
    first, second = room.take(0), room.take(0)
    assert first is not None
    assert second is not None
    room.give_back(first, now=5)
    room.give_back(second, now=6)

    assert len(room) == 3
    assert take_all(room, now=7) == ["a", "b", "c"]


def test_what_is_given_back_waits_anew() -> None:
    """The time that it ran is no time that it waited."""
    room = WaitingRoom()
    room.give_back(request("a"), now=5)

    assert take(room, now=6) == "a"
    assert room.accepted == 5


def test_what_is_given_back_with_a_delay_waits_for_its_time() -> None:
    """Nobody gets it before, and then it comes before those who came later."""
    room = WaitingRoom()
    room.give_back(request("a"), now=1, delay=2)
    add(room, "b", "c")

    assert room.next_time == 3
    assert len(room) == 3
    assert take(room, now=2) == "b"
    room.wake(2.9)
    assert ids(room) == ["c", "a"]
    room.wake(3)
    assert room.next_time == inf
    assert take_all(room, now=3) == ["a", "c"]


def test_delays_end_in_the_order_of_theirtimes() -> None:
    """Not in that in which they began."""
    room = WaitingRoom()
    for name, delay in {"a": 3, "b": 1, "c": 2}.items():
        room.give_back(request(name), now=0, delay=delay)

    room.wake(3)

    assert take_all(room, now=3) == ["b", "c", "a"]


def test_equal_delays_end_in_the_order_in_which_they_began() -> None:
    """Requests themselves are never compared."""
    room = WaitingRoom()
    for name in "cab":
        room.give_back(request(name), now=0, delay=1)

    room.wake(1)

    assert take_all(room, now=1) == ["c", "a", "b"]


def test_what_waits_for_long_in_an_endless_stream_costs_no_memory() -> None:
    """The packed times of those who have left are trimmed, and those of the others stay theirs."""
    room = WaitingRoom()
    for number in range(700):
        add(room, f"{number}", now=number)
    for number in range(5_000):
        add(room, f"{700 + number}", now=700 + number)
        assert take(room, now=10_000) == f"{number}"
        assert room.accepted == number
        assert len(room._line.times) <= 2 * 701 + 2

    assert [one.accepted for one in room._everyone()] == [*range(5_000, 5_700)]


def test_what_is_dropped_and_never_has_its_turn_costs_no_memory() -> None:
    """All slots may be taken for ever while callers come and give up; those who still wait keep their order."""
    room = WaitingRoom(concurrency=1)
    add(room, "runs")
    take(room)
    add(room, "first")
    for number in range(5_000):
        add(room, f"{number}")
        room.drop(f"{number}")
        assert len(room._line) <= 200
    add(room, "last")

    assert ids(room) == ["first", "last"]
    room.finished(request("runs"), now=0)
    assert take(room) == "first"


def test_dropped_requests_are_swept_out_of_groups_too() -> None:
    """Of those that a gate keeps, and of those that were freed and are asked about next."""
    gate = OnePerKey()
    room = WaitingRoom(gates=[gate])
    for key in ("a", "b"):
        add(room, f"{key} runs/{key}")
        take(room)
        add(room, *(f"{key}{number}/{key}" for number in range(100)))
    assert take(room) is None
    gate.running.remove("b")
    gate.free("b")
    for number in range(100):
        room.drop(f"a{number}/a")
        room.drop(f"b{number}/b")

    assert len(room) == 0
    assert sum(len(line) for line in room._lines()) <= 65
    assert take(room) is None


def test_a_small_line_is_not_trimmed_at_every_step() -> None:
    """That would move all times for each request taken."""
    room = WaitingRoom()
    for number in range(512):
        add(room, f"{number}")
        take(room)

    assert len(room._line.times) == 512


# -- Gates


def test_gates_are_asked_in_their_order_and_told_of_starts_and_ends() -> None:
    """All of them, once each."""
    one, other = Scripted(), Scripted()
    room = WaitingRoom(gates=[one, other])
    add(room, "a")

    assert take(room, now=2) == "a"
    room.finished(request("a"), now=3)
    assert one.asked == other.asked == ["a"]
    assert one.told == other.told == ["started a at 2", "finished a at 3"]


def test_a_gate_behind_the_one_that_says_no_is_not_asked() -> None:
    """And none is told of a start that is none."""
    one, other = Scripted(), Scripted()
    one.closed = {"k"}
    room = WaitingRoom(gates=[one, other])
    add(room, "a/k")

    assert take(room) is None
    assert one.asked == ["a/k"]
    assert other.asked == []
    assert one.told == other.told == []


def test_those_behind_a_kept_request_start() -> None:
    """Who waits for a key holds up nobody else, and no slot."""
    gate = Scripted()
    gate.closed = {"k"}
    room = WaitingRoom(concurrency=2, gates=[gate])
    add(room, "a/k", "b", "c/k", "d")

    assert take_all(room) == ["b", "d"]
    assert room.running == 2
    assert len(room) == 2
    assert not room.may_start
    assert ids(room) == ["a/k", "c/k"]


def test_a_kept_request_is_not_asked_about_again_before_it_is_freed() -> None:
    """However many start and end in between."""
    gate = Scripted()
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add(room, "a/k", "b", "c")
    take_all(room)
    gate.asked.clear()
    add(room, "d")
    room.finished(request("b"), now=0)

    assert take_all(room) == ["d"]
    assert gate.asked == ["d"]


def test_freed_requests_start_in_their_order_before_those_who_came_later() -> None:
    """And with the time at which they were accepted."""
    gate = Scripted()
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add(room, "a/k", "b/k", now=1)
    assert take(room, now=2) is None
    add(room, "c", now=3)

    gate.open("k")

    assert room.may_start
    assert take(room, now=4) == "a/k"
    assert room.accepted == 1
    assert take_all(room, now=4) == ["b/k", "c"]
    assert not room._kept


def test_freeing_something_else_changes_nothing() -> None:
    """Only those who wait for it are asked about again, and nobody is told that something could be taken."""
    gate = Scripted()
    gate.closed = {"k", "l"}
    room = WaitingRoom(gates=[gate])
    ready: list[None] = []
    room.on_ready = lambda: ready.append(None)
    add(room, "a/k", "b/l")
    take_all(room)

    gate.free("m")
    assert not room.may_start
    assert ready == []
    gate.open("l")
    assert take_all(room) == ["b/l"]
    assert len(ready) == 1


def test_two_gates_may_use_one_word() -> None:
    """What one keeps the other does not free."""
    one, other = Scripted(), Scripted()
    one.closed = {"k"}
    room = WaitingRoom(gates=[one, other])
    add(room, "a/k")
    take(room)
    one.closed.clear()

    other.free("k")
    assert take(room) is None
    one.free("k")
    assert take(room) == "a/k"


def test_a_freed_request_may_be_kept_by_the_next_gate() -> None:
    """Then it waits for that one, with the time at which it was accepted."""
    one, other = Scripted(), Scripted()
    one.closed = other.closed = {"k"}
    room = WaitingRoom(gates=[one, other])
    add(room, "a/k", now=1)
    take(room, now=1)
    one.closed = set()
    one.free("k")

    assert take(room, now=2) is None
    assert not room.may_start
    one.free("k")
    assert not room.may_start
    other.open("k")
    assert take(room, now=3) == "a/k"
    assert room.accepted == 1


def test_another_no_for_the_same_keeps_all_who_wait_for_it() -> None:
    """The first of them is asked about, which is enough."""
    gate = Scripted()
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add(room, "a/k", "b/k", "c/k", "d")
    take_all(room)
    gate.asked.clear()
    add(room, "e")

    gate.free("k")

    assert take_all(room) == ["e"]
    assert gate.asked == ["a/k", "e"]
    gate.open("k")
    assert take_all(room) == ["a/k", "b/k", "c/k"]


def test_who_was_freed_and_is_kept_again_stays_before_those_kept_later() -> None:
    """One slot for a key goes from the oldest to the next oldest."""
    gate = OnePerKey()
    room = WaitingRoom(gates=[gate])
    add(room, "a/k", "b/k", "c/k")
    assert take_all(room) == ["a/k"]
    add(room, "d/k")
    assert take_all(room) == []

    for finished, next_one in [("a/k", "b/k"), ("b/k", "c/k"), ("c/k", "d/k")]:
        room.finished(request(finished, "k"), now=0)
        assert take_all(room) == [next_one]


def test_what_is_freed_twice_is_asked_about_once() -> None:
    """Two ends before the next start are no reason to hurry."""
    gate = Scripted()
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add(room, "a/k")
    take(room)
    gate.asked.clear()
    gate.free("k")
    gate.open("k")

    assert take_all(room) == ["a/k"]
    assert gate.asked == ["a/k"]


def test_a_request_may_join_those_who_were_freed_a_moment_ago() -> None:
    """It is kept for the same, and starts after them."""
    one, other = Scripted(), Scripted()
    one.closed, other.closed = {"k"}, {"k"}
    other.on = lambda one: "all"  # type: ignore[method-assign]
    other.closed = {"all"}
    room = WaitingRoom(gates=[one, other])
    add(room, "a/k", "b")
    assert take_all(room) == []
    one.open("k")
    other.open("all")
    other.closed = {"all"}

    assert take_all(room) == []
    other.open("all")
    assert sorted(take_all(room)) == ["a/k", "b"]


def test_a_gate_that_raises_costs_no_request() -> None:
    """Whose turn it was keeps its place."""
    gate = Scripted(no_to=lambda request, now: 1 / now < 0)
    room = WaitingRoom(gates=[gate])
    add(room, "a", "b")

    with pytest.raises(ZeroDivisionError):
        room.take(0)

    assert ids(room) == ["a", "b"]
    assert len(room) == 2
    assert room.running == 0
    assert take_all(room, now=1) == ["a", "b"]


def test_a_gate_frees_what_it_keeps_in_every_room_that_shares_it() -> None:
    """Each is told that something may be taken."""
    gate = Scripted()
    gate.closed = {"k"}
    rooms = [WaitingRoom(gates=[gate]) for _ in range(2)]
    ready: list[str] = []
    for name, room in zip(["one", "other"], rooms, strict=True):
        room.on_ready = partial(ready.append, name)
        add(room, f"{name}/k")
        assert take(room) is None

    gate.open("k")

    assert ready == ["one", "other"]
    assert [take(room) for room in rooms] == ["one/k", "other/k"]


def test_a_room_that_was_closed_hears_no_more() -> None:
    """The gate goes on serving the others."""
    gate = Scripted()
    gate.closed = {"k"}
    closed, other = WaitingRoom(gates=[gate]), WaitingRoom(gates=[gate])
    for room in (closed, other):
        add(room, "a/k")
        take(room)

    closed.close()
    gate.open("k")

    assert not closed.may_start
    assert take(other) == "a/k"


def test_a_room_without_anybody_to_tell_frees_all_the_same() -> None:
    """Who takes by itself needs not be told."""
    gate = Scripted()
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add(room, "a/k")
    take(room)

    gate.open("k")

    assert take(room) == "a/k"


# -- A no to everyone


def test_after_a_no_to_everyone_nobody_else_is_asked_about() -> None:
    """The others stay in their line, and their order."""
    gate = Scripted(everyone=True)
    gate.closed = {None}
    room = WaitingRoom(gates=[gate])
    add(room, "a", "b", "c")

    assert take_all(room) == []
    assert take_all(room) == []
    assert gate.asked == ["a"]
    assert not room.may_start
    assert len(room) == 3
    gate.open(None)
    assert room.may_start
    assert take_all(room) == ["a", "b", "c"]


def test_a_no_to_everyone_ends_when_its_time_has_come() -> None:
    """Without anything being freed."""
    gate = Scripted(no_to=lambda request, now: now < 5, everyone=True, until=5)
    room = WaitingRoom(gates=[gate])
    add(room, "a", "b")
    take_all(room)

    room.wake(5)

    assert take_all(room, now=5) == ["a", "b"]


def test_a_no_to_everyone_keeps_those_too_who_are_freed_meanwhile() -> None:
    """They come to their turn when that is over."""
    keys, all_ = Scripted(), Scripted(everyone=True)
    keys.closed = {"k"}
    room = WaitingRoom(gates=[keys, all_])
    add(room, "a/k", "b", "c")
    assert take(room) == "b"
    all_.closed = {None, "k"}
    assert take(room) is None
    keys.open("k")

    assert take(room) is None
    all_.open(None)
    assert take(room) is None
    all_.open("k")
    assert take_all(room) == ["c", "a/k"]


def test_a_no_to_everyone_may_concern_what_was_freed_a_moment_ago() -> None:
    """It is freed once more, and then it counts."""
    keys, all_ = Scripted(), Scripted(everyone=True)
    all_.on = lambda one: "all"  # type: ignore[method-assign]
    keys.closed, all_.closed = {"k"}, {"all"}
    room = WaitingRoom(gates=[keys, all_])
    add(room, "a/k", "b")
    assert take_all(room) == []
    keys.open("k")
    all_.free("all")

    assert take_all(room) == []
    assert not room.may_start
    all_.open("all")
    assert room.may_start
    assert sorted(take_all(room)) == ["a/k", "b"]


# -- Time


def test_a_kept_request_starts_when_its_time_has_come() -> None:
    """Not before, and without anything being freed."""
    gate = Scripted(no_to=lambda request, now: now < 5, until=5)
    room = WaitingRoom(gates=[gate])
    ready: list[None] = []
    room.on_ready = lambda: ready.append(None)
    add(room, "a")

    assert take(room, now=1) is None
    assert room.next_time == 5
    room.wake(4.9)
    assert take(room, now=4.9) is None
    assert ready == []
    room.wake(5)
    assert len(ready) == 1
    assert take(room, now=5) == "a"
    assert room.next_time == inf
    assert not room._kept


def test_what_was_freed_before_its_time_is_not_woken_again() -> None:
    """Its time means nothing any more."""
    gate = Scripted(until=5)
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add(room, "a/k")
    take(room)
    gate.open("k")

    assert room.next_time == inf
    assert take(room) == "a/k"
    room.wake(5)
    assert take(room, now=5) is None
    assert len(room) == 0


def test_a_time_that_has_come_and_is_not_enough_is_put_off() -> None:
    """As often as the gate likes."""
    gate = OnePerSecond()
    room = WaitingRoom(gates=[gate])
    add(room, "a", "b", "c")
    assert take_all(room, now=0.5) == ["a"]

    assert room.next_time == 1.5
    room.wake(1.5)
    assert take_all(room, now=1.5) == ["b"]
    assert room.next_time == 2.5
    room.wake(2.5)
    assert take_all(room, now=2.5) == ["c"]


def test_of_two_times_for_the_same_the_earlier_one_counts() -> None:
    """Nobody waits longer than it has to."""
    times = {"a": 9.0, "b": 4.0, "c": 7.0}

    class Until(Scripted):
        def ask(self, request: Request[Any], now: float) -> Hold | None:
            until = times[request.id]
            return Hold("time", "waits", until=until) if now < until else None

    room = WaitingRoom(gates=[Until()])
    add(room, "a", "b", "c")
    take_all(room)

    assert room.next_time == 4


def test_a_time_means_nothing_once_all_who_waited_for_it_have_started() -> None:
    """They were freed together with others a moment before, and the time came before it was looked at."""
    kept = {"a", "b"}
    late = {"y"}
    one = Scripted(no_to=lambda request, now: request.id in kept)
    other = Scripted(no_to=lambda request, now: request.id in late and now < 9, until=9)
    room = WaitingRoom(gates=[one, other])
    add(room, "y")
    assert take(room) is None
    add(room, "a", "b")
    assert take(room) is None
    kept.clear()
    late.clear()
    late.add("a")
    one.free(None)
    other.free(None)

    assert take(room) == "b"
    assert take_all(room, now=9) == ["y", "a"]
    room.wake(9)
    assert take_all(room, now=9) == []
    assert room.next_time == inf


def test_many_times_are_not_looked_at_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is swept is worth it: ten thousand delays cost a few looks each."""
    looks: list[None] = []

    def look(entry: Any) -> bool:
        looks.append(None)
        return _is_awaited(entry)

    monkeypatch.setattr("trio_jobs._waiting_room._is_awaited", look)
    room = WaitingRoom()
    for number in range(10_000):
        room.give_back(request(f"{number}"), now=0, delay=1 + number)

    assert len(looks) < 30_000


def test_times_that_mean_nothing_any_more_do_not_pile_up() -> None:
    """What is freed long before its time leaves nothing behind for good."""
    gate = Scripted()
    gate._hold = {"until": 1_000_000}
    room = WaitingRoom(gates=[gate])
    room.give_back(request("delayed"), now=0, delay=2_000_000)
    for number in range(5_000):
        gate.closed = {f"{number}"}
        gate._hold = {"until": 1_000_000 + number}
        add(room, f"r/{number}")
        take(room)
        gate.open(f"{number}")
        assert take(room) == f"r/{number}"

    assert len(room.timed) <= 70
    assert not room._kept
    assert room.next_time == 2_000_000


def test_those_whose_time_came_leave_nothing_behind() -> None:
    """A gate that never frees anything, such as one for a rate, costs no memory."""
    gate = OnePerSecond()
    room = WaitingRoom(gates=[gate])
    add(room, *(f"{number}" for number in range(1_000)))
    for second in range(1_000):
        room.wake(second)
        assert take_all(room, now=second) == [f"{second}"]

    assert not room._kept
    assert not room.timed


# -- Dropping and finding


def test_a_dropped_request_does_not_start() -> None:
    """Nor does it count as waiting, and the gates are not bothered."""
    gate = Scripted()
    room = WaitingRoom(gates=[gate])
    add(room, "a", "b", "c")

    room.drop("b")

    assert len(room) == 2
    assert ids(room) == ["a", "c"]
    assert take_all(room) == ["a", "c"]
    assert gate.asked == ["a", "c"]
    assert not room._dropped


def test_a_request_dropped_while_kept_does_not_start_when_freed() -> None:
    """Those behind it do."""
    gate = Scripted()
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add(room, "a/k", "b/k")
    take_all(room)

    room.drop("a/k")

    assert ids(room) == ["b/k"]
    gate.open("k")
    assert take_all(room) == ["b/k"]
    assert len(room) == 0


def test_a_request_dropped_while_delayed_does_not_come_back() -> None:
    """Its time comes and nothing happens."""
    room = WaitingRoom()
    room.give_back(request("a"), now=0, delay=5)

    room.drop("a")

    assert ids(room) == []
    room.wake(5)
    assert take_all(room, now=5) == []


def test_an_id_may_come_again_after_it_was_dropped() -> None:
    """The new one is not skipped in place of the old one, wherever that still is."""
    gate = Scripted()
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add(room, "kept/k", "line")
    room.take(0)
    room.finished(request("line"), now=0)
    room.give_back(request("delayed"), now=0, delay=5)
    room.paused = True
    add(room, "line", "other")
    for name in ["kept/k", "delayed", "line"]:
        room.drop(name)
    again = [Request("again", id=name) for name in ["delayed", "kept/k", "line"]]

    for one in again:
        room.add(one, now=1)

    assert [*room] == [request("other"), *again]
    room.paused = False
    gate.open("k")
    room.wake(5)
    assert [*iter(lambda: room.take(5), None)] == [request("other"), *again]
    assert len(room) == 0
    assert not room._dropped
    assert room.next_time == inf


def test_what_is_given_back_may_have_been_dropped_before_under_its_id() -> None:
    """The old one is gone, the new one waits."""
    room = WaitingRoom()
    add(room, "a", "b")
    room.drop("a")
    again = Request("again", id="a")

    room.give_back(again, now=1)

    assert [*room] == [again, request("b")]
    assert room.take(1) is again
    assert take_all(room) == ["b"]


@pytest.mark.parametrize("looked_up", [False, True], ids=["no table", "table"])
def test_of_two_requests_with_one_id_one_is_dropped(looked_up: bool) -> None:
    """The other is still there to be seen, found and taken."""
    room = WaitingRoom()
    add(room, "a", "b", "a")
    if looked_up:
        assert room.find("a") is not None

    room.drop("a")

    assert len(room) == 2
    assert sorted(ids(room)) == ["a", "b"]
    assert room.find("a") is not None
    assert sorted(take_all(room)) == ["a", "b"]
    assert room.find("a") is None


def test_two_requests_with_one_id_may_both_be_dropped() -> None:
    """Nothing is left of them."""
    room = WaitingRoom()
    add(room, "a", "b", "a")
    room.drop("a")
    room.drop("a")

    assert ids(room) == ["b"]
    assert take_all(room) == ["b"]
    assert not room._dropped


def test_two_dropped_requests_with_one_id_make_room_for_a_third() -> None:
    """Each was dropped, the third was not."""
    room = WaitingRoom()
    add(room, "a", "b", "a")
    room.drop("a")
    room.drop("a")
    third = Request("third", id="a")

    room.add(third, now=0)

    assert [*room] == [request("b"), third]
    assert [*iter(lambda: room.take(0), None)] == [request("b"), third]


def test_one_of_two_with_one_id_stays_when_a_third_comes() -> None:
    """One was dropped, not both."""
    room = WaitingRoom()
    add(room, "a", "b", "a")
    room.drop("a")
    third = Request("third", id="a")

    room.add(third, now=0)

    assert [*room] == [request("b"), request("a"), third]
    assert len(room) == 3


def test_times_keep_their_order_when_one_of_them_is_taken_out() -> None:
    """What was dropped makes way for one of the same id; the others come back each at its time."""
    room = WaitingRoom()
    for name, delay in {"a": 1, "b": 5, "c": 2, "d": 6, "e": 7, "f": 3}.items():
        room.give_back(request(name), now=0, delay=delay)
    room.drop("a")
    room.give_back(request("a"), now=0, delay=4)

    woken: list[str] = []
    while room.next_time < inf:
        now = room.next_time
        room.wake(now)
        woken += take_all(room, now)

    assert woken == ["c", "f", "a", "b", "d", "e"]


@pytest.mark.parametrize("looked_up", [False, True], ids=["no table", "table"])
def test_of_two_requests_with_one_id_one_is_found_while_one_waits(looked_up: bool) -> None:
    """Taking the first does not hide the second."""
    room = WaitingRoom()
    add(room, "a")
    if looked_up:
        assert room.find("a") is not None
    add(room, "a", now=1)

    room.take(1)

    found = room.find("a")
    assert found is not None
    assert found.accepted == 1
    room.take(1)
    assert room.find("a") is None


def test_what_is_found_waits_since_some_time() -> None:
    """In line, kept or delayed."""
    gate = Scripted()
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add(room, "kept/k", now=1)
    room.take(1)
    add(room, "line", now=2)
    room.give_back(request("delayed"), now=3, delay=5)

    assert room.find("kept/k") == (request("kept/k", "k"), 1)
    assert room.find("line") == (request("line"), 2)
    assert room.find("delayed") == (request("delayed"), 3)
    assert room.find("other") is None


def test_the_first_look_up_makes_a_table_and_later_ones_use_it() -> None:
    """It is kept up to date by everything that comes and goes, and costs nothing before."""
    room = WaitingRoom()
    add(room, "a", "b")
    assert not room._index
    assert room.find("a") is not None
    table = room._index

    add(room, "c")
    room.take(0)
    room.drop("b")
    room.give_back(request("d"), now=1)

    assert room._index is table
    assert table is not None
    assert [*table] == ["c", "d"]
    assert room.find("a") is None
    assert room.find("d") == (request("d"), 1)


# -- For a person


def test_why_a_request_waits_is_said_in_words() -> None:
    """By the gate that keeps it, or by what else it waits for."""
    gate = Scripted()
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add(room, "kept/k", "other")
    room.take(0)
    add(room, "line")
    room.give_back(request("delayed"), now=0, delay=5)

    assert room.why("kept/k") == "waits for k"
    assert room.why("delayed") == "was given back with a delay"
    assert room.why("line") == "waits for its turn"
    room.paused = True
    assert room.why("line") == "paused"
    assert room.why("kept/k") == "waits for k"
    room.paused = False
    gate.open("k")
    assert room.why("kept/k") == "waits for its turn"


def test_a_no_to_everyone_is_why_all_of_them_wait() -> None:
    """Also those that nobody was asked about."""
    room = WaitingRoom(gates=[Scripted(no_to=lambda request, now: True, everyone=True)])
    add(room, "a", "b")
    room.take(0)

    assert room.why("a") == room.why("b") == "waits for None"


def test_looking_at_those_who_wait_shows_all_of_them_once() -> None:
    """In line, given back, kept, freed and delayed."""
    gate = Scripted()
    gate.closed = {"k", "l"}
    room = WaitingRoom(gates=[gate])
    add(room, "a/k", "b/l", "c")
    take_all(room)
    room.give_back(request("c"), now=0)
    room.give_back(request("d"), now=0, delay=1)
    add(room, "e")
    gate.open("l")

    assert ids(room) == ["b/l", "c", "e", "a/k", "d"]
    assert len(room) == 5


# -- What it costs


def add_many(room: WaitingRoom, key: str) -> None:
    """Ten thousand requests, which for once are the same."""
    many = request("many", key)
    for _ in range(10_000):
        room.add(many, now=0)


def test_a_start_costs_nothing_for_those_who_are_kept() -> None:
    """Ten thousand wait for a key; a start, an end and the next start look at a handful."""
    gate = OnePerKey()
    room = WaitingRoom(gates=[gate])
    add_many(room, "k")
    assert take_all(room) == ["many"]
    gate.asked = 0

    add(room, "other/l")
    assert take_all(room) == ["other/l"]
    assert gate.asked == 1
    room.finished(request("many", "k"), now=0)
    assert take_all(room) == ["many"]
    assert gate.asked == 3


def test_a_rate_costs_nothing_for_those_who_wait_for_it() -> None:
    """Once they are kept, ten thousand cost each second two questions."""
    gate = OnePerSecond()
    room = WaitingRoom(gates=[gate])
    add_many(room, "k")
    assert take_all(room) == ["many"]
    gate.asked = 0

    room.wake(1)

    assert take_all(room, now=1) == ["many"]
    assert gate.asked == 2


def test_a_no_to_everyone_costs_nothing_for_those_who_wait() -> None:
    """Ten thousand wait, and at most one of them was ever asked about at a time."""
    gate = Scripted(everyone=True)
    gate.closed = {"k"}
    room = WaitingRoom(gates=[gate])
    add_many(room, "k")

    assert take_all(room) == []
    gate.free("k")
    assert take_all(room) == []
    assert gate.asked == ["many", "many"]


# -- Against a plain list


class Model:
    """What a room holds, as a plain list; and whoever is running."""

    def __init__(self, random: Random, gates: list[Gate]) -> None:
        self.random = random
        self.gates = gates
        self.room = WaitingRoom(random.choice([1, 2, 5, inf]), gates)
        self.waiting: list[
            tuple[Request[Any], float, float]
        ] = []  # with the times of acceptance and of the delay's end
        self.running: list[Request[Any]] = []

    def add(self, now: float, name: str) -> None:
        one = request(name, self.random.choice("klm"))
        self.room.add(one, now)
        self.waiting.append((one, now, now))

    def take(self, now: float) -> None:
        if self.room.next_time <= now:
            self.room.wake(now)
        taken = self.room.take(now)
        if taken is None:
            assert not self.startable(now)
            return
        place = next(n for n, (one, _, _) in enumerate(self.waiting) if one is taken)
        _, accepted, not_before = self.waiting.pop(place)
        assert accepted == self.room.accepted
        assert not_before <= now
        self.running.append(taken)

    def startable(self, now: float) -> list[str]:
        """Those whom nothing keeps, by definition: every gate is asked about every one."""
        if self.room.paused or self.room.running >= self.room.concurrency:
            return []
        return [
            one.id
            for one, _, not_before in self.waiting
            if not_before <= now and all(gate.ask(one, now) is None for gate in self.gates)
        ]

    def finish(self, now: float) -> None:
        if self.running:
            one = self.running.pop(self.random.randrange(len(self.running)))
            self.room.finished(one, now)
            if self.random.random() < 0.3:
                delay = self.random.choice([0, 0, 1, 2.5])
                self.room.give_back(one, now, delay)
                self.waiting.append((one, now, now + delay))

    def drop(self) -> None:
        if self.waiting:
            name = self.random.choice(self.waiting)[0].id
            same = [place for place, (one, _, _) in enumerate(self.waiting) if one.id == name]
            if len(same) == 1:  # of two with one id it may drop either, which the other tests look at
                self.room.drop(name)
                del self.waiting[same[0]]

    def check(self, name: str) -> None:
        assert len(self.room) == len(self.waiting)
        assert Counter(id(one) for one in self.room) == Counter(id(one) for one, _, _ in self.waiting)
        found = self.room.find(name)
        same = [(one, accepted) for one, accepted, _ in self.waiting if one.id == name]
        assert found in same if same else found is None


@pytest.mark.parametrize("seed", range(60))
def test_it_does_as_a_plain_list_does(seed: int) -> None:
    """Nothing is lost, doubled or forgotten, and whoever nothing keeps is taken: in two rooms that share gates."""
    random = Random(seed)
    gates: list[Gate] = [OnePerKey(), Concurrency(random.randint(1, 3)), OnePerSecond()]
    gates = random.sample(gates, random.randint(0, 3))
    models = [Model(random, gates) for _ in range(2)]
    look_ups = random.random() < 0.5
    now = 0.0
    for step in range(400):
        model = random.choice(models)
        match random.randrange(10):
            case 0 | 1 | 2:
                model.add(now, f"{step}" if random.random() < 0.7 else f"{random.randrange(20)}")
            case 3 | 4 | 5:
                model.take(now)
            case 6 | 7:
                model.finish(now)
            case 8:
                model.drop()
            case _:
                now += random.choice([0.1, 0.5, 1, 3])
                model.room.paused = random.random() < 0.2
        if look_ups:
            model.check(f"{random.randrange(step + 1)}" if random.random() < 0.5 else f"{random.randrange(20)}")
        else:
            assert len(model.room) == len(model.waiting)
    for model in models:
        model.check("0")


def test_a_sweep_leaves_what_is_delayed_and_is_not_made_again_for_it() -> None:
    """It is skipped when its time comes, as before."""
    room = WaitingRoom()
    for number in range(200):
        room.give_back(request(f"{number}"), now=0, delay=5)
        room.drop(f"{number}")
    room.give_back(request("kept"), now=0, delay=5)

    room.wake(5)
    assert take_all(room, now=5) == ["kept"]
    assert len(room) == 0
