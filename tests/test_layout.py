"""Who may import whom: from lower levels only, and every file has its place and its test."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import attrs
import pytest

# Lowest first. Modules of one row never import each other. A folder's row holds for all in it,
# unless a file of it has a place of its own; its files never import each other either, only its
# __init__ imports them. A star: decided in plain functions, so it never imports trio.
LEVELS = [
    "_randomness* _arguments* _public_path* _single_error _record*",
    "_errors _error_info*",
    "_message* _hidden_nursery",
    "_current_run",
    "_channel _job _codec* _events _lifecycle* _settlement* _resources _restart* _observable",
    "_thread_job _process_job _waiting_room* _ring*",
    "_subscription _memory _deadlines* _layer",
    "_broadcast",
    "_call_cycle _worker gates/* layers/ transports/ opentelemetry",
    "_asking",
    "_submission _mapping",
    "_client",
    "_engine",
    "_processor",
    "types",
    "_link _graph* sources/",
    "_app _snapshot",
    "control/ web/",
    "cli._exit_code* cli._did_you_mean* cli._json_text* cli._in_order* cli._interrupts cli._output cli._screen",
    "cli._target cli._inputs cli._progress cli.example",
    "cli._record",
    "cli._map_run",
    "cli._map cli._demo",
    "cli/",
    "__init__ __main__",
]

TESTING_LEVELS = [
    "_clock _tasks _patterns _interactions _script",
    "_recording _scripted _probe _diagram _cassette _hang _running",
    "simulation/ conformance",
    "plugin",
    "__init__",
]

PURE_MAY = {"attrs"}

TESTS = Path(__file__).parent


# -- The table


@attrs.frozen
class Place:
    level: int
    pure: bool


@attrs.frozen
class Rules:
    """What holds for one of the packages."""

    package: str
    levels: list[str]
    required: set[str]
    """What may be imported everywhere."""
    optional: dict[str, tuple[str, ...]]
    """What else may be: inside a function, and anywhere in or below these modules."""
    unknown_to: dict[str, tuple[str, ...]] = attrs.field(factory=dict[str, tuple[str, ...]])
    """Modules of ours that a module is given and must not know."""

    def folder(self) -> Path:
        """Where it is: in the repository, or installed from a wheel."""
        spec = find_spec(self.package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        return Path(spec.submodule_search_locations[0])

    def table(self) -> dict[str, Place]:
        return {
            entry.rstrip("*").rstrip("/"): Place(level, pure=entry.endswith("*"))
            for level, row in enumerate(self.levels)
            for entry in row.split()
        }

    def place_of(self, module: str) -> Place | None:
        """The most specific entry that covers it: ``gates._rate``, else ``gates``."""
        places = self.table()
        while module not in places and "." in module:
            module = module.rpartition(".")[0]
        return places.get(module)


CORE = Rules(
    "trio_jobs",
    LEVELS,
    required={"trio", "outcome", "trio_util", "attrs"},  # outcome comes with trio, whose `reschedule` takes one
    optional={"cyclopts": ("cli",), "rich": ("cli",), "trio_parallel": ()},
    # The processor works with any gate, layer or transport that does as these do.
    unknown_to={"_processor": ("gates", "layers", "transports")},
)
TESTING = Rules(
    "trio_jobs_testing",
    TESTING_LEVELS,
    required={"trio", "outcome", "attrs", "trio_jobs"},
    optional={"pytest": ("plugin", "conformance"), "pytest_trio": ("plugin",)},
)


# -- What a file imports


@attrs.frozen
class Import:
    line: int
    name: str
    in_function: bool


class ImportsOf(ast.NodeVisitor):
    """Every import of a file but those for type checkers, as absolute dotted names."""

    def __init__(self, package: str) -> None:
        self.found: list[Import] = []
        self._package = package
        self._depth = 0

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        above = self._package.split(".")
        base = above[: len(above) - node.level + 1] if node.level else []
        name = ".".join([*base, *(node.module or "").split(".")]).strip(".")
        for alias in node.names:
            self._add(node, f"{name}.{alias.name}")

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def _add(self, node: ast.stmt, name: str) -> None:
        self.found.append(Import(node.lineno, name, in_function=self._depth > 0))


# -- The rules


@attrs.frozen
class Tree:
    """A package's files, by the names that the table uses."""

    rules: Rules
    files: dict[str, Path]

    @classmethod
    def of(cls, folder: Path, rules: Rules) -> Tree:
        files: dict[str, Path] = {}
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            inner_init = len(parts) > 1 and parts[-1] == "__init__"
            files[".".join(parts[:-1] if inner_init else parts)] = file
        return cls(rules, files)

    def module_named(self, dotted: str) -> str:
        """The module that ``trio_jobs._message.Request`` is from; __init__ for a public name."""
        name = dotted.removeprefix(self.rules.package).removeprefix(".")
        # The table too: what another file lacks must not look like a public name.
        while name and name not in self.files and name not in self.rules.table():
            name = name.rpartition(".")[0]
        return name or "__init__"

    def imports(self, module: str) -> list[Import]:
        file = self.files[module]
        package = self.rules.package
        if "." in module or file.name == "__init__.py":
            inner = module if file.name == "__init__.py" else module.rpartition(".")[0]
            package = package if inner == "__init__" else f"{package}.{inner}"
        visitor = ImportsOf(package)
        visitor.visit(ast.parse(file.read_text(encoding="utf-8")))
        return visitor.found


