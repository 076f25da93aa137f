"""What the tests of the command share: jobs in a folder of the user's, a console that remembers, the command itself."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Protocol

import pytest
from rich.console import Console

import trio_jobs

JOBS = '''
"""Jobs of a user."""

import threading
from contextlib import asynccontextmanager

import trio

from trio_jobs import Job, job, thread_job


@job
async def double(line: str) -> str:
    return line * 2


@job
async def fail_odd(line: str) -> int:
    if int(line) % 2:
        raise ValueError(f"{line} is odd")
    return int(line)


@job
async def until_cancelled(line: str) -> None:
    print("started", line, flush=True)
    await trio.sleep_forever()


@job
async def double_unless_stuck(line: str) -> str:
    if line == "stuck":
        print("started stuck", flush=True)
        await trio.sleep_forever()
    return line * 2


@job
async def block(line: str) -> None:
    print("started", line, flush=True)
    threading.Event().wait()


@job
async def shielded(line: str) -> None:
    print("started", line, flush=True)
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


@job
async def nothing_with(line: str, resources: object) -> list[object]:
    return [line, resources]


@thread_job
def size(path) -> int:
    print("a job may print")
    return path.stat().st_size


class Settings(Job):
    async def run(self, request, resources):
        return request


async def plain(line): ...
def sync(line): ...
def generator(line): yield


def make():
    return "made"


@asynccontextmanager
async def opened():
    yield "opened"


def broken():
    raise RuntimeError("no such store")


async def not_a_factory(): ...


settings = Settings()
number = 3
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the module ``jobs``, which is the current one; afterwards nothing of it is left imported."""
    (tmp_path / "jobs.py").write_text(JOBS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.fixture
def console() -> Console:
    """A console that is no terminal; `said` tells what was printed on it."""
    return Console(file=io.StringIO(), width=80, highlight=False, markup=False)


@pytest.fixture
def said(console: Console) -> Callable[[], str]:
    """What was printed on the console so far."""

    def read() -> str:
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    return read


@pytest.fixture
def on_screen() -> Callable[[str], list[str]]:
    """The lines that a terminal shows which was sent this text."""

    def lines_of(text: str) -> list[str]:
        lines, row, column = [""], 0, 0
        for control, move, kind, plain in re.findall(r"(\x1b\[[?\d;]*?(\d*)([A-Za-z]))|([^\x1b])", text):
            if kind == "A":
                row -= int(move or 1)
            elif kind == "K":
                lines[row] = ""
            elif plain == "\r":
                column = 0
            elif plain == "\n":
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            elif not control:
                lines[row] = f"{lines[row]:{column}}"[:column] + plain + lines[row][column + 1 :]
                column += 1
        return [line.rstrip() for line in lines]

    return lines_of


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment in which another Python finds the package, and prints as on a terminal of 80 columns."""
    root = str(Path(trio_jobs.__file__).parents[1])
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return {**inherited, "PYTHONPATH": root, "COLUMNS": "80", "TERM": "xterm-256color", "PYTHONUTF8": "1"}


class Start(Protocol):
    """Starts ``trio-jobs`` with these arguments in the folder of the jobs; its streams are pipes."""

    def __call__(
        self, *arguments: str, stdin: int = PIPE, stdout: int = PIPE, stderr: int = PIPE, **environment: str
    ) -> Popen[bytes]: ...


@pytest.fixture
def start(environment: dict[str, str], folder: Path) -> Iterator[Start]:
    """Start ``trio-jobs``; killed at the end of the test."""
    started: list[Popen[bytes]] = []

    def start(*arguments: str, stdin: int = PIPE, stdout: int = PIPE, stderr: int = PIPE, **more: str) -> Popen[bytes]:
        command = [sys.executable, "-m", "trio_jobs", *arguments]
        around = {**environment, **more}
        process = Popen(command, cwd=folder, env=around, stdin=stdin, stdout=stdout, stderr=stderr)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
