"""Requests and responses: what they are made of, what is refused, and what unwrapping gives."""

from __future__ import annotations

import pickle
from math import inf, nan
from typing import Any

import attrs
import pytest
import trio

from trio_jobs import (
    Aborted,
    AbortReason,
    ErrorInfo,
    Failed,
    JobAborted,
    JobFailed,
    JobTooSlow,
    Progress,
    Request,
    Response,
    Succeeded,
)
from trio_jobs._message import NO_HEADERS, Interrupted, InterruptReason, check_deadline

GONE = ErrorInfo("OSError", "gone")

# -- Requests


def test_a_request_needs_only_a_body() -> None:
    """All else has a default."""
    request = Request("body")

    assert request.body == "body"
    assert request == Request("body", id=request.id)
    assert request.key is request.parent_id is request.root_id is None
    assert (request.priority, request.deadline, request.attempt) == (0, inf, 1)
    assert dict(request.headers) == {}


def test_every_request_has_an_id_of_its_own() -> None:
    """Unless one is chosen."""
    assert Request("body").id != Request("body").id
    assert Request("body", id="mine").id == "mine"


def test_only_the_body_is_positional() -> None:
    """What the others are is said where a request is made."""
    with pytest.raises(TypeError):
        Request("body", "id")  # type: ignore[call-arg]  # the mistake


def test_it_cannot_be_changed() -> None:
    """Everybody who receives it has the same one; a changed one is another."""
    request = Request("body")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.body = "other"  # type: ignore[misc]  # the mistake
    with pytest.raises(AttributeError):
        request.other = "other"  # type: ignore[attr-defined]  # the mistake

    assert attrs.evolve(request, attempt=2) == Request("body", id=request.id, attempt=2)


def test_headers_that_nobody_gave_cannot_be_filled() -> None:
    """All requests share them."""
    with pytest.raises(TypeError):
        Request("body").headers["trace"] = "1"  # type: ignore[index]  # the mistake

    assert dict(NO_HEADERS) == {}


@pytest.mark.parametrize(
    "options",
    [
        {"key": ""},
        {"key": "sensor 3"},
        {"priority": -3},
        {"deadline": 0},
        {"deadline": -inf},
        {"deadline": 1.5},
        {"attempt": 20},
        {"parent_id": "p", "root_id": "r"},
        {"headers": {"trace": "1"}},
    ],
)
def test_what_makes_sense_is_accepted(options: dict[str, Any]) -> None:
    """And kept as it is."""
    request = Request("body", **options)

    assert {name: getattr(request, name) for name in options} == options


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"id": 3}, TypeError, "id must be a str with at least one character, got 3"),
        ({"id": ""}, TypeError, "id must be a str with at least one character, got ''"),
        ({"id": None}, TypeError, "id must be a str with at least one character, got None"),
        ({"key": 3}, TypeError, "key must be a str or None, got 3"),
        ({"key": b"k"}, TypeError, "key must be a str or None, got b'k'"),
        ({"priority": 1.5}, TypeError, "priority must be an int, got 1.5"),
        ({"priority": True}, TypeError, "priority must be an int, got True"),
        ({"priority": None}, TypeError, "priority must be an int, got None"),
        ({"deadline": "5"}, TypeError, "deadline must be a number of seconds on Trio's clock, got '5'"),
        ({"deadline": None}, TypeError, "deadline must be a number of seconds on Trio's clock, got None"),
        ({"deadline": True}, TypeError, "deadline must be a number of seconds on Trio's clock, got True"),
        ({"deadline": nan}, ValueError, "deadline must not be NaN"),
        ({"attempt": 0}, ValueError, "attempt must be an int of at least 1, got 0"),
        ({"attempt": "1"}, ValueError, "attempt must be an int of at least 1, got '1'"),
        ({"attempt": True}, ValueError, "attempt must be an int of at least 1, got True"),
        ({"parent_id": 3}, TypeError, "parent_id must be a str or None, got 3"),
        ({"root_id": b"r"}, TypeError, "root_id must be a str or None, got b'r'"),
        ({"headers": None}, TypeError, "headers must be a mapping of str to str, got None"),
        ({"headers": [("a", "b")]}, TypeError, "headers must be a mapping of str to str, got [('a', 'b')]"),
        ({"headers": {"a": 1}}, TypeError, "headers must be a mapping of str to str, got 'a': 1"),
        ({"headers": {1: "a"}}, TypeError, "headers must be a mapping of str to str, got 1: 'a'"),
    ],
)
def test_a_wrong_field_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """When the request is made, by whoever makes it; the message names the field and what it was given."""
    with pytest.raises(error) as caught:
        Request("body", **options)

    assert str(caught.value) == message


