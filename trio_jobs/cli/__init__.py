"""The command ``trio-jobs``; needs the extra ``cli``. A command is a file here, and says itself what it does.

How it is built; a file knows only files above it:

    what was typed      _target (MODULE:JOB), _did_you_mean, _exit_code
    what comes in       _inputs
    what goes out       _json_text, _record, _in_order, _output
    what is shown       _screen, _progress
    how it ends         _interrupts
    the commands        _map_run, _map, example, _demo
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import trio
from cyclopts import App, CycloptsError, Parameter

from . import _demo, _map
from ._exit_code import ExitCode, WrongUse
from ._screen import open_screen, say

__all__ = ["run_command"]


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say, by default those of the process, and return the exit code."""
    typed = sys.argv[1:] if arguments is None else arguments
    tokens = [_map.DASH if argument == "-" else argument for argument in typed]
    try:
        return _app()(tokens, result_action="return_value", exit_on_error=False, print_error=False) or ExitCode.DONE
    except (CycloptsError, WrongUse) as error:
        say(open_screen(sys.stderr), f"trio-jobs: {error}", "red")
        return ExitCode.WRONG_USE
    except KeyboardInterrupt:  # while Trio does not run, so nothing is lost
        return 130


def _app() -> App:
    app = App(
        "trio-jobs",
        help="Run jobs from the shell. Begin with: trio-jobs demo",
        usage="Usage: trio-jobs COMMAND",
        version=_version,
        console=open_screen(sys.stdout),
        error_console=open_screen(sys.stderr),
        default_parameter=Parameter(negative=(), show_default=False),
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
    )
    app.command(_map.map_inputs, name="map", usage=_map.USAGE, help_epilogue=_map.EXAMPLES)
    app.command(_demo.demo, name="demo", usage=_demo.USAGE, help_epilogue=_demo.EXAMPLES)
    return app


def _version() -> str:
    try:
        own = version("trio-jobs")
    except PackageNotFoundError:  # run from the sources
        own = "unreleased"
    return f"trio-jobs {own}, Trio {trio.__version__}"
