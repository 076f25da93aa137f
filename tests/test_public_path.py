"""Public names say where users import them from."""

from __future__ import annotations

from trio_jobs._public_path import show_public_path


def test_a_name_of_ours_says_that_it_lives_where_it_is_shown() -> None:
    """Tracebacks read so."""

    class Ours:
        __module__ = "trio_jobs._somewhere"

    show_public_path("trio_jobs.shown", Ours)

    assert Ours.__module__ == "trio_jobs.shown"


def test_what_is_not_ours_keeps_its_place() -> None:
    """A re-exported class of Trio stays Trio's, and a plain value has no place."""

    class Theirs:
        __module__ = "trio"

    show_public_path("trio_jobs.shown", Theirs, 3)

    assert Theirs.__module__ == "trio"
