"""What importing it costs: processor time of whole processes, and the modules that come along."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import trio_jobs

from .harness import Bench, Case

FOLDER = Path(trio_jobs.__file__).parents[1]


def environment() -> dict[str, str]:
    """This one, but for what would have every process compile anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def case(statement: str) -> Case:
    """Python started, to do that; a process each time."""

    def run(times: int) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(times):
            subprocess.run([sys.executable, "-c", statement], check=True, cwd=FOLDER, env=environment())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return run


def modules_after(statement: str) -> int:
    """How many modules there are then."""
    said = subprocess.check_output(
        [sys.executable, "-c", f"{statement}; import sys; print(len(sys.modules))"], cwd=FOLDER, env=environment()
    )
    return int(said)


def measure(bench: Bench) -> None:
    """Beside Trio, which is imported anyway."""
    # First, so that whatever is not compiled yet is compiled then.
    modules = modules_after("import trio_jobs") - modules_after("import trio")
    table = bench.compare(
        "a process that imports",
        {"trio": case("import trio"), "trio_jobs": case("import trio_jobs"), "nothing": case("pass")},
        operations=1 if bench.quick else 3,
        unit="ms",
    )
    # Both are ratios to `import trio` of the same round.
    beyond = (table["trio_jobs"].ratio - 1) / (1 - table["nothing"].ratio)
    bench.goal("importing it, beyond importing trio", 0.25, beyond, "import trio")
    bench.goal("modules that it imports, beyond those of trio", 60, modules, "counted", unit="modules")
