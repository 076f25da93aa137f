"""How Sphinx builds the manual: `nox -s docs`."""

import os
from importlib import import_module
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import trio_jobs
from trio_jobs._lifecycle import TRANSITIONS

project = "trio-jobs"
author = "The trio-jobs authors"
project_copyright = "2026, The trio-jobs authors"
release = installed_version("trio-jobs")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinxcontrib.mermaid",
    "sphinxcontrib_trio",
]
exclude_patterns = ["_build", "newsfragments", "examples"]
# A name in single backticks in a docstring is a link where it is a name of ours.
default_role = "py:obj"

# -- Markdown

myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors = 3
# Hosting pages draw a plain mermaid fence as well, so the sources use that one.
myst_fence_as_directive = ["mermaid"]

# -- The reference

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
# Since Sphinx 9 sphinxcontrib-trio no longer shows `async with` for @asynccontextmanager
# functions that `automodule` finds; the older autodoc still does.
autodoc_use_legacy_class_based = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# -- Links

nitpicky = True
# A build needs no network. Where the manual is published it has one, and links to the others'.
if "READTHEDOCS" in os.environ:
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "trio": ("https://trio.readthedocs.io/en/stable", None),
        "attrs": ("https://www.attrs.org/en/stable", None),
    }
nitpick_ignore_regex = [
    # What others document, when their inventories are not at hand.
    ("py:.*", r"(trio|trio_util|attrs|attr|collections|contextlib|typing|types|enum|random)\..*"),
    ("py:.*", r"[a-z_]+|[A-Z]\w*(Error|Warning|Exception|Group|Interrupt)"),
    # Where a docstring says that something raises what others do.
    ("py:exc", "Others"),
    # Type variables, by which signatures are generic.
    ("py:.*", r"(.*\.)?(T|T_co|T_contra|P|\w+T|\w+T_co|\w+T_contra)"),
]

# -- Pages

html_theme = "furo"
html_title = "trio-jobs"
# So that a line of a hundred characters fits.
html_theme_options = {"light_css_variables": {"code-font-size": "0.76rem"}}

# -- What is drawn and found in the code

PUBLIC = ("trio_jobs", "trio_jobs.types", "trio_jobs.gates")


def draw_states() -> str:
    """The life of a processor, as the code has it; events that change nothing are left out."""
    lines = ["stateDiagram-v2", "    [*] --> new"]
    for state, after in TRANSITIONS.items():
        arrows: dict[str, list[str]] = {}
        for event, next_state in after.items():
            if next_state is not state:
                arrows.setdefault(next_state.value, []).append(event.value)
        lines += [f"    {state.value} --> {there}: {', '.join(events)}" for there, events in arrows.items()]
        if not arrows:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join(["```mermaid", *lines, "```"])


def find_fields() -> None:
    """Public names say that they live where they are imported from: let autodoc find their fields there."""
    analyzer = import_module("sphinx.pycode").ModuleAnalyzer  # types are checked where there is no Sphinx
    files = [path for path in Path(trio_jobs.__file__).parent.rglob("_[a-z]*.py") if path.parent.name != "cli"]
    modules = [analyzer.for_file(path, path.stem) for path in files]
    for public in PUBLIC:
        package = analyzer.for_module(public)
        package.analyze()
        for module in modules:
            module.analyze()
            package.attr_docs.update(module.attr_docs)
            package.annotations.update(module.annotations)
            package.tagorder.update(module.tagorder)


def keep_colons(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """In front of a colon napoleon sees the type of a field; ours are annotations, and a colon is a colon."""
    if what in {"attribute", "data", "property"} and ":" in lines[0]:
        lines[:0] = ["..", ""]


def look_everywhere(app: Any, env: Any, node: Any, link: Any) -> Any:
    """A name of ours is found from any of our modules."""
    if node.get("refdomain") != "py":
        return None
    python, document, kind, name = env.get_domain("py"), node["refdoc"], node["reftype"], node["reftarget"]
    if name.startswith("trio_jobs._"):  # the members of an alias say where they are defined
        name = name.rpartition(".")[2]
    found = (python.resolve_xref(env, document, app.builder, kind, f"{public}.{name}", node, link) for public in PUBLIC)
    return next((reference for reference in found if reference is not None), None)


def setup(app: Any) -> None:
    """What runs when; napoleon has the usual priority of 500."""
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    app.connect("missing-reference", look_everywhere)


myst_substitutions = {"processor_states": draw_states()}
find_fields()
