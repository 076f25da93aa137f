"""What there is to know of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from trio_jobs import Job
from trio_jobs.cli.example import FileFacts, facts_in, file_facts


def test_a_file_is_counted_and_digested(tmp_path: Path) -> None:
    """As `wc` and `sha256sum` would."""
    path = tmp_path / "a.py"
    path.write_text("one two\n three")

    assert file_facts(path) == FileFacts(
        path, "text/x-python", 14, 1, 3, hashlib.sha256(b"one two\n three").hexdigest()
    )


def test_a_line_of_text_names_a_file_as_well(tmp_path: Path) -> None:
    """So that `ls | trio-jobs map trio_jobs.cli.example:file_facts` does what it looks like."""
    (tmp_path / "a").touch()

    facts = file_facts(str(tmp_path / "a"))

    assert (facts.kind, facts.size, facts.lines, facts.words) == ("unknown", 0, 0, 0)


@settings(deadline=None)
@given(st.lists(st.text("a \n").map(str.encode)))
def test_words_do_not_depend_on_how_the_file_was_cut(pieces: list[bytes]) -> None:
    """A word that two pieces share is one."""
    facts = facts_in(Path("a"), pieces)

    assert facts.words == len(b"".join(pieces).split())


def test_it_is_a_job() -> None:
    """To be named on the command line."""
    assert isinstance(file_facts, Job)