def test_a_deadline_may_be_any_time() -> None:
    """Past or future, or never."""
    for deadline in (-1, 0, 2.5, inf):
        check_deadline(deadline)


# -- Responses


def test_a_response_is_made_for_match() -> None:
    """The value, the error or the reason comes first."""

    def describe(response: Response[int]) -> str:
        match response:
            case Succeeded(value):
                return f"value {value}"
            case Failed(error):
                return f"error {error}"
            case Aborted(reason):  # pragma: no branch  # there is no fourth
                return f"reason {reason.value}"

    assert describe(Succeeded(3, id="r")) == "value 3"
    assert describe(Failed(GONE, id="r")) == "error OSError: gone"
    assert describe(Aborted(AbortReason.CALLER, id="r")) == "reason caller"


@pytest.mark.parametrize("response", [Succeeded(3, id="r"), Failed(GONE, id="r"), Aborted(AbortReason.SIBLING, id="r")])
def test_a_response_says_whose_it_is_and_how_long_it_took(response: Response[int]) -> None:
    """Which attempt, and seconds; it cannot be changed."""
    assert (response.id, response.attempt, response.waited, response.ran) == ("r", 1, 0.0, 0.0)
    assert attrs.evolve(response, ran=2.0).ran == 2.0
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        response.id = "other"  # type: ignore[misc]  # the mistake


@pytest.mark.parametrize(
    "message",
    [
        Succeeded(3, id="r"),
        Failed(GONE, id="r"),
        Aborted(AbortReason.SIBLING, id="r"),
        Interrupted(InterruptReason.DRAIN, id="r"),
        Progress("half", id="r"),
    ],
)
def test_messages_are_data(message: object) -> None:
    """Equal if all fields are, and of use in a set."""
    again = pickle.loads(pickle.dumps(message))

    assert again == message
    assert len({again, message}) == 1


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (
            Failed,
            OSError("gone"),
            "error must be an ErrorInfo, use ErrorInfo.from_exception(error), got",
        ),
        (Failed, "gone", "error must be an ErrorInfo, use ErrorInfo.from_exception(error), got 'gone'"),
        (Aborted, "caller", "reason must be an AbortReason, got 'caller'"),
        (Aborted, InterruptReason.DRAIN, "reason must be an AbortReason, got <InterruptReason.DRAIN"),
    ],
)
def test_a_response_of_a_wrong_type_is_refused(kind: Any, content: object, message: str) -> None:
    """An exception is not data, and a text no reason."""
    with pytest.raises(TypeError) as caught:
        kind(content, id="r")

    assert message in str(caught.value)


@pytest.mark.parametrize(("kind", "content"), [(Succeeded, 3), (Failed, GONE), (Aborted, AbortReason.CALLER)])
def test_a_response_of_no_request_is_refused(kind: Any, content: object) -> None:
    """Nobody would wait for it."""
    with pytest.raises(TypeError, match="id"):
        kind(content)


def test_the_value_of_a_success_can_be_unwrapped() -> None:
    """None is a value like any other."""
    assert Succeeded(3, id="r").unwrap() == 3
    assert Succeeded(None, id="r").unwrap() is None


def test_unwrapping_a_failure_raises_a_new_error_each_time() -> None:
    """Many may unwrap one response: no exception is raised twice."""
    failed = Failed(GONE, id="r")
    with pytest.raises(JobFailed, match="request r failed with OSError: gone") as first:
        failed.unwrap()
    with pytest.raises(JobFailed) as second:
        failed.unwrap()

    assert first.value is not second.value
    assert first.value.error is GONE


def test_unwrapping_what_came_too_late_raises_that_it_is_too_slow() -> None:
    """Which is caught as Trio's."""
    with pytest.raises(trio.TooSlowError, match="request r was not answered by its deadline") as caught:
        Aborted(AbortReason.DEADLINE, id="r").unwrap()

    assert type(caught.value) is JobTooSlow


@pytest.mark.parametrize("reason", [reason for reason in AbortReason if reason is not AbortReason.DEADLINE])
def test_unwrapping_what_was_aborted_raises_the_reason(reason: AbortReason) -> None:
    """In words that can be compared."""
    with pytest.raises(JobAborted) as caught:
        Aborted(reason, id="r").unwrap()

    assert caught.value.reason == reason.value
    assert caught.value.request_id == "r"
