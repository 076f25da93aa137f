"""What a transport is told once it is known what became of a request, and the books."""

from __future__ import annotations

from typing import Any, cast

import pytest

from trio_jobs._errors import ConservationError
from trio_jobs._settlement import SETTLEMENTS, Case, Ledger, Settlement, Verb

ENTRIES = ["succeeded", "failed", "aborted", "rejected", "released", "lost", "left"]


@pytest.mark.parametrize(
    ("case", "publish", "verb", "charge"),
    [
        (Case.SUCCEEDED, True, Verb.ACK, False),
        (Case.FAILED, True, Verb.REJECT, True),
        (Case.FAILED_AGAIN, False, Verb.RELEASE, True),
        (Case.ABORTED, True, Verb.ACK, False),
        (Case.INTERRUPTED, False, Verb.RELEASE, False),
        (Case.UNREADABLE, False, Verb.REJECT, False),
        (Case.UNPUBLISHED, False, Verb.NOTHING, False),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else "",
)
def test_every_case_is_settled_as_the_table_says(case: Case, publish: bool, verb: Verb, charge: bool) -> None:
    """One row a case: what is published, what the receiver is told, whether the attempt counts."""
    assert SETTLEMENTS[case] == Settlement(publish=publish, verb=verb, charge=charge)


def test_no_case_lacks_a_row() -> None:
    """A case that is added is decided."""
    assert set(SETTLEMENTS) == set(Case)


def test_the_table_cannot_be_changed() -> None:
    """It is shared by all processors."""
    table = cast("dict[Case, Any]", SETTLEMENTS)

    with pytest.raises(TypeError):
        table[Case.SUCCEEDED] = None


def test_empty_books_balance() -> None:
    """A processor that got nothing may close."""
    Ledger().check()


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_claimed_request_is_accounted_for_by_any_entry(entry: str) -> None:
    """However it ended, it counts once."""
    ledger = Ledger()
    ledger.claimed = 1
    setattr(ledger, entry, 1)

    ledger.check()


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_too_many_is_an_error(entry: str) -> None:
    """Something was settled that nobody had claimed, or twice."""
    ledger = Ledger()
    setattr(ledger, entry, 1)

    with pytest.raises(ConservationError) as raised:
        ledger.check()

    assert str(raised.value) == f"claimed requests do not add up: {ledger!r}"


def test_a_claimed_request_without_an_entry_is_an_error() -> None:
    """It went silently."""
    ledger = Ledger()
    ledger.claimed, ledger.succeeded = 3, 2

    with pytest.raises(ConservationError):
        ledger.check()


def test_the_books_show_every_number() -> None:
    """That is what a report of a fault needs."""
    ledger = Ledger()
    for number, entry in enumerate(["claimed", *ENTRIES]):
        setattr(ledger, entry, number)

    assert sorted(repr(ledger).strip("<>").split()) == sorted(
        ["Ledger", "claimed=0", *(f"{entry}={number}" for number, entry in enumerate(ENTRIES, 1))]
    )
