"""Resources that cannot be opened, or cannot be closed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


@asynccontextmanager
async def raise_when_opened() -> AsyncGenerator[None]:
    raise OSError("no such host")
    yield  # pragma: no cover  # it makes a generator of the function


@asynccontextmanager
async def raise_when_closed(number: int = 1) -> AsyncGenerator[int]:
    try:
        yield number
    finally:
        raise OSError(f"cannot close {number}")
