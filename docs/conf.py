"""How Sphinx builds the manual: `nox -s docs`."""

import os
from importlib.metadata import version as installed_version

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

# -- Markdown

myst_enable_extensions = ["colon_fence", "deflist"]
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
    ("py:.*", r"[a-z]+|[A-Z]\w*(Error|Warning|Exception|Group|Interrupt)"),
    # Type variables, by which signatures are generic.
    ("py:.*", r"(.*\.)?(T|T_co|T_contra|P|\w+T|\w+T_co|\w+T_contra)"),
]

# -- Pages

html_theme = "furo"
html_title = "trio-jobs"
