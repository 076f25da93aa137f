"""Lines in the order of their inputs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from trio_jobs.cli._in_order import AsCompleted, InOrder


@settings(deadline=None)
@given(st.permutations(range(20)))
def test_lines_come_in_order_whatever_order_they_are_put_in(numbers: list[int]) -> None:
    """None is lost, none is doubled."""
    order = InOrder()

    ready = [line for number in numbers for line in order.put(number, b"%d" % number)]

    assert ready == [b"%d" % number for number in range(20)]


def test_a_line_comes_as_soon_as_those_before_it_have() -> None:
    """Not later."""
    order = InOrder()

    assert [order.put(number, b"%d" % number) for number in (1, 0, 2)] == [[], [b"0", b"1"], [b"2"]]


def test_as_completed_keeps_nothing_back() -> None:
    """The line is there at once."""
    assert AsCompleted().put(7, b"x") == [b"x"]
