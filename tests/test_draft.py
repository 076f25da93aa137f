"""Drafts: what they become is what they were filled with, and as frozen as any."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs
import pytest

from trio_jobs._draft import draft_of

T = TypeVar("T")


@attrs.frozen(weakref_slot=False)
class Point(Generic[T]):
    """Something frozen, of a generic class."""

    x: T
    y: int = 0


@attrs.frozen(weakref_slot=False)
class Name:
    """Something frozen, of a plain class."""

    text: str


@attrs.frozen
class Referable:
    """Something that can be referred to weakly."""


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
