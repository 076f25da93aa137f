"""The page of promises names a test for each, and that test exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "promises.md").read_text(encoding="utf-8")
PROMISES = dict(re.findall(r"^## (P\d+): (.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL))
IN_MEMORY = [promise for promise in PROMISES if promise != "P6"]  # that one is about processes that die


def test_the_promises_are_those_that_were_made() -> None:
    """All of them, also the one that has no place in memory."""
    assert sorted(PROMISES) == sorted(f"P{number}" for number in range(1, 12))


@pytest.mark.parametrize("promise", IN_MEMORY)
def test_every_promise_names_tests_that_exist(promise: str) -> None:
    """So that whoever renames a test sees who relies on it."""
    named = set(re.findall(r"`(test_\w+)`", PROMISES[promise]))
    sources = (path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    defined = {name for source in sources for name in re.findall(r"^(?:async )?def (test_\w+)", source, re.MULTILINE)}

    assert named
    assert named <= defined
