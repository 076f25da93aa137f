"""``trio-jobs map``: a job over lines, JSON lines or files, without a line of code around it."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from math import inf
from pathlib import Path
from typing import Annotated, TextIO

import trio
from cyclopts import Parameter

from ._exit_code import WrongUse
from ._inputs import STDIN, FileId, Form, open_inputs
from ._map_run import MapOptions, MapRun
from ._screen import is_live, open_screen, say
from ._target import load_job, load_resources

DASH = "\0"
"""What stands for a lone hyphen, the standard stream: cyclopts takes a hyphen for an option that it does not know."""

USAGE = "Usage: trio-jobs map MODULE:JOB [INPUT...] [OPTIONS]"

EXAMPLES = """\
Examples:
    trio-jobs map trio_jobs.cli.example:file_facts docs
    trio-jobs map thumbnails:make photos --concurrency 4 --output made.jsonl
    trio-jobs map orders:book --from json < orders.jsonl

Exit codes: 0 all succeeded, 1 some did not, 2 wrong use, 130 after Ctrl-C,
143 after SIGTERM, 141 if nobody reads the output any more."""


def map_inputs(
    target: Annotated[str, Parameter(name="MODULE:JOB")],
    /,
    *inputs: Annotated[str, Parameter(name="INPUT")],
    form: Annotated[Form | None, Parameter(name="--from", metavar="lines|json|files", show_choices=False)] = None,
    concurrency: Annotated[int, Parameter(alias="-j", metavar="N", show_default=True)] = 16,
    ordered: bool = False,
    time_limit: Annotated[float | None, Parameter(metavar="SECONDS")] = None,
    fail_fast: bool = False,
    output: Annotated[Path | None, Parameter(alias="-o", metavar="FILE")] = None,
    resources: Annotated[str | None, Parameter(metavar="MODULE:FACTORY")] = None,
    app_dir: Annotated[Path, Parameter(metavar="FOLDER")] = Path(),
    grace: Annotated[float, Parameter(metavar="SECONDS", show_default=True)] = 10,
    quiet: Annotated[bool, Parameter(alias="-q")] = False,
    verbose: Annotated[bool, Parameter(alias="-v")] = False,
) -> int:
    """Run a job for each line of some files, each JSON value in them, or each file in a folder.

    Every answer is a line of JSON on standard output. Progress, failures and a summary go to standard error.
    Ctrl-C lets end what runs, a second one cancels it.

    Args:
        target: The job: its module as an import would name it, a colon, its name there.
        inputs: Files, folders, or - for standard input, which is also read if none are named.
        form: What an input is: a line, the JSON on a line, or a file. By default files for folders, else lines.
        concurrency: How many run at the same time.
        ordered: Write the answers in the order of the inputs, not as they come.
        time_limit: Abort what runs longer than this.
        fail_fast: Stop at the first input that does not succeed.
        output: Write to this file, over what is in it, not to standard output.
        resources: For a job that takes some: what makes them when called, or an async context manager of them.
        app_dir: Look for modules here first, not in the current folder.
        grace: How long Ctrl-C lets run what runs.
        quiet: Show no progress, no failures, no summary.
        verbose: Show every failure with its traceback.
    """
    options = MapOptions(
        concurrency=concurrency,
        ordered=ordered,
        time_limit=inf if time_limit is None else time_limit,
        fail_fast=fail_fast,
        grace=grace,
        quiet=quiet,
        verbose=verbose,
    )
    folder = app_dir.resolve()
    with _prints_on_stderr():
        job = load_job(target, folder)
        opened = load_resources(resources, job, folder)
    stdin = descriptor_of(sys.stdin)
    with _open_descriptor(output) as descriptor:
        output_id = FileId.of(os.fstat(descriptor))
        wanted = open_inputs([STDIN if name == DASH else name for name in inputs], form, stdin=stdin, output=output_id)
        if output_id is not None and descriptor != descriptor_of(sys.stdout):
            os.ftruncate(descriptor, 0)
        console = open_screen(sys.stderr)
        # What is typed there would get mixed up with the display.
        types = wanted.reads_stdin and stdin is not None and os.isatty(stdin)
        live = is_live(console) and not types
        if types and not quiet:
            say(console, "reading what is typed here; Ctrl-D ends it")

        async def run() -> int:
            return await MapRun(
                job,
                wanted,
                options,
                resources=opened,
                console=console,
                live=live,
                descriptor=descriptor,
                shares_terminal=live and os.isatty(descriptor),
            ).run()

        with _prints_on_stderr():
            return trio.run(run)


def _prints_on_stderr() -> AbstractContextManager[object]:
    """What a user's module or job prints must not stand between the lines of the output."""
    return redirect_stdout(sys.stderr)


def descriptor_of(stream: TextIO | None) -> int | None:
    """The descriptor of a stream of Python's; None where the shell closed it."""
    return None if stream is None else stream.fileno()


@contextmanager
def _open_descriptor(output: Path | None) -> Generator[int]:
    """Where to write: nothing that is there is touched yet."""
    if output is None or str(output) == DASH:
        descriptor = descriptor_of(sys.stdout)
        if descriptor is None:
            raise WrongUse("standard output is closed: use --output FILE")
        yield descriptor
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT, 0o666)
    except OSError as error:
        raise WrongUse(f"cannot write to {output}: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)
