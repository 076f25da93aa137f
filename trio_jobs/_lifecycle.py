"""The states of a processor and what each event does, as a table. The documentation's diagram is drawn from it.

1. A processor runs once.
2. It ends as `STOPPED` or `FAILED`, and stays so.
3. Asking again for what is so already changes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType


class ProcessorState(enum.Enum):
    """What a processor does at the moment."""

    NEW = "new"
    """It was made and does not run yet; requests may be sent, they wait."""
    STARTING = "starting"
    """Its resources are being opened."""
    RUNNING = "running"
    """It starts requests as they come."""
    PAUSED = "paused"
    """It accepts requests and starts none; what runs goes on."""
    FINISHING = "finishing"
    """It accepts none and answers everything that it has accepted."""
    DRAINING = "draining"
    """It accepts none, starts none, and lets run what runs until the grace is over."""
    STOPPED = "stopped"
    """It has ended in order."""
    FAILED = "failed"
    """It has ended by an error or was cancelled."""


class Event(enum.Enum):
    """What can happen to a processor."""

    START = "start"
    OPENED = "opened"
    PAUSE = "pause"
    RESUME = "resume"
    CLOSE = "close"
    DRAIN = "drain"
    END = "end"
    FAIL = "fail"


_S, _E = ProcessorState, Event

TRANSITIONS: Mapping[ProcessorState, Mapping[Event, ProcessorState]] = MappingProxyType(
    {
        _S.NEW: {_E.START: _S.STARTING, _E.FAIL: _S.FAILED},
        _S.STARTING: {
            _E.OPENED: _S.RUNNING,
            _E.CLOSE: _S.FINISHING,
            _E.DRAIN: _S.DRAINING,
            _E.FAIL: _S.FAILED,
        },
        _S.RUNNING: {
            _E.PAUSE: _S.PAUSED,
            _E.RESUME: _S.RUNNING,
            _E.CLOSE: _S.FINISHING,
            _E.DRAIN: _S.DRAINING,
            _E.FAIL: _S.FAILED,
        },
        _S.PAUSED: {
            _E.PAUSE: _S.PAUSED,
            _E.RESUME: _S.RUNNING,
            _E.CLOSE: _S.FINISHING,  # and so resumes: a finish that starts nothing would never end
            _E.DRAIN: _S.DRAINING,
            _E.FAIL: _S.FAILED,
        },
        _S.FINISHING: {
            _E.OPENED: _S.FINISHING,
            _E.CLOSE: _S.FINISHING,
            _E.DRAIN: _S.DRAINING,
            _E.END: _S.STOPPED,
            _E.FAIL: _S.FAILED,
        },
        _S.DRAINING: {
            _E.OPENED: _S.DRAINING,
            _E.CLOSE: _S.DRAINING,
            _E.DRAIN: _S.DRAINING,
            _E.END: _S.STOPPED,
            _E.FAIL: _S.FAILED,
        },
        _S.STOPPED: {_E.CLOSE: _S.STOPPED, _E.DRAIN: _S.STOPPED},
        _S.FAILED: {_E.CLOSE: _S.FAILED, _E.DRAIN: _S.FAILED},
    }
)

ENDED = frozenset({ProcessorState.STOPPED, ProcessorState.FAILED})


def next_state(state: ProcessorState, event: Event) -> ProcessorState:
    """What ``event`` makes of a processor in ``state``.

    Raises:
        RuntimeError: The event has no place there, such as pausing what has stopped.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise RuntimeError(f"cannot {event.value} a processor that is {state.value}") from None
