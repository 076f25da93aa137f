"""The command as a process of its own: pipes, signals, terminals, and what is not installed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import IO, Any, Protocol

import attrs
import pytest

from trio_jobs.__main__ import main


class Start(Protocol):
    """See the fixture."""

    def __call__(
        self, *arguments: str, stdin: int = ..., stdout: int = ..., stderr: int = ..., **environment: str
    ) -> Popen[bytes]: ...


def stream(of: IO[bytes] | None) -> IO[bytes]:
    assert of is not None
    return of


def say(process: Popen[bytes], text: bytes) -> None:
    """Write to its standard input, which stays open."""
    stream(process.stdin).write(text)
    stream(process.stdin).flush()


def wait_for(process: Popen[bytes], line: bytes) -> None:
    """Read its standard error until it has said this line."""
    assert any(said.startswith(line) for said in stream(process.stderr)), f"it ended without {line!r}"


def records(of: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in of.splitlines()]


# --- pipes


def test_it_reads_a_pipe_and_writes_one(start: Start) -> None:
    """The lines alone on standard output; all that is for a person on standard error."""
    out, error = start("map", "jobs:double").communicate(b"one\n")

    assert records(out)[0]["value"] == "oneone"
    assert error.endswith(b": 1 succeeded\n")


def test_an_answer_comes_before_the_next_input_is_there(start: Start) -> None:
    """A conversation is possible."""
    process = start("map", "jobs:double")
    for line in (b"one\n", b"two\n"):
        say(process, line)
        assert json.loads(stream(process.stdout).readline())["value"] == 2 * line.decode().strip()

    process.communicate()
    assert process.returncode == 0


def test_text_is_utf8_whatever_the_locale(start: Start) -> None:
    """JSON is, and so is what it is made of."""
    process = start("map", "jobs:double", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    out, _ = process.communicate("ü\n".encode())

    assert records(out)[0]["value"] == "üü"


@pytest.mark.parametrize("arguments", [["map", "jobs:double", "many.txt"], ["map", "jobs:double", "many.txt", "-q"]])
def test_head_is_satisfied_with_one_line(arguments: list[str], start: Start, folder: Path) -> None:
    """What comes before it in the pipe ends quietly: no traceback, also not when Python ends; 141."""
    (folder / "many.txt").write_text("x\n" * 100_000)
    process = start(*arguments)
    first = stream(process.stdout).readline()
    stream(process.stdout).close()

    assert json.loads(first)["value"] == "xx"
    assert stream(process.stderr).read() == b""
    assert process.wait() == 141


@pytest.mark.parametrize("arguments", [["--help"], ["map", "--help"], ["demo"]])
def test_text_for_people_may_go_unread(arguments: list[str], start: Start) -> None:
    """Nothing is lost by that: 0, and no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*arguments, stdout=writer)
    os.close(writer)

    _, error = process.communicate()
    assert (process.returncode, error) == (0, b"")


def test_messages_may_go_unread(start: Start) -> None:
    """The output is what counts."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start("map", "jobs:fail_odd", stderr=writer)
    os.close(writer)

    out, _ = process.communicate(b"1\n2\n")
    assert (process.returncode, len(records(out))) == (1, 2)


# --- signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_writes_what_finished_and_names_what_did_not(
    number: signal.Signals, code: int, start: Start
) -> None:
    """In the output and on standard error."""
    process = start("map", "jobs:double_unless_stuck", "--grace", "0")
    say(process, b"one\nstuck\n")
    wait_for(process, b"started stuck")
    process.send_signal(number)
    out, error = process.communicate()

    assert process.returncode == code
    assert {record["input"]: record["outcome"] for record in records(out)} == {
        "one": "succeeded",
        "stuck": "interrupted",
    }
    assert b"interrupted: stdin:2\n" in error
    assert f"stopped by {number.name} after stdin:2; what comes behind that was not read\n".encode() in error
    assert b"Traceback" not in error


def test_the_second_signal_cancels_what_the_first_let_run(start: Start) -> None:
    """An hour of grace need not be waited for."""
    process = start("map", "jobs:until_cancelled", "--grace", "3600")
    say(process, b"one\n")
    wait_for(process, b"started one")
    process.send_signal(signal.SIGINT)
    wait_for(process, b"stopping: 1 running")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()

    assert process.returncode == 130
    assert [record["outcome"] for record in records(out)] == ["interrupted"]


def test_the_third_signal_ends_even_what_blocks_everything(start: Start) -> None:
    """A job that never lets go of Trio's loop is no reason to look for kill -9."""
    process = start("map", "jobs:block")
    say(process, b"one\n")
    wait_for(process, b"started one")
    while process.poll() is None:  # not three times: those that come close together may be one to Python
        process.send_signal(signal.SIGINT)

    assert process.returncode == -signal.SIGINT


