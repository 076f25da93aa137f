"""From MODULE:JOB to the job, and what is said when there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trio_jobs import Job, PerWorker, Shared, job
from trio_jobs.cli._exit_code import WrongUse
from trio_jobs.cli._target import load_job, load_resources


@pytest.fixture
def complaint(folder: Path) -> Callable[[str], str]:
    """What is said of a target that names no job."""

    def of(target: str) -> str:
        with pytest.raises(WrongUse) as caught:
            load_job(target, folder)
        return str(caught.value)

    return of


@job
async def with_resources(request: str, resources: object) -> None: ...


@job
async def without(request: str) -> None: ...


# --- what is found


@pytest.mark.parametrize("target", ["jobs:double", "jobs:settings", "pack.inner:one", "pack:inner.one"])
def test_a_job_is_found_in_the_folder(target: str, folder: Path) -> None:
    """Also in packages, and as an attribute of something else."""
    (folder / "pack").mkdir()
    (folder / "pack" / "inner.py").write_text("from jobs import double as one")
    (folder / "pack" / "__init__.py").write_text("from . import inner")

    assert isinstance(load_job(target, folder), Job)


def test_the_folder_comes_before_all_else(folder: Path) -> None:
    """A user's module hides an installed one of that name, as for `python -m`."""
    (folder / "rich_job_of_a_user.py").write_text("from jobs import double")

    assert load_job("rich_job_of_a_user:double", folder) is load_job("jobs:double", folder)


def test_an_installed_job_is_found_too(folder: Path) -> None:
    """Such as the one that comes with the command."""
    assert load_job("trio_jobs.cli.example:file_facts", folder).name == "file_facts"


# --- what is not


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("jobz:double", 'no module "jobz" in {folder} nor among what is installed; did you mean "jobs"?'),
        ("pack.inna:one", 'no module "pack.inna" in {folder} nor among what is installed; did you mean "inner"?'),
        ("pcak:one", 'no module "pcak" in {folder} nor among what is installed; did you mean "pack"?'),
        ("os.nothing:x", 'no module "os.nothing" in {folder} nor among what is installed'),
        ("number:x", 'module number has no "x", it has no job'),
        ("number:nmuber", 'module number has no "nmuber", it has no job; did you mean "number"?'),
        ("few:duoble", 'module few has no "duoble", its jobs are double, half; did you mean "double"?'),
        ("jobs:plain", "jobs:plain is an async function, wanted a Job: put @job above it"),
        ("jobs:sync", "jobs:sync is a sync function, wanted a Job: put @thread_job above it, or make it async"),
        ("jobs:generator", "jobs:generator is a generator, wanted a Job"),
        ("jobs:Settings", "jobs:Settings is a class, wanted a Job: make one of it, job = Settings(), and name that"),
        ("jobs:Path", "jobs:Path is a class, wanted a Job"),
        ("jobs:number", "jobs:number is of type int, wanted a Job"),
        ("few", '"few" must have the form MODULE:JOB: try few:double or few:half'),
        ("few:", '"few:" must have the form MODULE:JOB: try few:double or few:half'),
        ("number", '"number" must have the form MODULE:JOB'),
        ("jobz", '"jobz" must have the form MODULE:JOB'),
        (":double", '":double" must have the form MODULE:JOB'),
        ("few.py:half", '"few.py:half" names a file, wanted a module as `import` would name it: try few:half, or'),
        ("a/few.py", '"a/few.py" names a file, wanted a module as `import` would name it: try a.few:JOB, or'),
        ("exits:x", "importing exits ended with SystemExit(3): put what is to run as a program below `if __name__"),
    ],
)
def test_the_message_says_what_is_wrong_and_how_to_mend_it(
    target: str, message: str, folder: Path, complaint: Callable[[str], str]
) -> None:
    """In one line."""
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").touch()
    (folder / "pack" / "inner.py").touch()
    (folder / "few.py").write_text("from jobs import double, double as half")
    (folder / "number.py").write_text("number = 3")
    (folder / "exits.py").write_text("raise SystemExit(3)")
    with (folder / "jobs.py").open("a") as file:
        file.write("from pathlib import Path")

    said = complaint(target)

    assert said.startswith(message.format(folder=folder))
    assert "\n" not in said


