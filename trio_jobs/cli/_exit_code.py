"""How the command ends: the exit codes, and the error that says how to use it rightly."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What the shell is told. After a signal it is 128 and the signal's number, as shells have it."""

    DONE = 0
    """Every input was answered, and every answer was a success."""
    FAILED = 1
    """Some inputs failed or were aborted, or the run itself broke off."""
    WRONG_USE = 2
    """Nothing was run: what was asked for cannot be, and the message says how to mend it."""
    BROKEN_PIPE = 141
    """Whoever read the output went away: 128 and the number of SIGPIPE."""


class WrongUse(Exception):
    """What was typed cannot be done; the message says what is wrong and how to mend it."""


def code_of_signal(number: int) -> int:
    """What a shell shows for a program that ended by this signal."""
    return 128 + number
