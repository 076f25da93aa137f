"""From ``MODULE:NAME`` to the object: imported as the user's Python would, with errors for the user."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

from .._job import Job, Kind, kind_of
from .._resources import PerWorker, Shared
from ._did_you_mean import did_you_mean
from ._exit_code import WrongUse

_NOT_THE_USERS = {__file__, importlib.__file__}


def load_job(target: str, folder: Path) -> Job[Any, Any, Any]:
    """The job that ``target`` names, looked for in ``folder`` first.

    Raises:
        WrongUse: There is no such module or job, it is something else, or importing it failed.
    """
    module_name, name = _split(target, folder)
    module = _import(module_name, folder)
    found = _attribute(module, name, _no_such_job)
    if not isinstance(found, Job):
        raise WrongUse(f"{target} is {_what(found)}, wanted a Job{_mend(found)}")
    return found  # pyright: ignore[reportUnknownVariableType]  # whatever its types, it is run


def load_resources(target: str | None, job: Job[Any, Any, Any], folder: Path) -> Any:
    """What a processor is to be given as resources of ``job``: what ``target`` makes when called, or else itself.

    Raises:
        WrongUse: The job wants resources and none are named, or the other way round, or they cannot be imported.
    """
    if target is None:
        if job._takes_resources:
            raise WrongUse(
                f"{job.name} takes resources: add --resources MODULE:FACTORY, "
                "a function without arguments that returns them"
            )
        return None
    if job._takes_resources is False:
        raise WrongUse(f"{job.name} takes no resources: leave --resources out")
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise WrongUse(f'"{target}" must have the form MODULE:FACTORY')
    found = _attribute(_import(module_name, folder), name, _no_such_factory)
    if isinstance(found, Shared | PerWorker | AbstractAsyncContextManager) or not callable(found):
        return found  # pyright: ignore[reportUnknownVariableType]
    try:
        return Shared(found)
    except TypeError as error:
        raise WrongUse(f"{target}: {error}") from None


def _split(target: str, folder: Path) -> tuple[str, str]:
    module_name, _, name = target.partition(":")
    if module_name.endswith(".py") or "/" in module_name:
        dotted = ".".join(Path(module_name).with_suffix("").parts)
        raise WrongUse(
            f'"{target}" names a file, wanted a module as `import` would name it: '
            f"try {dotted}:{name or 'JOB'}, or --app-dir for another folder"
        )
    if module_name and name:
        return module_name, name
    raise WrongUse(f'"{target}" must have the form MODULE:JOB{_suggestion(module_name, folder)}')


def _suggestion(module_name: str, folder: Path) -> str:
    """What to type, if that can be found out."""
    try:
        jobs = _jobs_in(_import(module_name, folder)) if module_name else []
    except WrongUse:
        jobs = []
    return f": try {' or '.join(f'{module_name}:{name}' for name in jobs)}" if jobs else ""


def _import(module_name: str, folder: Path) -> ModuleType:
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        wanted = error.name or ""
        if not _users_frames(error) and f"{module_name}.".startswith(f"{wanted}."):
            raise WrongUse(_not_found(wanted, folder)) from None
        raise WrongUse(_import_failed(module_name, error)) from None
    except SystemExit as error:
        raise WrongUse(
            f"importing {module_name} ended with {error!r}: "
            'put what is to run as a program below `if __name__ == "__main__":`'
        ) from None
    except Exception as error:
        raise WrongUse(_import_failed(module_name, error)) from None


def _not_found(module_name: str, folder: Path) -> str:
    parent, _, last = module_name.rpartition(".")
    place = folder.joinpath(*parent.split(".")) if parent else folder
    modules = {path.stem for path in place.glob("*.py")}
    modules |= {path.parent.name for path in place.glob("*/__init__.py")}
    guess = did_you_mean(last, sorted(modules - {"__init__"}))
    return f'no module "{module_name}" in {folder} nor among what is installed{guess}'


def _users_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The traceback without the machinery that imports."""
    return [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename not in _NOT_THE_USERS and not frame.filename.startswith("<frozen")
    ]


def _import_failed(module_name: str, error: BaseException) -> str:
    described = traceback.TracebackException.from_exception(error)
    described.stack = traceback.StackSummary.from_list(_users_frames(error))
    text = "".join(described.format()).rstrip()
    return f"importing {module_name} failed\n{text}"


def _attribute(module: ModuleType, name: str, missing: Callable[[ModuleType, str], str]) -> object:
    found: object = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise WrongUse(f'module {module.__name__} has no "{name}"{missing(module, name)}') from None
    return found


def _no_such_job(module: ModuleType, name: str) -> str:
    jobs = _jobs_in(module)
    if not jobs:
        return f", it has no job{did_you_mean(name, vars(module))}"
    return f", its jobs are {', '.join(jobs)}{did_you_mean(name, jobs)}"


def _no_such_factory(module: ModuleType, name: str) -> str:
    jobs = _jobs_in(module)
    return did_you_mean(name, [other for other in vars(module) if other not in jobs])


def _jobs_in(module: ModuleType) -> list[str]:
    """The names of the jobs there, sorted."""
    return sorted(name for name, value in vars(module).items() if isinstance(value, Job))


def _what(found: object) -> str:
    kind = kind_of(found)
    return f"of type {type(found).__name__}" if kind is Kind.NOT_CALLABLE else kind.value


def _mend(found: object) -> str:
    match kind_of(found):
        case Kind.ASYNC:
            return ": put @job above it"
        case Kind.SYNC:
            return ": put @thread_job above it, or make it async and put @job there"
        case Kind.CLASS if isinstance(found, type) and issubclass(found, Job):
            return f": make one of it, job = {found.__name__}(), and name that"
        case _:
            return ""