def test_a_job_that_shields_itself_does_not_keep_the_process(start: Start) -> None:
    """The third signal ends it although the second could not."""
    process = start("map", "jobs:shielded", "--grace", "0")
    say(process, b"one\n")
    wait_for(process, b"started one")
    process.send_signal(signal.SIGTERM)
    wait_for(process, b"stopping: 1 running")
    process.send_signal(signal.SIGTERM)
    wait_for(process, b"cancelling")
    process.send_signal(signal.SIGTERM)

    process.communicate()
    assert process.returncode == -signal.SIGTERM


def test_a_blocked_read_does_not_keep_the_process(start: Start) -> None:
    """Nobody types, nobody closes the pipe: it ends all the same, without complaint."""
    process = start("map", "jobs:double")
    say(process, b"one\n")
    stream(process.stdout).readline()
    process.send_signal(signal.SIGINT)

    assert process.wait() == 130
    assert b"Fatal" not in stream(process.stderr).read()


# --- a terminal


@attrs.define
class Terminal:
    """A terminal with the command on it, and what it has been sent."""

    process: Popen[bytes]
    descriptor: int
    on_screen: Callable[[str], list[str]]
    sent: str = ""

    def read(self) -> bool:
        """Read what comes next; False if the command has ended."""
        try:
            self.sent += os.read(self.descriptor, 4096).decode(errors="replace")
        except OSError:  # how Linux says that nobody has the other end any more
            return False
        return True

    def wait_for(self, *shown: str) -> list[str]:
        """Read until these are on the screen in one moment; what is on it then."""
        while not all(text in "\n".join(self.lines) for text in shown):
            assert self.read(), self.lines
        return self.lines

    def read_all(self) -> list[str]:
        """Read until the command ends; what is on the screen then."""
        while self.read():
            pass
        self.process.wait()
        return self.lines

    @property
    def lines(self) -> list[str]:
        return self.on_screen(self.sent)


class OnTerminal(Protocol):
    """See the fixture."""

    def __call__(self, *arguments: str, columns: int = ...) -> Terminal: ...


@pytest.fixture
def on_terminal(start: Start, on_screen: Callable[[str], list[str]]) -> Iterator[OnTerminal]:
    """Start ``trio-jobs`` on a terminal."""
    opened: list[int] = []

    def begin(*arguments: str, columns: int = 80) -> Terminal:
        leader, follower = pty.openpty()
        opened.append(leader)
        process = start(*arguments, stdin=follower, stdout=follower, stderr=follower, COLUMNS=str(columns))
        os.close(follower)
        return Terminal(process, leader, on_screen)

    yield begin
    for descriptor in opened:
        os.close(descriptor)


def test_a_person_sees_how_far_it_is(on_terminal: OnTerminal, folder: Path) -> None:
    """What is done, how much of all that is, what runs; when it ends, a summary in its place."""
    (folder / "in.txt").write_text("one\nstuck\n")
    terminal = on_terminal("map", "jobs:double_unless_stuck", "in.txt", "-o", "out.jsonl", "--grace", "0")
    lines = terminal.wait_for("1 done", "1 succeeded  1 running", "40%")

    assert lines[0] == "started stuck"
    assert lines[1].startswith("1 done  ━━━")
    assert "\x1b[?25l" in terminal.sent
    terminal.process.send_signal(signal.SIGINT)
    last = terminal.read_all()
    assert last[-2].endswith(": 1 succeeded, 1 interrupted")
    assert not any("running" in line for line in last if "stopping" not in line)
    assert terminal.sent.rindex("\x1b[?25h") > terminal.sent.rindex("\x1b[?25l")


