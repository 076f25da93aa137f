"""Ids and jitter: unique across processes by default, the same in every run when seeded."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio

from trio_jobs import Randomness, Request, use_randomness
from trio_jobs._randomness import _renew_in_child, current_randomness

NEW_IDS = "from trio_jobs._message import new_id; print(*[new_id() for _ in range(1000)])"


def from_child(function: Callable[[], str]) -> str:
    """What ``function`` returns in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover  # coverage does not see the child
        os.write(writing, function().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return text


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
# Other tests have left idle worker threads; the child touches nothing of theirs.
may_have_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


# -- Ids


def test_an_id_is_short_and_plain() -> None:
    """It is written in logs, URLs and names of files."""
    assert re.fullmatch(r"[0-9a-zA-Z]{8}[a-zA-Z][0-9]+", Randomness().new_id())


def test_ids_of_one_source_differ() -> None:
    """It counts."""
    randomness = Randomness()

    assert len({randomness.new_id() for _ in range(100_000)}) == 100_000


def test_ids_of_two_sources_differ() -> None:
    """Each has a prefix of its own."""
    assert len({Randomness().new_id() for _ in range(1_000)}) == 1_000


def test_ids_drawn_in_several_threads_differ() -> None:
    """Counting is one step."""
    randomness = Randomness()

    def draw(number: int) -> list[str]:
        return [randomness.new_id() for _ in range(number)]

    with ThreadPoolExecutor(8) as threads:
        drawn = threads.map(draw, [10_000] * 8)

    assert len({one for ids in drawn for one in ids}) == 80_000


def test_ids_of_several_processes_differ() -> None:
    """Nothing that two processes may have in common goes into them: not the time, not the process's number."""
    command = [sys.executable, "-c", NEW_IDS]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    ids = [one for process in processes for one in process.communicate()[0].split()]

    assert len(set(ids)) == len(ids) == 2_000


@forks
@may_have_threads
def test_a_forked_child_draws_a_prefix_of_its_own() -> None:
    """Else parent and child would go on with the same ids."""
    before = Request(None).id
    children = {from_child(lambda: Request(None).id) for _ in range(3)}
    after = Request(None).id

    assert len({before, after, *children}) == 5
    assert after[:9] == before[:9]
    assert not any(child.startswith(before[:9]) for child in children)


@forks
@may_have_threads
def test_a_source_of_ones_own_is_renewed_in_a_forked_child() -> None:
    """Not only that of the process."""
    with use_randomness(Randomness()) as randomness:
        child = from_child(lambda: Request(None).id)

        assert not child.startswith(randomness.new_id()[:9])


def test_what_is_done_in_a_forked_child_renews_all_that_is_not_seeded() -> None:
    """The same, done in this process."""
    sources = [Randomness(), Randomness(3)]
    before = [source.new_id()[:9] for source in sources]
    _renew_in_child()
    after = [source.new_id()[:9] for source in sources]

    assert before[0] != after[0]
    assert before[1] == after[1]


@forks
@may_have_threads
def test_a_seeded_source_is_the_same_in_a_forked_child() -> None:
    """Whoever seeds wants it repeated."""
    randomness = Randomness(3)
    child = from_child(randomness.new_id)

    assert child == randomness.new_id()


def test_a_source_is_not_kept_alive() -> None:
    """That it would be renewed does not hold it."""
    reference = weakref.ref(Randomness())
    gc.collect()

    assert reference() is None


# -- Seeds


def test_a_seed_repeats_everything_that_is_drawn() -> None:
    """Ids and random numbers."""
    first, second = Randomness(7), Randomness(7)

    assert [first.new_id() for _ in range(5)] == [second.new_id() for _ in range(5)]
    assert first.random.random() == second.random.random()


def test_another_seed_is_another_source() -> None:
    """Zero is a seed like any other."""
    assert Randomness(0).new_id() == Randomness(0).new_id()
    assert Randomness(0).new_id() != Randomness(1).new_id()


@pytest.mark.parametrize("seed", ["7", 1.5, b"7", True, [7]])
def test_a_seed_that_is_no_int_is_refused(seed: Any) -> None:
    """The message shows it."""
    with pytest.raises(TypeError, match="seed must be an int or None, got") as caught:
        Randomness(seed)

    assert str(caught.value).endswith(repr(seed))


def test_it_shows_its_seed() -> None:
    """In its repr, and as an attribute."""
    assert repr(Randomness(7)) == "<Randomness seed=7>"
    assert repr(Randomness()) == "<Randomness seed=None>"
    assert Randomness(7).seed == 7


# -- The source in force


def test_requests_draw_their_ids_from_the_source_in_force() -> None:
    """In the block, and as before after it."""
    outside = current_randomness()
    with use_randomness(Randomness(7)) as randomness:
        assert current_randomness() is randomness
        assert Request(None).id == Randomness(7).new_id()

    assert current_randomness() is outside


def test_blocks_may_be_nested() -> None:
    """Each ends with what was before it, errors or not."""
    with use_randomness(Randomness(1)) as outer:
        with pytest.raises(ValueError, match="left"), use_randomness(Randomness(2)):
            raise ValueError("left")

        assert current_randomness() is outer


async def test_it_holds_in_the_tasks_that_are_started_in_the_block() -> None:
    """And in no others."""
    seen: list[Randomness] = []

    async def look(go_on: trio.Event) -> None:
        await go_on.wait()
        seen.append(current_randomness())

    go_on = trio.Event()
    outside = current_randomness()
    async with trio.open_nursery() as nursery:
        with use_randomness(Randomness(7)) as randomness:
            nursery.start_soon(look, go_on)
        go_on.set()
        await trio.lowlevel.checkpoint()
        nursery.start_soon(look, go_on)

    assert set(seen) == {randomness, outside}


@pytest.mark.parametrize("wrong", [None, 7, Randomness])
def test_what_is_no_source_is_refused(wrong: Any) -> None:
    """A seed has to be given to a source."""
    with pytest.raises(TypeError, match="randomness must be a Randomness, got"):
        with use_randomness(wrong):
            pass  # pragma: no cover  # the block does not begin
