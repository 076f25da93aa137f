"""What a user imports: which names there are, where they say they live, what importing costs."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, get_args

import pytest

if TYPE_CHECKING:
    from decimal import Decimal

PUBLIC = ["trio_jobs", "trio_jobs.gates", "trio_jobs.types"]


def public_names(module: ModuleType) -> dict[str, Any]:
    return {name: getattr(module, name) for name in module.__all__}


def functions_of(thing: object) -> Iterator[FunctionType]:
    """The functions behind a public name: itself, or a class's own methods and properties.

    Of a class whose docstring says by what it is made, nobody calls the constructor.
    """
    members = vars(thing).items() if isinstance(thing, type) else [("", thing)]
    made_elsewhere = "Made by `" in (inspect.getdoc(thing) or "")
    for name, member in members:
        if name.startswith("_") and (name != "__init__" or made_elsewhere):
            continue
        function = getattr(member, "fget", None) or getattr(member, "__func__", member)
        if isinstance(function, FunctionType):
            yield inspect.unwrap(function)


def classes_in(annotation: object) -> Iterator[type]:
    """Every class that an annotation speaks of."""
    if isinstance(annotation, type):
        yield annotation
    origin = getattr(annotation, "__origin__", None)
    if isinstance(origin, type):
        yield origin
    for part in get_args(annotation):
        yield from classes_in(part)


def annotations_of(function: FunctionType) -> Iterator[object]:
    """What the signature says, evaluated."""
    for annotation in function.__annotations__.values():
        if not isinstance(annotation, str):
            yield annotation
            continue
        # A name is missing if only type checkers import it; pyright --verifytypes looks at those.
        with suppress(NameError):
            yield eval(annotation, function.__globals__)


def reading_order(name: str) -> tuple[bool, bool, str]:
    """Constants, then classes, then functions, as ruff sorts them."""
    return (not name.isupper(), not name[0].isupper(), name)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_names_are_sorted(name: str) -> None:
    """`__all__` reads as a table of contents."""
    module = importlib.import_module(name)

    assert list(module.__all__) == sorted(set(module.__all__), key=reading_order)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_say_that_they_live_where_users_import_them(name: str) -> None:
    """A traceback shows `trio_jobs.JobFailed`: no module of ours that may move."""
    elsewhere = {
        public: thing.__module__
        for public, thing in public_names(importlib.import_module(name)).items()
        if isinstance(thing, type | FunctionType) and thing.__module__ != name
    }

    assert elsewhere == {}


def private_types(public: str, thing: object) -> Iterator[str]:
    """The types of private modules in a public name's signatures."""
    for function in functions_of(thing):
        for annotation in annotations_of(function):
            for found in classes_in(annotation):
                if found.__module__.startswith("trio_jobs._"):
                    yield f"{public}: {function.__qualname__} speaks of {found!r}"


@pytest.mark.parametrize("name", PUBLIC)
def test_signatures_speak_of_public_types_only(name: str) -> None:
    """Whatever a user is given or must give can be named in an annotation of the user's."""
    found = [
        fault
        for public, thing in public_names(importlib.import_module(name)).items()
        for fault in private_types(public, thing)
    ]

    assert not found, "\n".join(["", *found])


class Hidden:
    """A class of a private module, as far as its name goes."""

    __module__ = "trio_jobs._hidden"


class Leaky:
    """Speaks of a private type wherever one can."""

    def __init__(self, one: list[Hidden]) -> None: ...

    @property
    def two(self) -> Hidden | None: ...

    @classmethod
    def three(cls, known_to_checkers: Decimal, hidden: dict[str, Hidden]) -> None: ...

    def _private(self, hidden: Hidden) -> None: ...


def leaky_function(hidden: Hidden) -> None: ...


# As where the module does not say `from __future__ import annotations`.
leaky_function.__annotations__["hidden"] = Hidden


def test_a_private_type_in_a_signature_is_reported() -> None:
    """In methods, properties and functions, inside of other types too; a private method may."""
    found = [*private_types("Leaky", Leaky), *private_types("leaky", leaky_function)]

    hidden = "speaks of <class 'trio_jobs._hidden.Hidden'>"
    assert found == [
        f"Leaky: Leaky.__init__ {hidden}",
        f"Leaky: Leaky.two {hidden}",
        f"Leaky: Leaky.three {hidden}",
        f"leaky: leaky_function {hidden}",
    ]


IMPORTING = """
import sys
import trio
before = set(sys.modules)
import trio_jobs
print(*set(sys.modules) - before)
"""


def modules_that_the_import_loads() -> set[str]:
    """What `import trio_jobs` loads in a fresh Python that has imported trio."""
    # Not measured: coverage itself loads half of what must not be loaded.
    environment = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    command = [sys.executable, "-c", IMPORTING]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_is_cheap() -> None:
    """At most 60 modules beyond Trio's own, and none that only some users need."""
    loaded = modules_that_the_import_loads()

    assert "trio_jobs" in loaded
    assert len(loaded) <= 60, sorted(loaded)
    assert not loaded & {
        "argparse",
        "asyncio",
        "cyclopts",
        "importlib.metadata",
        "json",
        "rich",
        "sqlite3",
        "trio_parallel",
        "uuid",
    }
