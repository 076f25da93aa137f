"""Leaving a nursery of ours with the one error that happened in it, not with a group of one."""

from __future__ import annotations

from types import TracebackType
from typing import TypeGuard

import trio


def single_error() -> _SingleError:
    """Raise the only exception of a group in place of the group: a nursery of ours must not show.

    Where Cancelled came along with an error, it is dropped, as a nursery's own scope does. A group of
    several errors is raised without the groups of one around it.
    """
    return _SingleError()


class _SingleError:
    """No generator: contextlib's frame in the traceback would hold the group, and that the error."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not is_group(raised):
            return
        error = _only_error(raised)
        if error is None:
            return
        context = error.__context__
        try:
            raise error
        finally:
            error.__context__ = context  # Python has just put the group there
            # they would hold this frame, and this frame them
            del error, context, raised, traceback


def _only_error(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """What to raise in place of ``group``, or None if it holds several errors itself."""
    _, errors = group.split(trio.Cancelled)
    error: BaseException = group if errors is None else errors
    while is_group(error) and (len(error.exceptions) == 1 or errors is None):
        error = error.exceptions[0]
    return None if error is errors else error


def is_group(error: BaseException | None) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    """Whether it is an exception group; a plain isinstance leaves type checkers without its members' type."""
    return isinstance(error, BaseExceptionGroup)