def test_answers_and_display_share_a_terminal(on_terminal: OnTerminal, folder: Path) -> None:
    """Each answer stands whole above the display, however long it is."""
    (folder / "in.txt").write_text("x" * 200 + "\nstuck\n")
    terminal = on_terminal("map", "jobs:double_unless_stuck", "in.txt", "--grace", "0")
    terminal.wait_for('"ran": ', "1 succeeded  1 running")
    terminal.process.send_signal(signal.SIGINT)
    lines = terminal.read_all()

    assert [json.loads(line)["outcome"] for line in lines if line.startswith("{")] == ["succeeded", "interrupted"]


def test_what_is_typed_is_not_mixed_up_with_a_display(on_terminal: OnTerminal) -> None:
    """There is none; a line says what is waited for."""
    terminal = on_terminal("map", "jobs:double")
    terminal.wait_for("reading what is typed here; Ctrl-D ends it")
    os.write(terminal.descriptor, b"one\n")
    terminal.wait_for('"value": "oneone"')
    os.write(terminal.descriptor, b"\x04")
    lines = terminal.read_all()

    assert lines[-2].endswith(": 1 succeeded")
    assert "\x1b[?25l" not in terminal.sent


def test_the_cursor_is_back_after_the_third_signal(on_terminal: OnTerminal, folder: Path) -> None:
    """Whatever the process was doing."""
    (folder / "in.txt").write_text("one\n")
    terminal = on_terminal("map", "jobs:shielded", "in.txt", "-o", "out.jsonl")
    terminal.wait_for("started one", "1 running")
    for shown in ("stopping: 1 running", "cancelling", ""):
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for(shown)
    terminal.read_all()

    assert terminal.process.returncode == -signal.SIGINT
    assert terminal.sent.rindex("\x1b[?25h") > terminal.sent.rindex("\x1b[?25l")


@pytest.mark.parametrize("columns", [80, 200])
def test_the_demo_fits_on_a_terminal(columns: int, on_terminal: OnTerminal) -> None:
    """In both usual widths."""
    lines = on_terminal("demo", columns=columns).read_all()

    assert any("_processor.py" in line for line in lines)
    assert max(len(line) for line in lines if "trio-jobs map" not in line) <= columns


# --- what is not installed


WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.modules.pop({missing!r}, None)
from trio_jobs.__main__ import main
sys.exit(main([]))
"""


def run_without(missing: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT.format(missing=missing)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_without_the_extra_it_says_what_to_install(missing: str, environment: dict[str, str]) -> None:
    """In one line, which can be copied: 2."""
    result = run_without(missing, environment)

    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == 'trio-jobs needs its command-line extra: pip install "trio-jobs[cli]"\n'


def test_what_is_missing_for_another_reason_is_not_taken_for_the_extra(environment: dict[str, str]) -> None:
    """A broken installation shows as it is."""
    result = run_without("mimetypes", environment)

    assert result.returncode == 1
    assert "ModuleNotFoundError: No module named 'mimetypes'" in result.stderr


def test_main_returns_the_exit_code() -> None:
    """So that the installed script and `python -m trio_jobs` can exit with it."""
    assert main(["--version"]) == 0
    assert main(["mapp"]) == 2


# --- memory


# Not the process's own peak: on Linux that begins at the peak of the process that started it.
MEASURED = """
import sys, tracemalloc
import trio_jobs.cli  # before it is measured, which makes importing slow
from trio_jobs.__main__ import main
tracemalloc.start()
code = main()
print(tracemalloc.get_traced_memory()[1], file=sys.stderr)
sys.exit(code)
"""


def test_a_large_input_takes_no_more_memory_than_a_small_one(environment: dict[str, str], folder: Path) -> None:
    """Reading waits for what runs: a pipe into it fills up, and nothing gathers inside."""
    command = [sys.executable, "-c", MEASURED, "map", "jobs:double", "--from", "lines", "-q", "-o", "out.jsonl"]
    line = b"x" * 10_000 + b"\n"
    small, large = (
        int(subprocess.run(command, cwd=folder, env=environment, input=text, capture_output=True, check=True).stderr)
        for text in (line * 50, line * 500)
    )

    assert large - small < 2_500_000
