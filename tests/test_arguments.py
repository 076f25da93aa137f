"""Checks of arguments that several constructors take."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan

import pytest

from trio_jobs._arguments import check_buffer_size, check_int, check_seconds


@pytest.mark.parametrize("size", [0, 1, 10**30, inf])
def test_a_buffer_size_is_a_whole_number_or_infinite(size: float) -> None:
    """What Trio's channels take is taken."""
    check_buffer_size("size", size, least=0)


@pytest.mark.parametrize("size", [1.0, -inf, nan, True, None, "8", Decimal("inf")])
def test_a_buffer_size_of_another_type_is_refused(size: object) -> None:
    """The message names the parameter and what it was given."""
    with pytest.raises(TypeError) as raised:
        check_buffer_size("size", size, least=0)

    assert str(raised.value) == f"size must be an int or math.inf, got {size!r}"


@pytest.mark.parametrize(("size", "least"), [(-1, 0), (0, 1)])
def test_a_buffer_size_that_is_too_small_is_refused(size: int, least: int) -> None:
    """The least that is allowed is the caller's to say."""
    with pytest.raises(ValueError, match=f"^size must be at least {least}, got {size}$"):
        check_buffer_size("size", size, least=least)


@pytest.mark.parametrize("value", [inf, 1.0, True, None, "8"])
def test_an_int_is_nothing_else(value: object) -> None:
    """Not even infinite, and True is no number."""
    with pytest.raises(TypeError) as raised:
        check_int("limit", value, least=0)

    assert str(raised.value) == f"limit must be an int, got {value!r}"


def test_an_int_that_is_too_small_is_refused() -> None:
    """The least is allowed, one less is not."""
    check_int("limit", 3, least=3)

    with pytest.raises(ValueError, match=r"^limit must be at least 3, got 2$"):
        check_int("limit", 2, least=3)


@pytest.mark.parametrize("seconds", [0, 0.5, 3, inf])
def test_seconds_are_returned(seconds: float) -> None:
    """So a constructor can check and keep in one line."""
    assert check_seconds("grace", seconds) == seconds


@pytest.mark.parametrize("seconds", [True, None, "1", 1j])
def test_seconds_of_another_type_are_refused(seconds: object) -> None:
    """The message names the parameter and what it was given."""
    with pytest.raises(TypeError) as raised:
        check_seconds("grace", seconds)

    assert str(raised.value) == f"grace must be a number of seconds, got {seconds!r}"


@pytest.mark.parametrize("seconds", [-1, -1e-9, -inf, nan])
def test_negative_seconds_and_nan_are_refused(seconds: float) -> None:
    """A length of time is at least none at all."""
    with pytest.raises(ValueError, match=f"^grace must be at least 0 seconds, got {seconds}$"):
        check_seconds("grace", seconds)


def test_seconds_that_no_float_holds_are_refused() -> None:
    """An int has no bound of its own."""
    with pytest.raises(ValueError, match=r"^grace must be at most 1e308 seconds, or math.inf, got a larger int$"):
        check_seconds("grace", 10**400)
