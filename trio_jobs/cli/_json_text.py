"""Any value as JSON text. What JSON has is written as such; the rest has a stated form, and nothing fails."""

from __future__ import annotations

import base64
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
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import attrs

_MAX_DEPTH = 100  # of lists in lists; below that the text of repr() has to do

_AS_STR = (
    pathlib.PurePath,
    uuid.UUID,
    decimal.Decimal,
    fractions.Fraction,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class JsonText:
    """Writes values as JSON.

    =========================================== ========================================================
    dataclass, attrs class                      an object of its fields
    mapping                                     an object; keys that are no str are written as JSON text
    tuple, set, frozenset, deque                a list; a set's items are sorted by their texts
    enum                                        its value
    datetime, date, time                        ISO 8601
    timedelta                                   seconds
    path, UUID, Decimal, Fraction, IP address   what ``str`` says
    bytes, bytearray, memoryview                base64
    NaN, infinity                               the strings ``"NaN"``, ``"Infinity"``, ``"-Infinity"``
    int of more digits than Python writes       hexadecimal, a string
    anything else                               what ``repr`` says
    =========================================== ========================================================

    Args:
        on_repr: Called with each type of "anything else", once.
    """

    def __init__(self, on_repr: Callable[[type], object]) -> None:
        self._on_repr = on_repr
        self._seen: set[type] = set()

    def of(self, value: object) -> str:
        """The text, on one line; lone surrogates in it are not escaped."""
        try:
            return json.dumps(value, default=self._simpler, allow_nan=False, ensure_ascii=False)
        except (
            Exception
        ):  # a NaN, a key, a circle, a huge int, a property that raised: the slow way knows a form for each
            return json.dumps(self._plain(value, ()), ensure_ascii=False)

    def _simpler(self, value: Any) -> Any:
        """What to write instead of something that JSON does not have; its parts may need the same."""
        cls: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
        if issubclass(cls, enum.Enum):
            return value.value
        if issubclass(cls, Mapping):
            return {key if isinstance(key, str) else self.of(key): item for key, item in value.items()}
        if issubclass(cls, set | frozenset):
            return sorted(value, key=self.of)
        if issubclass(cls, deque):
            return list(value)
        if issubclass(cls, bytes | bytearray | memoryview):
            return base64.b64encode(value).decode()
        if issubclass(cls, datetime.date | datetime.time):
            return value.isoformat()
        if issubclass(cls, datetime.timedelta):
            return value.total_seconds()
        if issubclass(cls, _AS_STR):
            return str(value)
        if attrs.has(cls):
            return {field.name: getattr(value, field.name) for field in attrs.fields(cls)}
        if dataclasses.is_dataclass(cls):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return self._repr(value)

    def _plain(self, value: Any, around: tuple[int, ...]) -> Any:
        """The same for all that is in it, ``around`` being the objects that this one is in."""
        cls: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
        inside = (*around, id(value))
        if issubclass(cls, enum.Enum):
            return self._plain(value.value, inside)
        if value is None or issubclass(cls, str | bool):
            return value
        if id(value) in around or len(around) > _MAX_DEPTH:
            return self._repr(value)
        try:
            if issubclass(cls, int):
                return _plain_int(value)
            if issubclass(cls, float):
                return value if math.isfinite(value) else _NOT_FINITE[str(value)]
            if issubclass(cls, list | tuple):
                return [self._plain(item, inside) for item in value]
            simpler = self._simpler(value)
            if issubclass(cls, Mapping) or attrs.has(cls) or dataclasses.is_dataclass(cls):
                return {key: self._plain(item, inside) for key, item in simpler.items()}
            return self._plain(simpler, inside)
        except Exception:
            return self._repr(value)

    def _repr(self, value: object) -> str:
        if type(value) not in self._seen:
            self._seen.add(type(value))
            self._on_repr(type(value))
        try:
            return repr(value)
        except Exception as broken:  # a value may do anything, the line is written all the same
            return f"<{type(value).__qualname__} whose repr raised {type(broken).__name__}>"


def _plain_int(value: int) -> int | str:
    try:
        str(value)
    except ValueError:  # more digits than sys.set_int_max_str_digits admits
        return hex(value)
    return value
