"""Any value as JSON text: the stated forms, and that nothing fails."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import json
import math
import pathlib
import uuid
from types import MappingProxyType
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_jobs.cli._json_text import JsonText


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Word(str):
    __slots__ = ()


@attrs.frozen
class Point:
    x: Any
    y: Any = 0


@dataclasses.dataclass
class Line:
    start: Any


class Pair(NamedTuple):
    a: int
    b: int


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError


class Opaque:
    def __repr__(self) -> str:
        return "<opaque>"


@attrs.define(slots=False)
class Unset:
    value: Any = attrs.field(init=False)

    def __repr__(self) -> str:
        return "<unset>"


def circle() -> list[Any]:
    loop: list[Any] = [1]
    loop.append(loop)
    return loop


FORMS: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    ("ü", "ü"),
    (Word("word"), "word"),
    ([1, (2, 3)], [1, [2, 3]]),
    (Pair(1, 2), [1, 2]),
    ({"a": 1, 2: "b", None: 3}, {"a": 1, "2": "b", "null": 3}),
    ({(1, "x"): Color.RED}, {'[1, "x"]': "red"}),
    (MappingProxyType({"a": math.nan, 1: 2}), {"a": "NaN", "1": 2}),
    (Point(Line(Color.RED), {Level.HIGH}), {"x": {"start": "red"}, "y": [3]}),
    (Line(Point(math.nan)), {"start": {"x": "NaN", "y": 0}}),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset("hgfedcba"), list("abcdefgh")),
    (collections.deque([1]), [1]),
    (b"\xff\x00", "/wA="),
    (bytearray(b"a"), "YQ=="),
    (memoryview(b"a"), "YQ=="),
    (datetime.datetime(2026, 1, 2, 3, 4), "2026-01-02T03:04:00"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.time(3, 4), "03:04:00"),
    (datetime.timedelta(minutes=1.5), 90.0),
    (pathlib.PurePosixPath("a/b"), "a/b"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (decimal.Decimal("1.10"), "1.10"),
    (fractions.Fraction(1, 3), "1/3"),
    (ipaddress.ip_address("::1"), "::1"),
    (math.nan, "NaN"),
    ([math.inf, -math.inf, 1.5, True, "x", Word("y"), 2], ["Infinity", "-Infinity", 1.5, True, "x", "y", 2]),
    ([math.nan, Color.RED, Level.HIGH, Point(1)], ["NaN", "red", 3, {"x": 1, "y": 0}]),
    ([math.nan, {math.inf}, pathlib.PurePosixPath("a")], ["NaN", ["Infinity"], "a"]),
    (10**5_000, hex(10**5_000)),
    (Opaque(), "<opaque>"),
    (Point, repr(Point)),
    (Unprintable(), "<Unprintable whose repr raised RuntimeError>"),
    (Unset(), "<unset>"),
    (circle(), [1, "[1, [...]]"]),
]


@pytest.mark.parametrize(("value", "form"), FORMS, ids=[type(value).__name__ for value, _ in FORMS])
def test_each_kind_of_value_has_its_form(value: Any, form: Any) -> None:
    """As the table in the class says."""
    assert json.loads(JsonText(lambda _: None).of(value)) == form


def test_what_is_nested_too_deep_is_cut_off_with_its_repr() -> None:
    """It is written all the same."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    assert JsonText(lambda _: None).of(deep).startswith("[[[")


def test_a_type_without_a_form_is_told_once() -> None:
    """So that a person is warned, not flooded."""
    told: list[type] = []
    json_text = JsonText(told.append)

    json_text.of([Opaque(), Opaque(), Color.RED])

    assert told == [Opaque]


def test_the_text_is_one_line_that_people_can_read() -> None:
    """Line ends are escaped, other letters than English ones are not."""
    assert JsonText(lambda _: None).of("ä\n") == '"ä\\n"'


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_json_has_comes_back_unchanged(value: Any) -> None:
    """Both ways of writing agree on it."""
    json_text = JsonText(lambda _: None)

    assert json.loads(json_text.of(value)) == value
    assert json.loads(json_text.of([math.nan, value])) == ["NaN", value]
