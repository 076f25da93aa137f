"""`trio-jobs map` in a shell's eyes: arguments, streams, exit codes."""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

import attrs
import pytest
import trio

from trio_jobs import cli
from trio_jobs.cli import run_command


@attrs.define
class Shell:
    """Streams with descriptors, as a process has them, for a command in this process."""

    code: int | None = None
    out: str = ""
    error: str = ""

    def run(self, *arguments: str, stdin: bytes = b"") -> list[dict[str, Any]]:
        """Run ``trio-jobs`` with these arguments; the records that it wrote."""
        streams = {name: getattr(sys, name) for name in ("stdin", "stdout", "stderr")}
        reader, writer = os.pipe()
        os.write(writer, stdin)
        os.close(writer)
        with open(reader) as sys.stdin, TemporaryFile("w") as sys.stdout, TemporaryFile("w") as sys.stderr:
            try:
                self.code = run_command(arguments)
                self.out, self.error = content(sys.stdout), content(sys.stderr)
            finally:
                for name, stream in streams.items():
                    setattr(sys, name, stream)
        return [json.loads(line) for line in self.out.splitlines()] if self.out.startswith("{") else []


def content(stream: TextIO) -> str:
    stream.flush()
    return os.pread(stream.fileno(), 1 << 20, 0).decode()


@pytest.fixture
def shell(folder: Path) -> Shell:
    """A shell in the folder with the jobs."""
    return Shell()


def values(records: list[dict[str, Any]]) -> list[Any]:
    return [record["value"] for record in records]


# --- what it runs


def test_lines_of_standard_input_are_the_inputs_of_a_job(shell: Shell) -> None:
    """With nothing but the job's name."""
    records = shell.run("map", "jobs:double", stdin=b"one\ntwo\n")

    assert shell.code == 0
    assert sorted(values(records)) == ["oneone", "twotwo"]
    assert shell.error.endswith("2 succeeded\n")


def test_a_hyphen_is_standard_input_and_output(shell: Shell) -> None:
    """As for other tools."""
    records = shell.run("map", "jobs:double", "-", "--output", "-", stdin=b"one\n")

    assert values(records) == ["oneone"]


def test_json_on_each_line_is_the_input_with_from_json(shell: Shell) -> None:
    """Bad ones fail, and the run goes on."""
    records = shell.run("map", "jobs:settings", "--from", "json", "--ordered", stdin=b'{"a": 1}\n{\n[2]\n')

    assert shell.code == 1
    assert [record["outcome"] for record in records] == ["succeeded", "failed", "succeeded"]
    assert records[1]["error"]["message"].startswith("stdin:2 is no JSON: ")
    assert "failed: stdin:2: json.decoder.JSONDecodeError: stdin:2 is no JSON: " in shell.error


def test_files_are_the_inputs_where_a_folder_is_named(shell: Shell, folder: Path) -> None:
    """What the job prints does not stand between the lines."""
    records = shell.run("map", "jobs:size", ".")

    assert [record["input"] for record in records] == ["jobs.py"]
    assert values(records) == [(folder / "jobs.py").stat().st_size]
    assert shell.error.startswith("a job may print\n")


def test_resources_are_made_by_the_function_that_is_named(shell: Shell) -> None:
    """Or opened by it."""
    with_resources = ("map", "jobs:nothing_with", "--resources")

    assert values(shell.run(*with_resources, "jobs:make", stdin=b"a\n")) == [["a", "made"]]
    assert values(shell.run(*with_resources, "jobs:opened", stdin=b"a\n")) == [["a", "opened"]]


