"""The first screen: what it shows is what runs, and where it leads there is something."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "docs" / "examples"


def test_its_programs_are_the_first_job_and_the_test_of_it() -> None:
    """To the letter, in this order, and nothing else: the files are run by `test_docs`."""
    shown = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

    assert shown == [(EXAMPLES / name).read_text(encoding="utf-8") for name in ("first_job.py", "test_first_job.py")]


def test_it_says_what_the_first_job_prints() -> None:
    """Below the program and above its test."""
    printed = (EXAMPLES / "first_job.out").read_text(encoding="utf-8").strip()

    assert f"```\n\nIt prints `{printed}`." in README


def test_it_counts_the_lines_of_the_two_versions_as_they_are() -> None:
    """By hand, and with us."""
    by_hand, ours = (
        len((EXAMPLES / "by_hand" / name).read_text(encoding="utf-8").splitlines())
        for name in ("by_hand.py", "with_trio_jobs.py")
    )

    assert f"in {by_hand} lines and in {ours}" in README


def test_its_links_lead_to_pages_that_are_there() -> None:
    """Relative ones, as they work where the repository is shown."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)

    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_the_manual_includes_it_whole() -> None:
    """Between the two marks that its index names."""
    assert README.startswith("# trio-jobs\n\n<!-- start -->\n")
    assert README.endswith("<!-- end -->\n")
