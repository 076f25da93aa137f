"""The job that ``trio-jobs demo`` runs: what there is to know of a file. To be tried with ``map`` as well.

trio-jobs map trio_jobs.cli.example:file_facts FOLDER
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterable
from pathlib import Path

import attrs

from .._thread_job import thread_job

_PIECE = 1 << 18  # bytes that are read in one go


@attrs.frozen
class FileFacts:
    """What there is to know of a file."""

    path: Path
    """Which file."""
    kind: str
    """Its media type by its name, such as ``text/x-python``; ``unknown`` if the name tells nothing."""
    size: int
    """Bytes."""
    lines: int
    """Line ends in it."""
    words: int
    """What white space separates."""
    sha256: str
    """Its digest, in hexadecimal."""


@thread_job
def file_facts(path: Path | str) -> FileFacts:
    """Read a file, however large, a piece at a time."""
    with open(path, "rb") as file:
        return facts_in(Path(path), iter(lambda: file.read(_PIECE), b""))


def facts_in(path: Path, pieces: Iterable[bytes]) -> FileFacts:
    """The facts of a file with these contents."""
    digest, size, lines, words, in_word = hashlib.sha256(), 0, 0, 0, False
    for piece in filter(None, pieces):
        digest.update(piece)
        size += len(piece)
        lines += piece.count(b"\n")
        words += len(piece.split()) - (in_word and not piece[:1].isspace())
        in_word = not piece[-1:].isspace()
    kind = mimetypes.guess_type(path.name)[0] or "unknown"
    return FileFacts(path, kind, size, lines, words, digest.hexdigest())
