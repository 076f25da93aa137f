"""The exceptions: what they say, what they carry, and what they can be caught as."""

from __future__ import annotations

import copy
import pickle

import pytest
import trio

from trio_jobs import (
    CallCycle,
    ConservationError,
    Disconnected,
    ErrorInfo,
    JobAborted,
    JobFailed,
    JobTooSlow,
    Lagged,
    LeaseLost,
    MissingExtra,
    ProcessorStopped,
    StrayCancelled,
)

ERRORS: list[tuple[Exception, type[Exception], str]] = [
    (JobFailed(ErrorInfo("OSError", "gone"), request_id="r1"), Exception, "request r1 failed with OSError: gone"),
    (JobAborted("operator", request_id="r1"), Exception, "request r1 was aborted (operator)"),
    (JobTooSlow(request_id="r1"), trio.TooSlowError, "request r1 was not answered by its deadline"),
    (ProcessorStopped("processor p is closed"), trio.BrokenResourceError, "processor p is closed"),
    (Lagged(3), Exception, "3 items were dropped before they were received"),
    (Disconnected("too slow"), trio.BrokenResourceError, "too slow"),
    (LeaseLost("r1"), Exception, "request r1 is not held by this receiver any more, nothing was changed"),
    (
        CallCycle(("a", "b", "a")),
        RuntimeError,
        "this call can never start: a -> b -> a; every slot holds a job that waits for this very processor. Raise "
        "concurrency or the request buffer, await the job's function, or split the processor",
    ),
    (StrayCancelled(), Exception, "the job raised a trio.Cancelled although nothing had cancelled it"),
    (ConservationError("one is missing"), RuntimeError, "one is missing"),
    (
        MissingExtra("@process_job", extra="parallel"),
        ImportError,
        '@process_job needs the extra "parallel": pip install "trio-jobs[parallel]"',
    ),
]


def name_of(value: object) -> str | None:
    return type(value).__name__ if isinstance(value, Exception) else None


@pytest.mark.parametrize(("error", "base", "message"), ERRORS, ids=name_of)
def test_it_says_what_happened_and_is_what_a_user_of_trio_catches(
    error: Exception, base: type[Exception], message: str
) -> None:
    """Where Trio has an exception that means the same, ours is one of it."""
    assert str(error) == message
    assert isinstance(error, base)


@pytest.mark.parametrize("error", [error for error, _, _ in ERRORS], ids=name_of)
def test_it_can_be_copied_and_pickled(error: Exception) -> None:
    """Some raise a copy in each task, and process pools pickle what a function raised."""
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_it_carries_what_a_handler_needs() -> None:
    """As attributes, not only in its text."""
    failed = JobFailed(ErrorInfo("OSError", "gone"), request_id="r1")
    aborted = JobAborted("operator", request_id="r2")
    missing = MissingExtra("@process_job", extra="parallel")

    assert (failed.error, failed.request_id) == (ErrorInfo("OSError", "gone"), "r1")
    assert (aborted.reason, aborted.request_id) == ("operator", "r2")
    assert JobTooSlow(request_id="r3").request_id == "r3"
    assert LeaseLost("r4").request_id == "r4"
    assert Lagged(3).skipped == 3
    assert CallCycle(("a", "a")).cycle == ("a", "a")
    assert (missing.what, missing.extra) == ("@process_job", "parallel")
