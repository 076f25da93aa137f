"""What signatures speak of can be imported."""

from __future__ import annotations

import trio_jobs
from trio_jobs import types


def test_no_name_is_exported_twice() -> None:
    """Each has one place."""
    assert not set(types.__all__) & set(trio_jobs.__all__)
