"""Every exception of the package, each saying whose doing it is. Where one of Trio's means the same, it is used.

What an exception is made of is positional, and is what it passes on as its arguments: so it can be copied and pickled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from ._error_info import ErrorInfo


class JobFailed(Exception):
    """The job raised: its doing, not yours.

    ``error`` is what it raised, as data. Where the job ran in this process and you waited for it in ``call``, the
    original exception is the ``__cause__``.
    """

    def __init__(self, error: ErrorInfo, request_id: str) -> None:
        Exception.__init__(self, error, request_id)  # cheaper than super(), and each call that fails makes one
        self.error = error
        self.request_id = request_id

    def __str__(self) -> str:
        return f"request {self.request_id} failed with {self.error}"


class JobAborted(Exception):
    """The request was stopped, waiting or running: by its caller, an operator, or because a sibling failed."""

    def __init__(self, reason: str, request_id: str) -> None:
        super().__init__(reason, request_id)
        self.reason = reason
        self.request_id = request_id

    def __str__(self) -> str:
        return f"request {self.request_id} was aborted ({self.reason})"


class JobTooSlow(trio.TooSlowError):
    """The request's own deadline passed while it waited or ran."""

    def __init__(self, request_id: str) -> None:
        super().__init__(request_id)
        self.request_id = request_id

    def __str__(self) -> str:
        return f"request {self.request_id} was not answered by its deadline"


class ProcessorStopped(trio.BrokenResourceError):
    """The processor is gone and will not answer: it was drained, cancelled, or failed with the ``__cause__``."""


class Lagged(Exception):
    """You read slower than was sent, and chose to lose the oldest.

    ``skipped`` items are gone; the next receive goes on with the oldest that is kept.
    """

    def __init__(self, skipped: int) -> None:
        super().__init__(skipped)
        self.skipped = skipped

    def __str__(self) -> str:
        return f"{self.skipped} items were dropped before they were received"


class Disconnected(trio.BrokenResourceError):
    """You read slower than was sent, and chose to be cut off rather than to hold the others up."""


class LeaseLost(Exception):
    """The request is not yours to settle: its lease ended, another receiver holds it, or it is settled already."""

    def __init__(self, request_id: str) -> None:
        super().__init__(request_id)
        self.request_id = request_id

    def __str__(self) -> str:
        return f"request {self.request_id} is not held by this receiver any more, nothing was changed"


class CallCycle(RuntimeError):
    """A job called a processor all of whose slots wait, directly or through others, for that same processor.

    ``cycle`` names the processors in the order of the calls, the first once more at the end.
    """

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(cycle)
        self.cycle = cycle

    def __str__(self) -> str:
        return (
            f"this call can never start: {' -> '.join(self.cycle)}; every slot holds a job that waits for this very "
            "processor. Raise concurrency or the request buffer, await the job's function, or split the processor"
        )


class StrayCancelled(Exception):
    """The job raised a ``Cancelled`` that nobody had asked for, such as one it had kept from an earlier time."""

    def __str__(self) -> str:
        return "the job raised a trio.Cancelled although nothing had cancelled it"


class ConservationError(RuntimeError):
    """A processor cannot account for every request it claimed: a fault of the framework, please report it."""


class MissingExtra(ImportError):
    """Something needs a package that comes with an extra which is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, extra)
        self.what = what
        self.extra = extra

    def __str__(self) -> str:
        return f'{self.what} needs the extra "{self.extra}": pip install "trio-jobs[{self.extra}]"'
