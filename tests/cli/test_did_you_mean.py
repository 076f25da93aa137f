"""The name that was probably meant."""

from __future__ import annotations

from trio_jobs.cli._did_you_mean import did_you_mean


def test_the_closest_name_is_suggested() -> None:
    """One suggestion, to be added to a message."""
    assert did_you_mean("resise", ["rename", "resize"]) == '; did you mean "resize"?'


def test_nothing_is_suggested_if_nothing_is_close() -> None:
    """The message then stands alone."""
    assert did_you_mean("resise", ["x"]) == ""
