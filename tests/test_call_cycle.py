"""Whether a call can ever start."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from random import Random

import pytest

from trio_jobs._call_cycle import find_call_cycle
from trio_jobs._memory import Consumer

from .scripted_processor import ScriptedJob, ScriptedProcessor


def test_a_free_slot_is_no_cycle() -> None:
    """The call simply starts."""
    one = ScriptedProcessor("one", slots=2)
    one.run("a").calls["b"] = one

    assert find_call_cycle(one) is None


def test_a_processor_without_jobs_is_no_cycle() -> None:
    """Its slots are held by those that have ended: they become free."""
    assert find_call_cycle(ScriptedProcessor("one", slots=0)) is None


def test_a_job_that_calls_its_own_processor_is_a_cycle() -> None:
    """The only slot is held by the job that waits for it."""
    one = ScriptedProcessor("one")
    one.run("a").calls["b"] = one

    assert find_call_cycle(one) == ("one", "one")


def test_two_processors_that_wait_for_each_other_are_a_cycle() -> None:
    """One's job waits for a slot of two, two's job for a slot of one."""
    one, two = ScriptedProcessor("one"), ScriptedProcessor("two")
    one.run("a").calls["b"] = two
    two.run("x").calls["y"] = one

    assert find_call_cycle(one) == ("one", "two", "one")
    assert find_call_cycle(two) == ("two", "one", "two")


def test_three_processors_in_a_ring_are_a_cycle() -> None:
    """The names are in the order of the calls, from the processor that was called."""
    one, two, three = (ScriptedProcessor(name) for name in ("one", "two", "three"))
    one.run("a").calls["x"] = two
    two.run("b").calls["y"] = three
    three.run("c").calls["z"] = one

    assert find_call_cycle(two) == ("two", "three", "one", "two")


def test_a_call_that_runs_is_followed_to_what_its_job_waits_for() -> None:
    """It holds no slot of the processor it came from, and yet keeps that one waiting."""
    one, two = ScriptedProcessor("one"), ScriptedProcessor("two", slots=2)
    one.run("a").calls["b"] = two
    two.run("b").calls["c"] = one

    assert find_call_cycle(one) == ("one", "two", "one")


def test_a_processor_that_is_merely_busy_is_no_cycle() -> None:
    """However many slots wait for it: one job waits for nobody, and will make room."""
    one = ScriptedProcessor("one", slots=3)
    one.run("a").calls["x"] = one
    one.run("b")
    one.run("c").calls["y"] = one

    assert find_call_cycle(one) is None


def test_a_busy_processor_on_the_way_is_no_cycle() -> None:
    """Two makes room, then one's job goes on."""
    one, two = ScriptedProcessor("one"), ScriptedProcessor("two", slots=2)
    one.run("a").calls["b"] = two
    two.run("x").calls["y"] = one
    two.run("z")

    assert find_call_cycle(one) is None


def test_a_free_slot_on_the_way_is_no_cycle() -> None:
    """The call is on its way there."""
    one, two = ScriptedProcessor("one"), ScriptedProcessor("two", slots=2)
    one.run("a").calls["b"] = two
    two.run("x").calls["y"] = one

    assert find_call_cycle(one) is None


def test_a_callee_whose_job_has_ended_is_no_cycle() -> None:
    """Only its response is on the way, it needs no slot any more."""
    one = ScriptedProcessor("one")
    one.run("a").calls["b"] = one
    one.ended.add("b")

    assert find_call_cycle(one) is None


def test_a_job_is_stuck_if_one_of_its_calls_is() -> None:
    """It ends when all of them are answered."""
    one, other = ScriptedProcessor("one"), ScriptedProcessor("other", slots=9)
    one.run("a").calls.update(b=other, c=one, d=other)

    assert find_call_cycle(one) == ("one", "one")


def test_jobs_that_wait_for_one_another_elsewhere_are_no_cycle_here() -> None:
    """Who called there was told; a call that comes later waits, and is no part of it."""
    here, there = ScriptedProcessor("here"), ScriptedProcessor("there")
    here.run("a").calls["b"] = there
    there.run("x").calls["y"] = there

    assert find_call_cycle(here) is None


@pytest.mark.parametrize("turned", [False, True])
def test_a_way_that_is_met_again_while_it_is_looked_for_counts(turned: bool) -> None:
    """What leads to the target by another call is not forgotten, whatever the order of the calls."""
    target = ScriptedProcessor("target", slots=2)
    middle, side = ScriptedProcessor("middle"), ScriptedProcessor("side")
    calls: list[tuple[str, Consumer]] = [("to side", side), ("to target", target)]
    target.run("a").calls["b"] = middle
    middle.run("b").calls.update(reversed(calls) if turned else calls)
    side.run("x").calls["to middle"] = middle
    target.run("c").calls["d"] = side

    assert find_call_cycle(target) is not None