def faults(folder: Path, rules: Rules) -> Iterator[str]:
    """Everything in the package that is not as the table has it, a line each."""
    tree = Tree.of(folder, rules)
    for module, file in tree.files.items():
        where = file.relative_to(folder.parent).as_posix()
        place = rules.place_of(module)
        if place is None:
            yield f"{where} has no level: add {module} to LEVELS in {Path(__file__).name}"
        else:
            # A statement that imports several names is wrong once.
            yield from dict.fromkeys(f"{where}:{line} {fault}" for line, fault in wrong_imports(tree, module, place))


def wrong_imports(tree: Tree, module: str, place: Place) -> Iterator[tuple[int, str]]:
    for found in tree.imports(module):
        if found.name.split(".")[0] == tree.rules.package:
            fault = inner_fault(tree.rules, module, place, tree.module_named(found.name))
        else:
            fault = outer_fault(tree.rules, module, place, found)
        if fault:
            yield found.line, fault


def inner_fault(rules: Rules, module: str, place: Place, target: str) -> str | None:
    """What is wrong with an import of our own."""
    other = rules.place_of(target)
    if other is None or target.rpartition(".")[0] == module:
        return None  # said once, at the file without a place; or a folder's __init__ with its files
    if other.level > place.level:
        return f"imports {target}, which is above {module}"
    if other.level == place.level:
        return f"imports {target}, which is on one level with {module}"
    if target.split(".")[0] in rules.unknown_to.get(module, ()):
        return f"imports {target}, which {module} is given and must not know"
    return None


def outer_fault(rules: Rules, module: str, place: Place, found: Import) -> str | None:
    """What is wrong with an import from elsewhere."""
    name, *inside = found.name.split(".")
    if name in sys.stdlib_module_names:
        return None
    if name in rules.optional:
        if found.in_function or module.split(".")[0] in rules.optional[name]:
            return None
        return f"imports {name}, which may be missing here, outside the function that needs it"
    if name not in rules.required:
        return f"imports {name}, which {rules.package} does not depend on"
    if name == CORE.package and any(part.startswith("_") for part in inside):
        return f"imports {found.name}, which is private"
    if place.pure and name not in PURE_MAY:
        return f"imports {name}, but {module} is decided in plain functions"
    return None


def untested(package: Path, rules: Rules, tests: Path) -> Iterator[str]:
    """Every module whose test file is missing."""
    for module, file in Tree.of(package, rules).files.items():
        if file.stem.startswith("__"):
            continue  # public names only, or the command, which tests/cli runs
        *folders, name = module.split(".")
        test = Path(*folders, f"test_{name.lstrip('_')}.py")
        if not (tests / test).is_file():
            where = file.relative_to(package.parent).as_posix()
            yield f"{where} lacks {tests.name}/{test.as_posix()}"


# -- The packages as they are

HERE = [(CORE, TESTS)]
if find_spec("trio_jobs_testing") is not None:  # pragma: no branch  # where the first is tried alone it is not
    HERE.append((TESTING, TESTS / "testing"))
each_package = pytest.mark.parametrize(("rules", "tests"), HERE, ids=[rules.package for rules, _ in HERE])


@each_package
def test_every_import_goes_downwards(rules: Rules, tests: Path) -> None:
    """A module imports from lower levels, and from others only what it may."""
    found = list(faults(rules.folder(), rules))

    assert not found, "\n".join(["", *found])


@each_package
def test_every_module_has_a_test_file_of_its_name(rules: Rules, tests: Path) -> None:
    """trio_jobs/gates/_rate.py is tested in tests/gates/test_rate.py."""
    found = list(untested(rules.folder(), rules, tests))

    assert not found, "\n".join(["", *found])


@each_package
def test_the_table_names_nothing_twice(rules: Rules, tests: Path) -> None:
    """A module has one level."""
    entries = [entry.rstrip("*").rstrip("/") for row in rules.levels for entry in row.split()]

    assert len(entries) == len(set(entries))


# -- Packages as they must not be


def plant(folder: Path, files: dict[str, str]) -> Path:
    """A package of these files, and some empty ones to import from."""
    package = folder / "trio_jobs"
    empty = ["__init__", "_errors", "_message", "_channel", "_job", "_processor", "cli/_map"]
    empty += ["gates/__init__", "gates/_rate", "gates/_keys", "layers/__init__"]
    for name, source in {**dict.fromkeys(empty, ""), **files}.items():
        file = package / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    return package


