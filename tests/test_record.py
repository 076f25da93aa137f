"""Records: as attrs makes them; and drafts: what they become is what they were filled with, and as frozen as any."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs
import pytest

from trio_jobs._record import Record, draft_of

T = TypeVar("T")


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class Point(Record, Generic[T]):
    """Something frozen, of a generic class."""

    x: T
    y: int = 0


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class Name(Record):
    """Something frozen, of a plain class."""

    text: str


@attrs.frozen
class Referable:
    """Something that can be referred to weakly."""


class Place(Point[int]):
    """A class below a record's."""


@attrs.frozen(repr=False, eq=False)
class Outer(Record):
    """Something frozen that may hold itself."""

    inner: list[object]


# -- Records


def test_records_of_equal_fields_are_equal() -> None:
    """And of use in a set."""
    assert Point(3, 4) == Point(3, 4)
    assert len({Point(3, 4), Point(3, 4), Point(4, 3)}) == 2


@pytest.mark.parametrize("other", [Point(3, 5), Point(4, 4), Place(3, 4), Name("n"), (3, 4), None])
def test_what_differs_in_a_field_or_is_of_another_class_is_not_equal(other: object) -> None:
    """As attrs has it."""
    assert Point(3, 4) != other
    assert other != Point(3, 4)


def test_an_unhashable_field_makes_an_unhashable_record() -> None:
    """As in a tuple."""
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        hash(Point([]))


def test_its_repr_can_be_read_as_how_it_was_made() -> None:
    """With the name of the class that it is of, however deep that was defined."""

    class Local(Point[int]):
        """Defined in a function."""

    assert repr(Point("x", 4)) == "Point(x='x', y=4)"
    assert repr(Place(3)) == "Place(x=3, y=0)"
    assert repr(Local(3)) == "Local(x=3, y=0)"


def test_a_record_that_holds_itself_has_a_repr() -> None:
    """With dots where it comes again."""
    outer = Outer([])
    outer.inner.append(outer)

    assert repr(outer) == "Outer(inner=[...])"


# -- Drafts


make_point, make_name = draft_of(Point), draft_of(Name)


def test_a_draft_becomes_what_it_was_filled_with() -> None:
    """Equal to one that was made in the usual way, and of the same class."""
    point, name = make_point(), make_name()
    point.x, point.y, name.text = 3, 4, "n"
    point.__class__, name.__class__ = Point, Name

    assert (point, name) == (Point(3, 4), Name("n"))
    assert (type(point), type(name)) == (Point, Name)
    assert hash(point) == hash(Point(3, 4))


def test_it_is_frozen_then() -> None:
    """For everybody who gets it."""
    point = make_point()
    point.x = point.y = 3
    point.__class__ = Point

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        point.x = 4


def test_a_class_with_a_slot_for_weak_references_has_no_drafts() -> None:
    """Python would not let a draft become one."""
    with pytest.raises(TypeError, match="Referable has a slot for weak references"):
        draft_of(Referable)


def test_a_draft_has_no_other_fields() -> None:
    """A wrong name is found at once."""
    with pytest.raises(AttributeError):
        make_point().z = 3
