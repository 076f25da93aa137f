"""The one source of ids and of random numbers: unique by default, repeatable when seeded."""

from __future__ import annotations

import os
import random
import string
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from weakref import WeakSet

_ALPHABET = string.digits + string.ascii_letters
_PREFIX_LENGTH = 9  # 8 of 62 characters and a letter: 53 bits, so 10**6 processes share a prefix with p = 0.0001


class Randomness:
    """Where ids and jitter come from.

    An id is a prefix drawn once and a counter, such as ``q7XbT3mKa41``: unique across processes and cheap, where
    a UUID for each message would cost as much as all the rest of a queued request. With ``seed``, everything drawn is
    the same in every run; without, the prefix comes from the operating system and is drawn anew in a forked child.
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and type(seed) is not int:
            raise TypeError(f"seed must be an int or None, got {seed!r}")
        self.seed = seed
        self._renew()
        if seed is None:
            _unseeded.add(self)

    def __repr__(self) -> str:
        return f"<Randomness seed={self.seed}>"

    def _renew(self) -> None:
        self.random = random.SystemRandom() if self.seed is None else random.Random(self.seed)
        letters = self.random.choices(_ALPHABET, k=_PREFIX_LENGTH - 1)
        self._prefix = "".join([*letters, self.random.choice(string.ascii_letters)])
        self._next = count().__next__

    random: random.Random
    """For jitter and every other choice that need not be the same in each process."""

    def new_id(self) -> str:
        """An id that no other call in any process returns."""
        return f"{self._prefix}{self._next()}"


def _renew_in_child() -> None:
    for randomness in _unseeded:
        randomness._renew()


_unseeded: WeakSet[Randomness] = WeakSet()
if sys.platform != "win32":  # pragma: no branch  # there nothing forks
    os.register_at_fork(after_in_child=_renew_in_child)

_default = Randomness()
randomness_in_force: ContextVar[Randomness] = ContextVar("trio_jobs.randomness", default=_default)


def current_randomness() -> Randomness:
    """The source in force here: what `use_randomness` set, else the process's own."""
    return randomness_in_force.get()


@contextmanager
def use_randomness(randomness: Randomness) -> Generator[Randomness]:
    """Draw ids and jitter from ``randomness`` in this block and in the tasks started in it."""
    if not isinstance(randomness, Randomness):
        raise TypeError(f"randomness must be a Randomness, got {randomness!r}")
    token = randomness_in_force.set(randomness)
    try:
        yield randomness
    finally:
        randomness_in_force.reset(token)
