"""Whoever runs a job, as far as the job sees it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import trio

from trio_jobs import Request
from trio_jobs._current_run import current_run


class FakeRunner:
    """Runs one request after another, and remembers what they report."""

    def __init__(self) -> None:
        self.request: Request[Any] | None = None
        self.shields: set[trio.CancelScope] = set()
        self.calls: dict[str, Any] = {}
        self.reported: list[object] = []

    def publish_progress(self, body: object) -> None:
        self.reported.append(body)

    @contextmanager
    def run(self, request: Request[Any]) -> Generator[None]:
        """As if the block were the job."""
        self.request = request
        token = current_run.set((self, request))
        try:
            yield
        finally:
            self.request = None
            current_run.reset(token)
