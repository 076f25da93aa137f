"""The programs of the manual: each runs, prints what the file beside it says, and is shown on a page.

    UPDATE_EXAMPLES=1 python -m pytest tests/test_docs.py

writes what they print now into those files, for you to read before you commit it.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = DOCS / "examples"
UPDATE = "UPDATE_EXAMPLES" in os.environ
MEND = "UPDATE_EXAMPLES=1 python -m pytest tests/test_docs.py"
Ran = subprocess.CompletedProcess[str]
TIME_LIMIT = 60  # seconds; a program takes less than one, but a machine may be busy


def programs(examples: Path) -> list[str]:
    """Every program below ``examples``, by its path from there."""
    return [name for name in _names(examples, "*.py") if not _is_test(name)]


def files_of_tests(examples: Path) -> list[str]:
    """Every file of tests below ``examples``, by its path from there."""
    return [name for name in _names(examples, "*.py") if _is_test(name)]


def _is_test(name: str) -> bool:
    return Path(name).name.startswith("test_")


def _names(folder: Path, pattern: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(pattern))


# --- running


def run(folder: Path, name: str) -> Ran:
    """Run a program with warnings as errors, or a file of tests by pytest as a user of trio-jobs has it set up."""
    if not _is_test(name):
        return _run_python(folder / name, "-W", "error")
    settings = ("-o", "trio_mode=true", "-W", "error", "-p", "no:cacheprovider", f"--rootdir={folder}", "-q")
    # Other plugins that happen to be installed here take longer to load than the tests do to run.
    return _run_python(
        folder / name, "-m", "pytest", "--disable-plugin-autoload", "-p", "pytest_trio.plugin", *settings
    )


def _run_python(file: Path, *options: str) -> Ran:
    """Run a Python file in its folder, as a reader would; nothing that measures these tests counts what it runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "PYTEST_"))}
    spec = find_spec("trio_jobs")
    assert spec is not None
    assert spec.origin is not None
    environment["PYTHONPATH"] = str(Path(spec.origin).parents[1])
    environment["PYTHONUTF8"] = "1"
    return subprocess.run(
        [sys.executable, *options, file.name],
        cwd=file.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIME_LIMIT,
        check=False,
    )


def fault_of_program(ran: Ran, examples: Path, name: str, *, update: bool = False) -> str | None:
    """What is wrong with a program that ran so, and lies in ``examples`` beside what it should print."""
    if ran.returncode != 0 or ran.stderr:
        return f"{name} ended with code {ran.returncode} and said:\n{ran.stderr}"
    expected = examples / Path(name).with_suffix(".out")
    if update:
        expected.write_text(ran.stdout, encoding="utf-8", newline="\n")
    if not expected.exists():
        return f"{name} lacks {expected.name}, which says what it prints: {MEND}"
    wanted = expected.read_text(encoding="utf-8")
    if ran.stdout == wanted:
        return None
    lines = difflib.unified_diff(
        wanted.splitlines(), ran.stdout.splitlines(), expected.name, f"what {name} prints", lineterm=""
    )
    return "\n".join([f"{name} prints something else; if that is right: {MEND}", *lines])


def fault_of_tests(ran: Ran, name: str) -> str | None:
    """What is wrong with a file of tests that ran so."""
    return None if ran.returncode == 0 else f"{name} fails:\n{ran.stdout}{ran.stderr}"


# --- what belongs together

_INCLUSION = re.compile(r"^(?:`{3,}|:{3,}) *\{literalinclude\} *(\S+)", re.MULTILINE)


def strays(examples: Path) -> Iterator[str]:
    """Every file that says what a program prints, and there is no such program."""
    for name in _names(examples, "*.out"):
        if not (examples / name).with_suffix(".py").exists():
            yield f"{name} belongs to no program, remove it"


def unshown(docs: Path) -> Iterator[str]:
    """Every example that no page includes, and that the README beside ``docs`` does not quote to the letter."""
    readme = (docs.parent / "README.md").read_text(encoding="utf-8")
    included: set[Path] = set()
    for page in docs.rglob("*.md"):
        for path in _INCLUSION.findall(page.read_text(encoding="utf-8")):
            included.add((page.parent / path).resolve())
    for name in _names(docs / "examples", "*.py"):
        file = docs / "examples" / name
        if file.resolve() not in included and f"\n{file.read_text(encoding='utf-8')}```" not in readme:
            yield f"{name} is on no page: show it with literalinclude, or quote all of it in the README"


