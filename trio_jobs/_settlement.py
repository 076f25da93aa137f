"""From what became of a request to what its transport is told: one table, and the books.

1. Every claimed request is settled exactly once, or is known to be left.
2. Only a failure that is to be tried again charges an attempt.
3. What was not published is not settled: its lease ends, and it runs again.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from ._errors import ConservationError
from ._record import Record


class Case(enum.Enum):
    """What became of a request, as far as its settlement is concerned."""

    SUCCEEDED = enum.auto()
    FAILED = enum.auto()
    """It failed and is not to be tried again."""
    FAILED_AGAIN = enum.auto()
    """It failed and the retry policy says again."""
    ABORTED = enum.auto()
    INTERRUPTED = enum.auto()
    """Drain, crash or supervision took it from its job."""
    UNREADABLE = enum.auto()
    """It cannot be run: undecodable, too large, or its id is running already."""
    UNPUBLISHED = enum.auto()
    """It has a response that could not be published."""


class Verb(enum.Enum):
    """What a receiver of requests can be told."""

    ACK = enum.auto()
    RELEASE = enum.auto()
    REJECT = enum.auto()
    NOTHING = enum.auto()


@attrs.frozen(eq=False, repr=False)
class Settlement(Record):
    """What is done with a request once it is known what became of it."""

    publish: bool
    """Whether its response goes to the subscribers, before anything else."""
    verb: Verb
    """What its receiver is told then."""
    charge: bool = False
    """Whether the next attempt counts as one more."""


SETTLEMENTS: Mapping[Case, Settlement] = MappingProxyType(
    {
        Case.SUCCEEDED: Settlement(publish=True, verb=Verb.ACK),
        Case.FAILED: Settlement(publish=True, verb=Verb.REJECT, charge=True),
        Case.FAILED_AGAIN: Settlement(publish=False, verb=Verb.RELEASE, charge=True),
        Case.ABORTED: Settlement(publish=True, verb=Verb.ACK),
        Case.INTERRUPTED: Settlement(publish=False, verb=Verb.RELEASE),
        Case.UNREADABLE: Settlement(publish=False, verb=Verb.REJECT),
        Case.UNPUBLISHED: Settlement(publish=False, verb=Verb.NOTHING),
    }
)


class Ledger:
    """How many requests were claimed and what became of them.

    Plain integers, for they are on the hot path.
    """

    __slots__ = (
        "aborted",
        "claimed",
        "failed",
        "left",
        "lost",
        "rejected",
        "released",
        "succeeded",
    )

    def __init__(self) -> None:
        self.claimed = self.succeeded = self.failed = self.aborted = 0
        self.rejected = self.released = self.lost = self.left = 0

    def check(self) -> None:
        """Raise `ConservationError` unless everything that was claimed is accounted for."""
        settled = self.succeeded + self.failed + self.aborted + self.rejected + self.released
        if self.claimed != settled + self.lost + self.left:
            raise ConservationError(f"claimed requests do not add up: {self!r}")

    def __repr__(self) -> str:
        return f"<Ledger {' '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)}>"
