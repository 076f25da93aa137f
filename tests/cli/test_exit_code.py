"""What the shell is told."""

from __future__ import annotations

import signal

from trio_jobs.cli._exit_code import ExitCode, code_of_signal


def test_a_signal_is_shown_as_shells_show_it() -> None:
    """130 for Ctrl-C, 143 for SIGTERM."""
    assert [code_of_signal(signal.SIGINT), code_of_signal(signal.SIGTERM)] == [130, 143]


def test_a_broken_pipe_looks_like_death_by_sigpipe() -> None:
    """As for other tools whose output nobody reads any more."""
    assert code_of_signal(signal.SIGPIPE) == ExitCode.BROKEN_PIPE
