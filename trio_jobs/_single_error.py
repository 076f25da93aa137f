"""Leaving a nursery of ours with the one error that happened in it, instead of with a group of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio


@contextmanager
def single_error() -> Iterator[None]:
    """Raise the only exception of a group in place of the group: a nursery that users do not see must not show in errors.

    Where Cancelled came along with an error, it is dropped, as a nursery's own scope does. Groups of several errors pass.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        only = _only_error(group)
        if only is None:
            raise
        error = only
    else:
        return
    try:
        raise error
    finally:
        del error  # it would hold this frame, and this frame it


def _only_error(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """What to raise in place of ``group``, or None if it holds several errors."""
    _, error = group.split(trio.Cancelled)
    if error is None:
        return _leaves(group)[0]
    leaves = _leaves(error)
    return leaves[0] if len(leaves) == 1 else None


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for member in error.exceptions for leaf in _leaves(member)]
