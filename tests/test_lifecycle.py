"""The states of a processor and what each event does."""

from __future__ import annotations

from typing import Any, cast

import pytest

from trio_jobs._lifecycle import ENDED, TRANSITIONS, Event, ProcessorState, next_state

# What each event makes of a state; a blank is a refusal. In the order of the columns:
#   START      OPENED      PAUSE    RESUME    CLOSE       DRAIN      END       FAIL
TABLE = """
NEW        STARTING   .           .        .         .           .          .         FAILED
STARTING   .          RUNNING     .        .         FINISHING   DRAINING   .         FAILED
RUNNING    .          .           PAUSED   RUNNING   FINISHING   DRAINING   .         FAILED
PAUSED     .          .           PAUSED   RUNNING   FINISHING   DRAINING   .         FAILED
FINISHING  .          FINISHING   .        .         FINISHING   DRAINING   STOPPED   FAILED
DRAINING   .          DRAINING    .        .         DRAINING    DRAINING   STOPPED   FAILED
STOPPED    .          .           .        .         STOPPED     STOPPED    .         .
FAILED     .          .           .        .         FAILED      FAILED     .         .
"""


def rows() -> dict[ProcessorState, dict[Event, ProcessorState | None]]:
    """The table above, read."""
    lines = [line.split() for line in TABLE.strip().splitlines()]
    return {
        ProcessorState[state]: {
            event: None if cell == "." else ProcessorState[cell] for event, cell in zip(Event, cells, strict=True)
        }
        for state, *cells in lines
    }


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", ProcessorState)
def test_an_event_does_what_the_table_says(state: ProcessorState, event: Event) -> None:
    """A cell is the next state, or a refusal that names both."""
    expected = rows()[state][event]
    if expected is not None:
        assert next_state(state, event) is expected
        return

    with pytest.raises(RuntimeError) as raised:
        next_state(state, event)

    assert str(raised.value) == f"cannot {event.value} a processor that is {state.value}"
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_refusal_reads_as_a_sentence() -> None:
    """It is shown to whoever called a method of the processor."""
    with pytest.raises(RuntimeError, match=r"^cannot pause a processor that is stopped$"):
        next_state(ProcessorState.STOPPED, Event.PAUSE)


def test_every_state_is_reached_from_new() -> None:
    """None of them is there for nothing."""
    reached = [ProcessorState.NEW]
    for state in reached:
        reached += [after for after in TRANSITIONS[state].values() if after not in reached]

    assert set(reached) == set(ProcessorState)


def test_a_processor_ends_stopped_or_failed_and_stays_so() -> None:
    """No event leads out of an end, and every other state has a way to one."""
    stay = {state for state, events in TRANSITIONS.items() if set(events.values()) <= {state}}

    assert stay == ENDED == {ProcessorState.STOPPED, ProcessorState.FAILED}


@pytest.mark.parametrize("state", set(ProcessorState) - ENDED)
def test_an_error_ends_a_processor_in_any_state(state: ProcessorState) -> None:
    """Failing needs nothing to be in order."""
    assert next_state(state, Event.FAIL) is ProcessorState.FAILED


@pytest.mark.parametrize("state", set(ProcessorState) - {ProcessorState.NEW})
def test_a_processor_runs_once(state: ProcessorState) -> None:
    """What was started is not started again."""
    with pytest.raises(RuntimeError, match=r"^cannot start a processor that is "):
        next_state(state, Event.START)


@pytest.mark.parametrize("event", [Event.PAUSE, Event.RESUME, Event.CLOSE, Event.DRAIN])
@pytest.mark.parametrize("state", ProcessorState)
def test_asking_again_changes_nothing(state: ProcessorState, event: Event) -> None:
    """What was asked for once may be asked for twice."""
    after = TRANSITIONS[state].get(event)

    assert after is None or next_state(after, event) is after


def test_the_table_cannot_be_changed() -> None:
    """It is shared by all processors."""
    table = cast("dict[ProcessorState, Any]", TRANSITIONS)

    with pytest.raises(TypeError):
        table[ProcessorState.STOPPED] = {}