def test_modules_are_looked_for_in_the_app_dir(shell: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs are still those of the current folder."""
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    Path("input.txt").write_text("one\n")

    assert values(shell.run("map", "jobs:double", "input.txt", "--app-dir", "..")) == ["oneone"]


def test_options_have_the_short_names_that_other_tools_have(shell: Shell) -> None:
    """-j as for make, -o and -q as for most."""
    shell.run("map", "jobs:fail_odd", "-j", "2", "-o", "out.jsonl", "-q", stdin=b"1\n")

    assert (shell.code, shell.out, shell.error) == (1, "", "")
    assert json.loads(Path("out.jsonl").read_text())["outcome"] == "failed"


def test_other_options_reach_the_run(shell: Shell) -> None:
    """Each changes what comes out."""
    shell.run("map", "jobs:until_cancelled", "--time-limit", "0.001", "--fail-fast", "--grace", "1", "-v", stdin=b"a\n")

    assert shell.code == 1
    assert "1 aborted" in shell.error


def test_what_a_module_prints_does_not_stand_between_the_lines(shell: Shell, folder: Path) -> None:
    """Nor does what a job prints; both are on standard error."""
    (folder / "loud.py").write_text("from jobs import size as job\nprint('imported')")

    records = shell.run("map", "loud:job", "jobs.py", "--from", "files")

    assert len(records) == 1
    assert shell.error.startswith("imported\na job may print\n")


# --- where it writes


def test_the_output_is_written_over_what_was_there(shell: Shell) -> None:
    """Nothing of it is left."""
    Path("out.jsonl").write_text("x" * 10_000)

    shell.run("map", "jobs:double", "--output", "out.jsonl", stdin=b"one\n")

    assert json.loads(Path("out.jsonl").read_text())["value"] == "oneone"


def test_the_output_may_be_no_file(shell: Shell) -> None:
    """It is then not cut off, which only a file can be."""
    shell.run("map", "jobs:double", "--output", "/dev/null", stdin=b"one\n")

    assert shell.code == 0


def test_the_output_is_left_alone_when_nothing_is_run(shell: Shell) -> None:
    """What was in it may be all there is."""
    Path("out.jsonl").write_text("kept")

    for wrong in (["jobs:nothing"], ["jobs:double", "nofile"], ["jobs:double", "out.jsonl"]):
        shell.run("map", *wrong, "--output", "out.jsonl")
        assert shell.code == 2

    assert Path("out.jsonl").read_text() == "kept"


# --- what is wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mapp"], 'Unknown command "mapp". Did you mean "map"? Available commands: map, demo.'),
        (["map"], 'Command "map" parameter MODULE:JOB requires an argument.'),
        (["map", "jobs:double", "--orderd"], "Unknown option: --orderd. Did you mean --ordered?"),
        (["map", "jobs:double", "-j", "x"], 'Invalid value for -j: unable to convert "x" into int.'),
        (["map", "jobs:double", "-j", "0"], "--concurrency must be at least 1, got 0"),
        (["map", "jobs:double", "--from", "x"], 'Invalid value "x" for --from. Choose from: "lines", "json", "files".'),
        (["map", "jobs:duoble"], 'module jobs has no "duoble", its jobs are '),
        (["map", "jobs:double", "jbos.py"], 'no file or folder "jbos.py"; did you mean "jobs.py"?'),
        (["map", "jobs:double", "-o", "no/where"], "cannot write to no/where: No such file or directory"),
        (["map", "jobs:nothing_with"], "nothing_with takes resources: add --resources MODULE:FACTORY"),
    ],
)
def test_wrong_use_is_one_line_on_standard_error(arguments: list[str], message: str, shell: Shell) -> None:
    """It says what is wrong and how to mend it: 2."""
    shell.run(*arguments)

    assert shell.code == 2
    assert shell.out == ""
    assert shell.error.startswith(f"trio-jobs: {message}")
    assert shell.error.count("\n") == 1


def test_resources_that_fail_to_open_break_off_the_run(shell: Shell) -> None:
    """With the error of the user's function."""
    shell.run("map", "jobs:nothing_with", "--resources", "jobs:broken", stdin=b"a\n")

    assert shell.code == 1
    assert "RuntimeError: no such store" in shell.error


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ("stdin", "standard input is closed: name files after the job"),
        ("stdout", "standard output is closed: use --output FILE"),
    ],
)
def test_a_closed_stream_is_told(
    stream: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python has None for it."""
    monkeypatch.setattr(sys, "stdin", None)
    if stream == "stdout":
        monkeypatch.setattr(sys, "stdout", None)

    assert run_command(["map", "jobs:double", *(["-o", "out.jsonl"] if stream == "stdin" else [])]) == 2
    assert message in capsys.readouterr().err


def test_ctrl_c_before_anything_runs_is_no_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as while a slow module is imported: 130."""
    (folder / "slow.py").write_text("raise KeyboardInterrupt")

    assert run_command(["map", "slow:job"]) == 130
    assert capsys.readouterr().err == ""


# --- help


@pytest.mark.parametrize("arguments", [["--help"], ["map", "--help"], ["demo", "--help"], []])
def test_help_fits_into_eighty_columns(arguments: list[str], shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what there is, on standard output: 0."""
    monkeypatch.setenv("COLUMNS", "80")

    shell.run(*arguments)

    assert shell.code == 0
    assert shell.out.startswith("Usage: trio-jobs")
    assert max(map(len, shell.out.splitlines())) <= 80


def test_the_help_of_map_has_examples_and_exit_codes(shell: Shell) -> None:
    """What most look for."""
    shell.run("map", "--help")

    assert "Usage: trio-jobs map MODULE:JOB [INPUT...] [OPTIONS]" in shell.out
    assert "    trio-jobs map trio_jobs.cli.example:file_facts docs\n" in shell.out
    assert "0 all succeeded, 1 some did not, 2 wrong use, 130 after Ctrl-C" in shell.out


def test_the_version_is_that_of_both(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reports a fault is asked for both."""
    monkeypatch.setattr(cli, "version", {"trio-jobs": "1.2.3"}.get)

    shell.run("--version")

    assert shell.out == f"trio-jobs 1.2.3, Trio {trio.__version__}\n"


def test_the_version_of_what_is_not_installed_is_not_known(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs from its sources all the same."""

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(cli, "version", version)
    shell.run("--version")

    assert shell.out.startswith("trio-jobs unreleased, Trio ")
