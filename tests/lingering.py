"""A job that ends when it is told to: for tests of those who wait for it to be gone."""

from __future__ import annotations

import trio

from trio_jobs import Job


class Lingering(Job[object, None, object]):
    """Does not end until it is cancelled, and then not before ``let_go`` is set."""

    def __init__(self) -> None:
        self.let_go = trio.Event()

    async def run(self, request: object, resources: object) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self.let_go.wait()
