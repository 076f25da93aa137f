"""Checks of arguments that several constructors take, and how messages name what they were given.

Each check raises at once, and names the parameter and what it was given.
"""

from __future__ import annotations

from functools import partial
from math import inf, isnan
from typing import cast


def check_buffer_size(name: str, size: object, *, least: int) -> None:
    """Raise unless ``size`` is an int of at least ``least``, or math.inf."""
    if isinstance(size, float) and size == inf:
        return
    check_int(name, size, least=least, or_else=" or math.inf")


def check_int(name: str, value: object, *, least: int, or_else: str = "") -> None:
    """Raise unless ``value`` is an int of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int{or_else}, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")


def check_seconds(name: str, seconds: object) -> float:
    """Raise unless ``seconds`` is a number, not NaN and not negative; return it."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} must be a number of seconds, got {seconds!r}")
    try:
        number = float(seconds)
    except OverflowError:
        raise ValueError(f"{name} must be at most 1e308 seconds, or math.inf, got a larger int") from None
    if isnan(number) or number < 0:
        raise ValueError(f"{name} must be at least 0 seconds, got {seconds!r}")
    return number


def name_of(given: object) -> str:
    """What to call a function, or what else can be called, in a message; of a partial, what it calls."""
    while isinstance(given, partial):
        given = cast("object", given.func)
    name: object = getattr(given, "__name__", None)
    return name if isinstance(name, str) else type(given).__name__