def test_a_long_chain_of_calls_is_followed_to_its_end() -> None:
    """A job that calls its own processor may do so a thousand levels deep; the last of these calls is named."""
    one = ScriptedProcessor("one", slots=2_000)
    for level in range(2_000):
        one.run(f"{level}").calls[f"{level + 1}"] = one

    assert find_call_cycle(one) == ("one", "one")


def test_what_is_named_begins_where_the_way_leaves_the_target_for_good() -> None:
    """Calls that run in the target on the way are no news to whoever reads it."""
    one, two = ScriptedProcessor("one", slots=2), ScriptedProcessor("two", slots=2)
    one.run("a").calls["b"] = two
    two.run("b").calls["c"] = one
    one.run("c").calls["d"] = two
    two.run("d").calls["e"] = one

    assert find_call_cycle(one) == ("one", "two", "one")


def test_a_busy_processor_costs_no_search() -> None:
    """A call is looked at whenever the slots are taken, which is what slots are for."""
    one, two = ScriptedProcessor("one", slots=2), ScriptedProcessor("two")
    one.run("a").calls["b"] = two
    one.run("c")

    assert find_call_cycle(one) is None
    assert two.times_looked_at == 0


def test_many_calls_to_one_processor_look_at_its_slots_once() -> None:
    """A thousand jobs here and a thousand there are two thousand steps, not a million."""
    here, there = ScriptedProcessor("here", slots=1_000), ScriptedProcessor("there", slots=1_000)
    for number in range(1_000):
        here.run(f"{number}").calls[f"to there {number}"] = there
        there.run(f"there {number}").calls[f"to here {number}"] = here

    assert find_call_cycle(here) == ("here", "there", "here")
    assert there.times_looked_at == 1


# -- Against the definition


def stuck_jobs(processors: list[ScriptedProcessor], target: ScriptedProcessor) -> set[int]:
    """Who waits for a slot of ``target`` and cannot go on without: by definition, the slow way."""
    stuck: set[int] = set()
    jobs = [job for processor in processors for job in processor.jobs.values()]

    def is_full_of_stuck(processor: ScriptedProcessor) -> bool:
        full = bool(processor.jobs) and len(processor.jobs) >= processor.slots
        return full and all(id(job) in stuck for job in processor.jobs.values())

    def waits(request_id: str, callee: ScriptedProcessor) -> bool:
        if request_id in callee.jobs:
            return id(callee.jobs[request_id]) in stuck
        if request_id in callee.ended:
            return False
        return callee is target or is_full_of_stuck(callee)

    while True:
        more = {
            id(job)
            for job in jobs
            if any(waits(request_id, by_name(callee)) for request_id, callee in job.calls.items())
        }
        if more <= stuck:
            return stuck
        stuck |= more


def by_name(consumer: Consumer) -> ScriptedProcessor:
    assert isinstance(consumer, ScriptedProcessor)
    return consumer


def random_processors(random: Random) -> list[ScriptedProcessor]:
    """A few processors with jobs that wait for one another somehow; cycles are not rare."""
    processors = [ScriptedProcessor(f"p{n}", slots=random.randint(1, 3)) for n in range(random.randint(1, 4))]
    jobs: list[tuple[str, ScriptedProcessor, ScriptedJob]] = []
    for processor in processors:
        for slot in range(processor.slots - (random.random() < 0.1)):
            name = f"{processor.name}.{slot}"
            jobs.append((name, processor, processor.run(name)))
    for name, _, job in jobs:
        for call in range(random.choice([0, 1, 1, 1, 1, 2, 2, 3])):
            callee = random.choice(processors)
            called = f"{name}>{call}"
            if random.random() < 0.1:
                callee.ended.add(called)
            elif random.random() < 0.3:
                called, callee, _ = random.choice(jobs)
            job.calls[called] = callee
    return processors


def is_a_way(cycle: tuple[str, ...], processors: list[ScriptedProcessor]) -> bool:
    """Whether each of these processors has a job that calls the next."""
    calls: Mapping[str, set[str]] = {
        processor.name: {by_name(callee).name for job in processor.jobs.values() for callee in job.calls.values()}
        for processor in processors
    }
    return all(after in calls[before] for before, after in pairwise(cycle))


def check_against_the_definition(processors: list[ScriptedProcessor], target: ScriptedProcessor) -> None:
    stuck = stuck_jobs(processors, target)
    holders = target.slot_holders() or ()
    expected = len(holders) > 0 and all(id(job) in stuck for job in holders)

    cycle = find_call_cycle(target)

    assert (cycle is not None) == expected
    if cycle is not None:
        assert cycle[0] == cycle[-1] == target.name
        assert len(cycle) > 1
        assert is_a_way(cycle, processors)


@pytest.mark.parametrize("seed", range(20))
def test_it_finds_what_the_definition_says(seed: int) -> None:
    """No cycle is missed, none is made up, and what it names is a way from the target to itself."""
    random = Random(seed)
    for _ in range(100):
        processors = random_processors(random)
        for target in processors:
            check_against_the_definition(processors, target)
