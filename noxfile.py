# /// script
# dependencies = ["nox[uv]"]
# ///
"""`nox` runs everything that must hold; `nox -s demo` shows the product at work."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
VERSION: str = PYPROJECT["project"]["version"]
OLDEST = "3.11"
PYTHONS = [OLDEST, "3.12", "3.13", "3.14", "3.15"]

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
# The interpreters that are here: fetch none, skip what is missing, also where CI is set.
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False

# A job for the built package, in a file of the user's and with inputs of the user's.
TRIAL_JOB = """
import trio_jobs


@trio_jobs.job
async def double(line: str) -> str:
    return line * 2
"""
TRIAL_INPUT = "one\ntwo\n"


def group(*names: str) -> tuple[str, ...]:
    """What these dependency groups ask for."""
    return tuple(nox.project.dependency_groups(PYPROJECT, *names))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests with all extras; every line and branch must have run."""
    session.install("-e", ".[all]", "-e", "./testing", *group("test"))
    # Each Python has its own data: what one version runs must not hide what another does not.
    # Not pytest-cov: it starts too late for what a plugin imports.
    data = Path(session.create_tmp(), "coverage")
    environment = {"COVERAGE_FILE": str(data)}
    session.run("coverage", "erase", env=environment)
    session.run("coverage", "run", "-m", "pytest", *session.posargs, env=environment)
    if session.posargs:
        session.log("a part of the tests says nothing about coverage: no report")
        return
    session.run("coverage", "combine", "--quiet", env=environment)
    session.run("coverage", "report", env=environment)


@nox.session(python=OLDEST, venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """The tests with the oldest releases that pyproject.toml admits."""
    session.install("--resolution", "lowest-direct", "-e", ".[all]", "-e", "./testing", *group("test"))
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def bare(session: nox.Session) -> None:
    """Without extras: it imports, its command says what to install, its tests pass."""
    session.install("-e", ".", *group("test"))
    session.run("python", "-c", "import trio_jobs")
    said = session.run("trio-jobs", success_codes=[2], silent=True)
    if not isinstance(said, str) or len(said.splitlines()) != 1 or "pip install" not in said:
        session.error(f"expected one line with the command to install, trio-jobs said:\n{said}")
    left_out = ("-m", "not extra", "--ignore=tests/cli", "--ignore=tests/testing")
    session.run("python", "-m", "pytest", *left_out, *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Both checkers, strict, over all code."""
    session.install("-e", ".[all]", "-e", "./testing", *group("test", "types"))
    session.run("mypy")
    session.run("pyright")


@nox.session
def lint(session: nox.Session) -> None:
    """Style and Trio's rules. Who imports whom is a test: tests/test_layout.py."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def docs(session: nox.Session) -> None:
    """The manual; a broken link inside it is an error."""
    session.install("-e", ".[all]", *group("docs"))
    session.run(
        *("sphinx-build", "-W", "-n", "--keep-going", "-b", "html"),
        *("docs", "docs/_build/html"),
        *session.posargs,
    )


@nox.session
def changelog(session: nox.Session) -> None:
    """What the next release would say."""
    session.install(*group("changelog"))
    session.run("towncrier", "build", "--draft", "--version", VERSION)


@nox.session
def build(session: nox.Session) -> None:
    """Build all archives, install the wheels as a user does, and try them without the repository."""
    session.install("build[uv]")
    place = Path(session.create_tmp()).resolve()
    shutil.rmtree(place)
    for project in (".", "testing"):
        session.run("python", "-m", "build", "--installer", "uv", "--outdir", str(place), project, silent=True)
    wheel, sdist = only(place, "trio_jobs-*.whl"), only(place, "trio_jobs-*.tar.gz")
    testing_wheel, testing_sdist = only(place, "trio_jobs_testing-*.whl"), only(place, "trio_jobs_testing-*.tar.gz")
    check_wheel(session, wheel, "trio_jobs")
    check_sdist(session, sdist, "trio_jobs", ("tests/test_layout.py", "docs/conf.py", "noxfile.py"))
    check_wheel(session, testing_wheel, "trio_jobs_testing")
    check_sdist(session, testing_sdist, "trio_jobs_testing", ("trio_jobs_testing/plugin.py",))

    session.run("python", "-m", "venv", str(place / "user"))
    programs = next(path for path in (place / "user").iterdir() if path.name in {"bin", "Scripts"})
    python, trio_jobs = str(programs / "python"), str(programs / "trio-jobs")
    session.run(
        *(python, "-m", "pip", "install", "--quiet", f"{wheel}[all]", str(testing_wheel), *group("test")),
        external=True,
    )
    with session.chdir(place):
        session.run(python, "-c", "import trio_jobs_testing, trio_jobs; print(trio_jobs.__file__)", external=True)
        session.run(trio_jobs, "--help", external=True, silent=True)
        Path("trial.py").write_text(TRIAL_JOB)
        Path("input.txt").write_text(TRIAL_INPUT)
        said = session.run(trio_jobs, "map", "trial:double", "input.txt", external=True, silent=True)
        if not isinstance(said, str) or "oneone" not in said or "twotwo" not in said:
            session.error(f"trio-jobs map should have doubled each line, it said:\n{said}")
    with session.chdir(unpacked_without_package(sdist, place)):
        session.run(python, "-m", "pytest", *session.posargs, external=True)


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """The main job on real input; arguments after `--` go to it."""
    session.install("-e", ".[all]")
    session.run("trio-jobs", "demo", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """The benchmarks, as ratios to Trio written by hand; arguments after `--` go to them."""
    session.install("-e", ".[all]", *group("test", "bench"))
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


def only(folder: Path, pattern: str) -> Path:
    """The one file there that matches."""
    (found,) = folder.glob(pattern)
    return found


def check_wheel(session: nox.Session, wheel: Path, package: str) -> None:
    """It holds the package alone."""
    with zipfile.ZipFile(wheel) as archive:
        names = {PurePosixPath(name) for name in archive.namelist()}
    strange = {name.parts[0] for name in names} - {package, f"{package}-{VERSION}.dist-info"}
    if strange or PurePosixPath(package, "py.typed") not in names:
        session.error(f"the wheel must hold {package} with its py.typed only, it has {names}")


def check_sdist(session: nox.Session, sdist: Path, package: str, wanted: tuple[str, ...]) -> None:
    """It holds what is needed to build the wheel, and what is ``wanted``."""
    with tarfile.open(sdist) as archive:
        inside = {PurePosixPath(name).relative_to(f"{package}-{VERSION}") for name in archive.getnames()}
    needed = (*wanted, "LICENSE", "README.md", "pyproject.toml", f"{package}/py.typed")
    if missing := [name for name in needed if PurePosixPath(name) not in inside]:
        session.error(f"the sdist of {package} lacks {missing}")


def unpacked_without_package(sdist: Path, place: Path) -> Path:
    """The sdist's tests, beside no package but the installed ones."""
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    unpacked = place / f"trio_jobs-{VERSION}"
    shutil.rmtree(unpacked / "trio_jobs")
    return unpacked


if __name__ == "__main__":
    nox.main()
