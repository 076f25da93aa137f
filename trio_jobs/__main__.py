"""``trio-jobs``, also as ``python -m trio_jobs``: the command line, where its extra is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from ._errors import MissingExtra


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default those of the process, and return its exit code."""
    try:
        run_command = _load()
    except MissingExtra as missing:
        print(f'trio-jobs needs its command-line extra: pip install "trio-jobs[{missing.extra}]"', file=sys.stderr)
        return 2
    return run_command(arguments)


def _load() -> Callable[[Sequence[str] | None], int]:
    try:
        from .cli import run_command
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("cyclopts", "rich"):
            raise
        raise MissingExtra("trio-jobs", extra="cli") from error
    return run_command


if __name__ == "__main__":
    sys.exit(main())