def test_an_error_in_the_module_is_shown_with_the_users_own_lines(
    folder: Path, complaint: Callable[[str], str]
) -> None:
    """Not with those of Python's import machinery, which are most."""
    (folder / "outer.py").write_text("import inner\n")
    (folder / "inner.py").write_text("def load():\n    return {}['key']\nload()\n")

    lines = complaint("outer:job").splitlines()

    assert lines[0] == "importing outer failed"
    assert [line.split(", in ")[0].strip() for line in lines if "File" in line] == [
        f'File "{folder}/outer.py", line 1',
        f'File "{folder}/inner.py", line 3',
        f'File "{folder}/inner.py", line 2',
    ]
    assert lines[-1] == "KeyError: 'key'"


@pytest.mark.parametrize(
    ("source", "end"),
    [
        ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("import mine", "KeyError: 1"),
        ("import wrong.deeper", "ModuleNotFoundError: No module named 'wrong.deeper'; 'wrong' is not a package"),
        ("from os import nothing", "ImportError: cannot import name 'nothing' from 'os'"),
        ("def f(:", "SyntaxError: invalid syntax"),
    ],
)
def test_what_the_module_lacks_is_told_apart_from_a_module_that_is_missing(
    source: str, end: str, folder: Path, complaint: Callable[[str], str]
) -> None:
    """The user's own import is what has to be mended."""
    (folder / "wrong.py").write_text(source)
    (folder / "mine.py").write_text("{}[1]")

    said = complaint("wrong:job")

    assert said.startswith("importing wrong failed\n")
    assert said.splitlines()[-1].startswith(end)


def test_a_package_that_imports_what_it_lacks_is_told_by_its_own_line(
    folder: Path, complaint: Callable[[str], str]
) -> None:
    """Although that is the very module which was asked for."""
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").write_text("import pack.inner")

    said = complaint("pack.inner:job")

    assert said.startswith("importing pack.inner failed\n")
    assert f'File "{folder}/pack/__init__.py", line 1' in said


# --- resources


@pytest.mark.parametrize("target", ["jobs:make", "jobs:opened"])
def test_a_function_makes_the_resources_for_all(target: str, folder: Path) -> None:
    """What it returns, or an async context manager of it."""
    assert isinstance(load_resources(target, with_resources, folder), Shared)


def test_what_is_no_function_is_the_resources_itself(folder: Path) -> None:
    """Or says itself how it is to be made."""
    (folder / "kept.py").write_text(
        "import trio_jobs, jobs\npool = trio_jobs.PerWorker(jobs.make)\nopened = jobs.opened()\n"
    )

    assert isinstance(load_resources("kept:pool", with_resources, folder), PerWorker)
    assert hasattr(load_resources("kept:opened", with_resources, folder), "__aenter__")
    assert load_resources("jobs:number", with_resources, folder) == 3


def test_no_resources_are_none(folder: Path) -> None:
    """Also for a job of a class, of which nobody can tell what it takes."""
    assert load_resources(None, without, folder) is None
    assert load_resources(None, load_job("jobs:settings", folder), folder) is None
    assert load_resources("jobs:number", load_job("jobs:settings", folder), folder) == 3


@pytest.mark.parametrize(
    ("target", "wanted_by", "message"),
    [
        (None, with_resources, "with_resources takes resources: add --resources MODULE:FACTORY"),
        ("jobs:make", without, "without takes no resources: leave --resources out"),
        ("jobs", with_resources, '"jobs" must have the form MODULE:FACTORY'),
        ("jobs:maek", with_resources, 'module jobs has no "maek"; did you mean "make"?'),
        ("jobs:not_a_factory", with_resources, "jobs:not_a_factory: "),
    ],
)
def test_resources_that_do_not_fit_are_told_with_the_mend(
    target: str | None, wanted_by: Job[object, object, object], message: str, folder: Path
) -> None:
    """Before anything runs."""
    with pytest.raises(WrongUse) as caught:
        load_resources(target, wanted_by, folder)

    assert str(caught.value).startswith(message)
