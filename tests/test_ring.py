"""The ring by itself: what is kept, who is overtaken, who blocks; no tasks, no time."""

from __future__ import annotations

from math import inf

from hypothesis import example, given
from hypothesis import strategies as st

from trio_jobs._ring import WEIGHTS, Overflow, Ring

BLOCK, DROP, CUT = (WEIGHTS[overflow] for overflow in Overflow)


def filled(size: float, *items: int, max_replay: int = 0) -> Ring[int]:
    """A ring in which one BLOCK receiver that read nothing keeps ``items``."""
    ring: Ring[int] = Ring(size, max_replay)
    ring.enter(0, BLOCK)
    for item in items:
        assert ring.append(item)
    return ring


def test_what_somebody_has_to_read_is_kept_and_then_let_go() -> None:
    """With no replay, nothing is left when it was read."""
    ring = filled(3, 10, 11, 12)
    assert (len(ring), ring.unread) == (3, 3)

    assert ring.read(0, 2, BLOCK) == [10, 11]
    assert (len(ring), ring.unread) == (1, 1)
    assert ring.read(2, 1, BLOCK) == [12]
    assert (len(ring), ring.unread) == (0, 0)


def test_the_slowest_decides_what_is_kept() -> None:
    """Others that have read more do not matter."""
    ring = filled(inf, *range(5))
    ring.enter(0, BLOCK)
    ring.read(0, 4, BLOCK)
    assert (ring.tail, ring.head) == (0, 5)

    ring.read(0, 2, BLOCK)
    assert ring.tail == 2
    ring.leave(2, BLOCK)
    assert ring.tail == 4


def test_of_what_everybody_has_read_the_last_stay_for_replay() -> None:
    """At most as many as was asked for, while items are read and while they come."""
    ring = filled(4, *range(4), max_replay=2)
    ring.read(0, 4, BLOCK)
    assert ring.last(2) == [2, 3]
    assert len(ring) == 2

    ring.append(4)
    assert ring.last(10) == [3, 4]
    ring.read(4, 1, BLOCK)
    assert ring.last(1) == [4]


def test_with_nobody_there_the_last_stay_for_replay() -> None:
    """Or nothing, if nothing was asked for."""
    some: Ring[int] = Ring(5, 2)
    none: Ring[int] = Ring(5, 0)
    for item in range(10):
        assert some.append(item)
        assert none.append(item)

    assert some.last(5) == [8, 9]
    assert none.last(5) == []


def test_a_block_receiver_is_in_the_way_when_it_is_a_whole_ring_behind() -> None:
    """Not earlier; and nothing is added then."""
    ring = filled(2, 0)
    assert ring.blocked == 0
    ring.append(1)
    ring.enter(0, BLOCK)

    assert ring.blocked == 2
    assert not ring.append(2)
    assert (ring.tail, ring.head) == (0, 2)


def test_overtaken_receivers_are_pushed_along_or_forgotten() -> None:
    """DROP_OLDEST counts where it will go on, DISCONNECT nowhere."""
    ring: Ring[int] = Ring(2, 0)
    ring.enter(0, DROP)
    ring.enter(0, CUT)
    for item in range(3):
        assert ring.append(item)

    assert ring.standing == {1: DROP}
    assert (ring.count(Overflow.DROP_OLDEST), ring.count(Overflow.DISCONNECT)) == (1, 0)
    ring.leave(0, CUT)
    ring.enter(0, CUT)
    ring.enter(0, DROP)
    assert ring.standing == {1: 2 * DROP}
    ring.leave(0, DROP)
    ring.leave(0, DROP)
    assert (ring.standing, ring.receivers, len(ring)) == ({}, 0, 0)


def test_a_receiver_that_blocks_protects_the_others_that_stand_with_it() -> None:
    """Nobody is overtaken by an item that was not added."""
    ring = filled(1, 0)
    ring.enter(0, DROP)
    ring.enter(0, CUT)

    assert not ring.append(1)
    assert ring.standing == {0: BLOCK + DROP + CUT}


def test_receivers_of_each_policy_are_counted() -> None:
    """Wherever they stand."""
    ring = filled(5, 0, 1)
    for _ in range(3):
        ring.enter(2, DROP)
    ring.enter(1, CUT)

    assert [ring.count(overflow) for overflow in Overflow] == [1, 3, 1]


def test_what_was_let_go_is_not_held_on_to() -> None:
    """The list behind it neither keeps the items nor grows."""
    ring: Ring[object] = Ring(8, 0)
    ring.enter(0, DROP)
    for _ in range(1_000):
        ring.append(object())
        assert len(ring._items) <= 2 * 8 + 1
        assert sum(item is not None for item in ring._items) == len(ring)


STEPS = st.tuples(st.sampled_from(["send", "send", "enter", "leave", "read"]), st.integers(0, 7), st.integers(1, 9))


@example(1, 0, [("enter", 2, 1), ("send", 0, 1), ("send", 0, 1), ("read", 0, 1)])  # chance does not always come to it
@given(
    size=st.sampled_from([1, 2, 3, 5, 8, inf]),
    max_replay=st.integers(0, 8),
    steps=st.lists(STEPS, max_size=12) | st.lists(STEPS, min_size=40, max_size=60),  # short to read, long to get far
)
def test_it_keeps_exactly_what_the_rules_say(size: float, max_replay: int, steps: list[tuple[str, int, int]]) -> None:
    """Whatever is done to it: compared after each step with a list of everything that was ever sent."""
    max_replay = int(min(max_replay, size))
    ring: Ring[int] = Ring(size, max_replay)
    sent: list[int] = []
    standing: list[tuple[int, int]] = []  # (position, weight)
    kept_from = 0
    for verb, which, count in steps:
        if verb == "send":
            blocked = any(weight == BLOCK and len(sent) - position >= size for position, weight in standing)
            assert (ring.blocked > 0) == blocked
            assert ring.append(len(sent)) != blocked
            if not blocked:
                sent.append(len(sent))
        elif verb == "enter":
            weight = (BLOCK, DROP, CUT)[which % 3]
            ring.enter(len(sent), weight)
            standing.append((len(sent), weight))
        elif standing:
            position, weight = standing.pop(which % len(standing))
            if verb == "leave":
                ring.leave(position, weight)
            elif weight == CUT and position < ring.tail:
                standing.append((position, weight))
            else:
                position = max(position, ring.tail)
                count = min(count, len(sent) - position)
                if count:
                    assert ring.read(position, count, weight) == sent[position : position + count]
                standing.append((position + count, weight))

        oldest = max(0, len(sent) - size)
        there = [
            (max(position, oldest), weight) for position, weight in standing if weight != CUT or position >= oldest
        ]
        slowest = min((position for position, _ in there), default=len(sent))
        kept_from = max(kept_from, int(max(oldest, min(slowest, len(sent) - max_replay))))
        assert (ring.tail, ring.head) == (kept_from, len(sent))
        assert ring.last(len(sent)) == sent[kept_from:]
        assert ring.unread == len(sent) - slowest
        assert ring.receivers == sum(weight for _, weight in there)