# --- the examples as they are


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples in a folder where they may leave what they like."""
    folder = tmp_path_factory.mktemp("docs") / "examples"
    return Path(shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__", ".*")))


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, copy: Path) -> Iterator[dict[str, Future[Ran]]]:
    """The examples whose tests were chosen, as many at a time as there are processors: what takes long is to start."""
    chosen = [item for item in request.session.items if isinstance(item, pytest.Function)]
    names = [str(item.callspec.params["name"]) for item in chosen if "running" in item.fixturenames]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {name: pool.submit(run, copy, name) for name in names}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", programs(EXAMPLES))
def test_a_program_prints_what_its_out_file_says(running: dict[str, Future[Ran]], name: str) -> None:
    """To the letter, with no warning, and nothing on stderr."""
    fault = fault_of_program(running[name].result(), EXAMPLES, name, update=UPDATE)

    assert fault is None, fault


@pytest.mark.parametrize("name", files_of_tests(EXAMPLES))
def test_the_tests_among_the_examples_pass(running: dict[str, Future[Ran]], name: str) -> None:
    """A reader who copies them has a green run to begin with."""
    fault = fault_of_tests(running[name].result(), name)

    assert fault is None, fault


def test_every_out_file_belongs_to_a_program() -> None:
    """A program that is renamed takes its file along."""
    found = list(strays(EXAMPLES))

    assert not found, "\n".join(["", *found])


def test_every_example_is_on_a_page() -> None:
    """What nobody is shown need not be there."""
    found = list(unshown(DOCS))

    assert not found, "\n".join(["", *found])


# --- examples as they must not be


def plant(examples: Path, files: dict[str, str]) -> Path:
    """A folder of examples with these files."""
    for name, text in files.items():
        (examples / name).parent.mkdir(parents=True, exist_ok=True)
        (examples / name).write_text(text, encoding="utf-8", newline="\n")
    return examples


def fault_of(folder: Path, program: str, out: str | None = None) -> str | None:
    """What is wrong with this program, if its file says ``out``."""
    plant(folder, {"planted.py": program} | ({} if out is None else {"planted.out": out}))
    return fault_of_program(run(folder, "planted.py"), folder, "planted.py")


def test_a_program_that_prints_what_its_file_says_is_right(tmp_path: Path) -> None:
    """It may print and read any text on every system, and import trio_jobs and what lies beside it."""
    plant(tmp_path, {"beside.py": "from sys import flags\nHERE = 'häre → 1', flags.utf8_mode\n"})
    fault = fault_of(tmp_path, "import trio_jobs, beside; print(*beside.HERE); print()", "häre → 1 1\n\n")

    assert fault is None


def test_a_wrong_out_file_is_reported_with_a_diff(tmp_path: Path) -> None:
    """The lines that should be there, those that are, and how to take them over."""
    fault = fault_of(tmp_path, "print('one'); print('two'); print('four')", "one\ntwo\nthree\n")

    assert fault is not None
    assert fault.splitlines()[0] == f"planted.py prints something else; if that is right: {MEND}"
    assert fault.splitlines()[-4:] == [" one", " two", "-three", "+four"]


def test_an_empty_line_more_is_a_difference(tmp_path: Path) -> None:
    """Exactly is exactly: also the last line."""
    fault = fault_of(tmp_path, "print('one')\nprint()", "one\n")

    assert fault is not None
    assert fault.splitlines()[-1] == "+"


def test_a_missing_out_file_is_reported_with_the_mend(tmp_path: Path) -> None:
    """A new example is one command away from being complete."""
    fault = fault_of(tmp_path, "print('one')")

    assert fault == f"planted.py lacks planted.out, which says what it prints: {MEND}"


def test_updating_writes_what_the_program_prints(tmp_path: Path) -> None:
    """Over what was there, beside the original and not in the copy."""
    examples = plant(tmp_path / "examples", {"planted.py": "print('new')", "planted.out": "old\n"})
    copy = Path(shutil.copytree(examples, tmp_path / "copy"))
    fault = fault_of_program(run(copy, "planted.py"), examples, "planted.py", update=True)

    assert fault is None
    assert (examples / "planted.out").read_bytes() == b"new\n"
    assert (copy / "planted.out").read_bytes() == b"old\n"


def test_updating_takes_nothing_over_from_a_program_that_fails(tmp_path: Path) -> None:
    """Half an output is worse than an old one."""
    plant(tmp_path, {"planted.py": "print('half'); raise SystemExit(3)", "planted.out": "old\n"})
    fault = fault_of_program(run(tmp_path, "planted.py"), tmp_path, "planted.py", update=True)

    assert fault is not None
    assert (tmp_path / "planted.out").read_text(encoding="utf-8") == "old\n"


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("print('one'); raise LookupError('no such thing')", 1, "LookupError: no such thing"),
        ("print('one'); raise SystemExit(3)", 3, ""),
        ("import warnings; warnings.warn('odd'); print('one')", 1, "UserWarning: odd"),
        ("import sys; print('one'); print('beside the point', file=sys.stderr)", 0, "beside the point"),
        ("open(__file__); print('one')", 0, "ResourceWarning: unclosed file"),
    ],
)
def test_a_program_that_fails_or_complains_is_reported(tmp_path: Path, program: str, code: int, said: str) -> None:
    """Even if it has printed what it should: a reader would see the rest as well."""
    fault = fault_of(tmp_path, program, "one\n")

    assert fault is not None
    assert fault.startswith(f"planted.py ended with code {code} and said:\n")
    assert said in fault


FAILING_TESTS = """\
import trio, warnings

