"""What travels: a request one way, its response the other, progress in between. All frozen, shared by all who
receive."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar, cast

import attrs

from ._error_info import ErrorInfo
from ._errors import JobAborted, JobFailed, JobTooSlow
from ._randomness import randomness_in_force
from ._record import Record, draft_of

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
ResponseT_co = TypeVar("ResponseT_co", covariant=True)
RequestT_co = TypeVar("RequestT_co", covariant=True)


class _NoHeaders(Mapping[str, str]):
    """A mapping that stays empty. With a MappingProxyType a Request could not be pickled, hashed or copied."""

    __slots__ = ()

    def __getitem__(self, name: str) -> str:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return hash(())

    def __repr__(self) -> str:
        return "{}"

    def __reduce__(self) -> str:
        return "NO_HEADERS"


NO_HEADERS: Mapping[str, str] = _NoHeaders()

_NOT_GIVEN: Any = attrs.NOTHING
_LARGEST = sys.float_info.max


def new_id() -> str:
    """An id from the randomness in force: unique across processes unless seeded."""
    return randomness_in_force.get().new_id()


# Each request is two messages, so making them is a good part of what a queued request costs. Hence the __init__ of
# Request by hand, one test for all fields and slots filled without looking each up by its name; and hence the quick_
# functions for what is made in here.


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class Request(Record, Generic[RequestT_co]):
    """Work that is asked for.

    Raises:
        TypeError, ValueError: A field has a wrong type or value; the message names both.
    """

    body: RequestT_co
    """What the job is given."""
    id: str = attrs.field(factory=new_id, kw_only=True)
    """Names the request and its responses everywhere; unique across processes unless you choose it."""
    key: str | None = attrs.field(default=None, kw_only=True)
    """What the request is about, for gates that order or limit per key."""
    priority: int = attrs.field(default=0, kw_only=True)
    """Larger is sooner, where a gate looks at it."""
    deadline: float = attrs.field(default=inf, kw_only=True)
    """When its answer is of no more use, on Trio's clock (`trio.current_time`); ``inf`` for never."""
    attempt: int = attrs.field(default=1, kw_only=True)
    """1, and one more for each failure that was followed by another try."""
    parent_id: str | None = attrs.field(default=None, kw_only=True)
    """The request in whose answering this one was sent."""
    root_id: str | None = attrs.field(default=None, kw_only=True)
    """The request at the top of that chain; None at the top."""
    headers: Mapping[str, str] = attrs.field(default=NO_HEADERS, kw_only=True)
    """For tracing and the like; the job does not see them."""

    def __init__(
        self,
        body: RequestT_co,
        *,
        id: str = _NOT_GIVEN,
        key: str | None = None,
        priority: int = 0,
        deadline: float = inf,
        attempt: int = 1,
        parent_id: str | None = None,
        root_id: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        if id is _NOT_GIVEN:
            id = randomness_in_force.get().new_id()
        _set_body(self, body)
        _set_id(self, id)
        _set_key(self, key)
        _set_priority(self, priority)
        _set_deadline(self, deadline)
        _set_attempt(self, attempt)
        _set_parent_id(self, parent_id)
        _set_root_id(self, root_id)
        _set_headers(self, headers)
        if not (
            type(id) is str
            and id
            and (key is None or type(key) is str)
            and type(priority) is int
            and (deadline is inf or (type(deadline) is float and deadline == deadline))
            and type(attempt) is int
            and attempt >= 1
            and (parent_id is None or type(parent_id) is str)
            and (root_id is None or type(root_id) is str)
            and headers is NO_HEADERS
            and type(self) is Request
        ):
            self.__attrs_post_init__()  # it knows what else is right, and says what is wrong

    def __attrs_post_init__(self) -> None:
        if type(self.id) is not str or not self.id:
            raise TypeError(f"id must be a str with at least one character, got {self.id!r}")
        if self.key is not None and not isinstance(self.key, str):
            raise TypeError(f"key must be a str or None, got {self.key!r}")
        if type(self.priority) is not int:
            raise TypeError(f"priority must be an int, got {self.priority!r}")
        if self.deadline is not inf:
            check_deadline(self.deadline)
        if type(self.attempt) is not int or self.attempt < 1:
            raise ValueError(f"attempt must be an int of at least 1, got {self.attempt!r}")
        if self.parent_id is not None and not isinstance(self.parent_id, str):
            raise TypeError(f"parent_id must be a str or None, got {self.parent_id!r}")
        if self.root_id is not None and not isinstance(self.root_id, str):
            raise TypeError(f"root_id must be a str or None, got {self.root_id!r}")
        if self.headers is not NO_HEADERS:
            _check_headers(self.headers)


(
    _set_body,
    _set_id,
    _set_key,
    _set_priority,
    _set_deadline,
    _set_attempt,
    _set_parent_id,
    _set_root_id,
    _set_headers,
) = [getattr(Request, field.name).__set__ for field in attrs.fields(Request)]
_RequestDraft = draft_of(Request)


def quick_request(
    body: RequestT,
    key: str | None,
    priority: int,
    deadline: float,
    parent_id: str | None,
    root_id: str | None,
    headers: Mapping[str, str],
) -> Request[RequestT]:
    """A `Request` with a new id; ``deadline``, ``parent_id`` and ``root_id`` are known to be right."""
    draft = _RequestDraft()
    draft.body = body
    draft.id = randomness_in_force.get().new_id()
    draft.key = key
    draft.priority = priority
    draft.deadline = deadline
    draft.attempt = 1
    draft.parent_id = parent_id
    draft.root_id = root_id
    draft.headers = headers
    draft.__class__ = Request
    request: Request[RequestT] = draft
    if not ((key is None or type(key) is str) and type(priority) is int and headers is NO_HEADERS):
        request.__attrs_post_init__()
    return request


def check_deadline(deadline: object) -> None:
    """Raise unless ``deadline`` is a time: a number that is not NaN."""
    if isinstance(deadline, bool) or not isinstance(deadline, int | float):
        raise TypeError(f"deadline must be a number of seconds on Trio's clock, got {deadline!r}")
    if deadline != deadline:
        raise ValueError("deadline must not be NaN")
    if isinstance(deadline, int) and abs(deadline) > _LARGEST:
        raise ValueError("deadline must be at most 1e308, or math.inf, got a larger int")


def _check_headers(headers: object) -> None:
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers must be a mapping of str to str, got {headers!r}")
    for name, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers must be a mapping of str to str, got {name!r}: {value!r}")


class AbortReason(enum.Enum):
    """Why a request was answered without its job having had its say."""

    DEADLINE = "deadline"
    """Its own deadline passed, waiting or running."""
    CALLER = "caller"
    """Who asked for it does not want it any more."""
    OPERATOR = "operator"
    """Somebody cancelled it by its id."""
    SIBLING = "sibling"
    """Another request of the same undertaking failed, and that ended them all."""


class InterruptReason(enum.Enum):
    """Why a request goes back unanswered, to be run again elsewhere or later."""

    DRAIN = "drain"
    """The processor is being stopped and the grace is over."""
    CRASH = "crash"
    """The processor failed."""
    SUPERVISION = "supervision"
    """Whoever supervises the processor is replacing it."""


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class Succeeded(Record, Generic[ResponseT_co]):
    """The job returned ``value``."""

    value: ResponseT_co
    """What the job returned."""
    id: str = attrs.field(kw_only=True)
    """The request's id."""
    attempt: int = attrs.field(default=1, kw_only=True)
    """Which attempt it was, counted from 1."""
    waited: float = attrs.field(default=0.0, kw_only=True)
    """Seconds from acceptance to start."""
    ran: float = attrs.field(default=0.0, kw_only=True)
    """Seconds from start to end."""

    def unwrap(self) -> ResponseT_co:
        """Return the value."""
        return self.value


_SuccessDraft = draft_of(Succeeded)


def quick_success(value: ResponseT, id: str, attempt: int, waited: float, ran: float) -> Succeeded[ResponseT]:
    """The same as `Succeeded`, by position."""
    draft = _SuccessDraft()
    draft.value = value
    draft.id = id
    draft.attempt = attempt
    draft.waited = waited
    draft.ran = ran
    draft.__class__ = Succeeded
    success: Succeeded[ResponseT] = draft
    return success


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class Failed(Record):
    """The job raised ``error``."""

    error: ErrorInfo
    """What it raised, as data."""
    id: str = attrs.field(kw_only=True)
    """The request's id."""
    attempt: int = attrs.field(default=1, kw_only=True)
    """Which attempt it was, counted from 1."""
    waited: float = attrs.field(default=0.0, kw_only=True)
    """Seconds from acceptance to start."""
    ran: float = attrs.field(default=0.0, kw_only=True)
    """Seconds from start to end."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.error, ErrorInfo):
            raise TypeError(f"error must be an ErrorInfo, use ErrorInfo.from_exception(error), got {self.error!r}")

    def unwrap(self) -> NoReturn:
        """Raise a new `JobFailed`.

        Raises:
            JobFailed: The job's doing.
        """
        raise JobFailed(self.error, self.id)


_FailureDraft = draft_of(Failed)


def quick_failure(error: ErrorInfo, id: str, attempt: int, waited: float, ran: float) -> Failed:
    """The same as `Failed`, by position; ``error`` is known to be one."""
    draft = _FailureDraft()
    draft.error = error
    draft.id = id
    draft.attempt = attempt
    draft.waited = waited
    draft.ran = ran
    draft.__class__ = Failed
    failure: Failed = draft
    return failure


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class Aborted(Record):
    """The request was stopped for ``reason`` before its job came to an end of its own."""

    reason: AbortReason
    """Why."""
    id: str = attrs.field(kw_only=True)
    """The request's id."""
    attempt: int = attrs.field(default=1, kw_only=True)
    """Which attempt it was, counted from 1."""
    waited: float = attrs.field(default=0.0, kw_only=True)
    """Seconds from acceptance to start, or to the abort if it never started."""
    ran: float = attrs.field(default=0.0, kw_only=True)
    """Seconds from start to the end of its clean-up; 0 if it never started."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.reason, AbortReason):
            raise TypeError(f"reason must be an AbortReason, got {self.reason!r}")

    def unwrap(self) -> NoReturn:
        """Raise what the reason stands for.

        Raises:
            JobTooSlow: The deadline passed; it is a `trio.TooSlowError`.
            JobAborted: For every other reason.
        """
        if self.reason is AbortReason.DEADLINE:
            raise JobTooSlow(request_id=self.id)
        raise JobAborted(self.reason.value, request_id=self.id)


Response: TypeAlias = Succeeded[ResponseT] | Failed | Aborted
"""What is published for a request: exactly one of these three."""


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class Interrupted(Record):
    """An outcome that is never published: the request goes back, and no attempt is charged. Interrupted is not
    failed."""

    reason: InterruptReason
    """Why."""
    id: str = attrs.field(kw_only=True)
    """The request's id."""


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class Progress(Record):
    """What a running job said of itself with ``report(body)``."""

    body: Any
    """What it said."""
    id: str = attrs.field(kw_only=True)
    """The request's id."""