@pytest.mark.parametrize(
    ("file", "source", "fault"),
    [
        ("_message", "from ._job import Job, job", ":1 imports _job, which is above _message"),
        ("_message", "from . import _job", ":1 imports _job, which is above _message"),
        ("_message", "import trio_jobs._job", ":1 imports _job, which is above _message"),
        ("_job", "from trio_jobs import Request", ":1 imports __init__, which is above _job"),
        ("_job", "\nfrom ._channel import X", ":2 imports _channel, which is on one level"),
        ("_job", "def f():\n  from ._processor import X", ":2 imports _processor, which is above"),
        ("_job", "async def f():\n  import pytest", ":2 imports pytest, which trio_jobs does not"),
        ("_job", "import trio_jobs_testing", ":1 imports trio_jobs_testing, which trio_jobs does"),
        ("_job", "import hypothesis.strategies", ":1 imports hypothesis, which trio_jobs does"),
        ("_job", "import trio_parallel", ":1 imports trio_parallel, which may be missing"),
        ("_job", "if X:\n  import rich", ":2 imports rich, which may be missing"),
        ("_message", "import trio.lowlevel", ":1 imports trio, but _message is decided in plain"),
        ("_message", "from trio_util import X", ":1 imports trio_util, but _message is decided"),
        ("gates/_rate", "import trio", ":1 imports trio, but gates._rate is decided in plain"),
        ("gates/_rate", "from ._keys import X", ":1 imports gates._keys, which is on one level"),
        ("gates/_rate", "from . import Keys", ":1 imports gates, which is on one level"),
        ("gates/_rate", "from .._processor import X", ":1 imports _processor, which is above"),
        ("gates/__init__", "from ..layers import X", ":1 imports layers, which is on one level"),
        ("_processor", "from .gates._rate import X", "imports gates._rate, which _processor is"),
        ("_processor", "from .layers import Retry", "imports layers, which _processor is given"),
        ("_utils", "", "has no level: add _utils to LEVELS"),
        ("odds/_ends", "", "has no level: add odds._ends to LEVELS"),
    ],
)
def test_a_wrong_file_is_reported(tmp_path: Path, file: str, source: str, fault: str) -> None:
    """The report names the file, the line and what is wrong, and nothing else."""
    found = list(faults(plant(tmp_path, {file: source}), CORE))

    assert len(found) == 1
    assert found[0].startswith(f"trio_jobs/{file}.py")
    assert fault in found[0]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("_job", "from ._message import Request\nfrom trio_jobs import _errors"),
        ("_job", "from __future__ import annotations\nimport collections.abc\nimport trio"),
        ("_job", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  from ._client import X"),
        ("_job", "import typing\nif typing.TYPE_CHECKING:\n  import pytest\nelse:\n  import trio"),
        ("_job", "async def f():\n  import trio_parallel"),
        ("_message", "import attrs"),
        ("_processor", "from ._job import Job"),
        ("gates/__init__", "from ._keys import X as X\nfrom ._rate import Y as Y"),
        ("gates/_rate", "from .._message import Request"),
        ("cli/_map", "import cyclopts\nfrom rich import print\nfrom ..gates import Rate"),
        ("__init__", "from ._job import job as job\nfrom . import gates as gates"),
    ],
)
def test_a_right_file_is_not_reported(tmp_path: Path, file: str, source: str) -> None:
    """What goes downwards passes, and so does what only type checkers read."""
    assert list(faults(plant(tmp_path, {file: source}), CORE)) == []


@pytest.mark.parametrize(
    ("file", "source", "fault"),
    [
        ("_clock", "from trio_jobs import Request", None),
        ("_clock", "from trio_jobs._message import Request", "imports trio_jobs._message.Request, which is private"),
        ("_clock", "from trio_jobs import _message", "imports trio_jobs._message, which is private"),
        ("_clock", "import pytest", "imports pytest, which may be missing here"),
        ("plugin", "import pytest", None),
        ("_clock", "import hypothesis", "imports hypothesis, which trio_jobs_testing does not depend on"),
        ("_clock", "from ._hang import X", "imports _hang, which is above _clock"),
    ],
)
def test_the_testing_product_uses_what_is_public(tmp_path: Path, file: str, source: str, fault: str | None) -> None:
    """And pytest in the plugin alone, so that all else works under any runner."""
    package = tmp_path / "trio_jobs_testing"
    package.mkdir()
    (package / "_hang.py").touch()
    (package / f"{file}.py").write_text(source, encoding="utf-8")

    found = list(faults(package, TESTING))

    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]


def test_a_module_without_test_file_is_reported(tmp_path: Path) -> None:
    """The report names the test file that is missing; an __init__ needs none."""
    package = tmp_path / "trio_jobs"
    for name in ["__init__", "_job", "memory", "gates/__init__", "gates/_rate"]:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").touch()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_job.py").touch()

    assert list(untested(package, CORE, tmp_path / "tests")) == [
        "trio_jobs/gates/_rate.py lacks tests/gates/test_rate.py",
        "trio_jobs/memory.py lacks tests/test_memory.py",
    ]