async def test_time(autojump_clock):
    await trio.sleep(3600)
    assert trio.current_time() == 3601

def test_warning():
    warnings.warn("odd")
"""


@pytest.mark.parametrize(("tests", "said"), [(FAILING_TESTS, "2 failed"), ("", "no tests ran")])
def test_tests_that_fail_are_reported(tmp_path: Path, tests: str, said: str) -> None:
    """With what pytest said; a warning is a failure, and so is having tested nothing."""
    plant(tmp_path, {"test_planted.py": tests})
    fault = fault_of_tests(run(tmp_path, "test_planted.py"), "test_planted.py")

    assert fault is not None
    assert fault.startswith("test_planted.py fails:\n")
    assert said in fault


def test_tests_that_pass_are_right(tmp_path: Path) -> None:
    """They may be async, have pytest-trio's fixtures, and import the example beside them."""
    test = "import trio\nfrom beside import HOUR\nasync def test_time(autojump_clock):\n    await trio.sleep(HOUR)\n"
    plant(tmp_path, {"sub/test_planted.py": test, "sub/beside.py": "HOUR = 3600\n"})

    assert fault_of_tests(run(tmp_path, "sub/test_planted.py"), "sub/test_planted.py") is None


def test_what_runs_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of the package that only an example runs has no test yet."""
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "from the one who measures")
    fault = fault_of(tmp_path, "import os; print([name for name in os.environ if 'COVERAGE' in name])", "[]\n")

    assert fault is None


def test_programs_and_tests_are_found_in_folders(tmp_path: Path) -> None:
    """A file is one or the other by its name, wherever it lies."""
    plant(tmp_path, dict.fromkeys(["one.py", "one.out", "sub/two.py", "sub/test_two.py", "sub/notes.md"], ""))

    assert programs(tmp_path) == ["one.py", "sub/two.py"]
    assert files_of_tests(tmp_path) == ["sub/test_two.py"]


def test_an_out_file_without_program_is_reported(tmp_path: Path) -> None:
    """It would be kept for ever, and mean nothing."""
    plant(tmp_path, dict.fromkeys(["one.py", "one.out", "sub/two.out"], ""))

    assert list(strays(tmp_path)) == ["sub/two.out belongs to no program, remove it"]


def test_an_example_on_no_page_is_reported(tmp_path: Path) -> None:
    """A page includes it or the README quotes it; to mention it is not enough, nor is a quotation with a difference."""
    names = ["one", "sub/two", "three", "quoted", "misquoted"]
    plant(tmp_path / "docs" / "examples", {f"{name}.py": f"print('{name}')\n" for name in names})
    plant(
        tmp_path,
        {
            "README.md": "See\n```python\nprint('quoted')\n```\n```python\nprint('misquoted', 1)\n```\n",
            "docs/index.md": "See three.py.\n\n```{literalinclude} examples/one.py\n:language: python\n```\n",
            "docs/guide/page.md": ":::{literalinclude} ../examples/sub/two.py\n:::\n",
        },
    )

    assert [fault.partition(":")[0] for fault in unshown(tmp_path / "docs")] == [
        "misquoted.py is on no page",
        "three.py is on no page",
    ]
