"""Requests and responses: what they are made of, what is refused, and what unwrapping gives."""

from __future__ import annotations

import copy
import inspect
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
from trio_jobs._message import (
    NO_HEADERS,
    Interrupted,
    InterruptReason,
    check_deadline,
    quick_failure,
    quick_request,
    quick_success,
)

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
    assert len(NO_HEADERS) == 0
    with pytest.raises(KeyError, match="trace"):
        NO_HEADERS["trace"]


def test_a_request_without_headers_can_be_hashed_copied_and_pickled() -> None:
    """So it can be a key, a snapshot, or go to another process; there it shares what all without headers share."""
    request = Request("body")
    copies = [copy.copy(request), copy.deepcopy(request), pickle.loads(pickle.dumps(request))]

    assert {request, *copies} == {request}
    assert all(each.headers is NO_HEADERS for each in copies)
    assert repr(request).endswith("headers={})")


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
        ({"deadline": 10**400}, ValueError, "deadline must be at most 1e308, or math.inf, got a larger int"),
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


class Text(str):
    """A text of somebody's own."""

    __slots__ = ()


@pytest.mark.parametrize("name", ["key", "parent_id", "root_id"])
def test_a_text_of_a_class_of_its_own_is_one(name: str) -> None:
    """Except for ids, by which answers are found."""
    options: dict[str, Any] = {name: Text("x")}

    assert getattr(Request("body", **options), name) == "x"
    with pytest.raises(TypeError, match="id must be a str with at least one character, got 'x'"):
        Request("body", id=Text("x"))


def test_its_parameters_are_its_fields() -> None:
    """In their order, and none of them hides behind ``**``."""
    parameters = inspect.signature(Request).parameters

    assert list(parameters) == [field.name for field in attrs.fields(Request)]
    assert [parameter.kind for parameter in parameters.values()].count(inspect.Parameter.KEYWORD_ONLY) == 8
    assert all(parameters[field.name].annotation == field.type for field in attrs.fields(Request))
    assert {name: parameter.default for name, parameter in parameters.items() if name not in ("body", "id")} == {
        field.name: field.default for field in attrs.fields(Request) if field.name not in ("body", "id")
    }


def test_a_request_can_be_copied_and_pickled() -> None:
    """It is the same then, and as well guarded."""
    request = Request("body", key="k", headers={"trace": "1"})
    for again in (copy.copy(request), copy.deepcopy(request), pickle.loads(pickle.dumps(request))):
        assert again == request
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            again.key = "other"  # type: ignore[misc]  # the mistake


@attrs.frozen
class Located(Request[str]):
    """A request with a field more."""

    place: str = attrs.field(default="here", kw_only=True)


class Plain(Request[str]):
    """A request with methods more, or an ``__init__`` of its own."""

    def __init__(self, body: str, priority: int) -> None:
        super().__init__(body, priority=priority)


class Keyed(Request[str]):
    """A request that checks more."""

    def __attrs_post_init__(self) -> None:
        if self.key is None:
            raise TypeError("it needs a key")


def test_a_subclass_may_check_more() -> None:
    """As attrs says how."""
    assert Keyed("body", key="k").key == "k"
    with pytest.raises(TypeError, match="it needs a key"):
        Keyed("body")


def test_a_request_can_be_subclassed() -> None:
    """With further fields, and with an ``__init__`` of its own."""
    located, plain = Located("body", place="there"), Plain("body", 3)

    assert (located.body, located.place, located.attempt) == ("body", "there", 1)
    assert (plain.body, plain.priority, plain.attempt) == ("body", 3, 1)
    assert located.id != plain.id


@pytest.mark.parametrize("make", [lambda: Located("body", priority=True), lambda: Plain("body", True)])
def test_a_wrong_field_of_a_subclass_is_refused(make: Any) -> None:
    """As if it were none."""
    with pytest.raises(TypeError, match="priority must be an int, got True"):
        make()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"key": "k", "priority": 3, "deadline": 4.5, "parent_id": "p", "root_id": "r", "headers": {"trace": "1"}},
    ],
)
def test_a_request_that_is_made_quickly_is_as_any_other(options: dict[str, Any]) -> None:
    """But for how it was made."""
    given: dict[str, Any] = dict.fromkeys(("key", "parent_id", "root_id"))
    given |= {"priority": 0, "deadline": inf, "headers": NO_HEADERS, **options}
    request = quick_request("body", **given)
    usual = Request("body", id=request.id, **options)

    assert request == usual
    assert type(request) is Request
    assert repr(request) == repr(usual)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.body = "other"  # type: ignore[misc]  # the mistake


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": 3}, "key must be a str or None, got 3"),
        ({"priority": True}, "priority must be an int, got True"),
        ({"headers": {"a": 1}}, "headers must be a mapping of str to str, got 'a': 1"),
    ],
)
def test_what_users_give_is_looked_at_however_quickly_a_request_is_made(options: dict[str, Any], message: str) -> None:
    """The error is the same."""
    rest: dict[str, Any] = {"key": None, "priority": 0, "headers": NO_HEADERS, **options}
    with pytest.raises(TypeError) as caught:
        quick_request("body", deadline=inf, parent_id=None, root_id=None, **rest)

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
    ("quick", "usual"),
    [
        (quick_success(3, "r", 2, 0.5, 1.5), Succeeded(3, id="r", attempt=2, waited=0.5, ran=1.5)),
        (quick_failure(GONE, "r", 2, 0.5, 1.5), Failed(GONE, id="r", attempt=2, waited=0.5, ran=1.5)),
    ],
)
def test_a_response_that_is_made_quickly_is_as_any_other(quick: Any, usual: Response[int]) -> None:
    """But for how it was made."""
    assert quick == usual
    assert type(quick) is type(usual)
    assert repr(quick) == repr(usual)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        quick.id = "other"  # type: ignore[misc]  # the mistake


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
