"""The jobs that most tests need: that succeed, take time, fail, or do not end."""

from __future__ import annotations

import trio

from trio_jobs import job, report


@job
async def double(request: int) -> int:
    return 2 * request


@job
async def sleep_for(seconds: float) -> float:
    await trio.sleep(seconds)
    return seconds


@job
async def fail(request: object) -> None:
    raise ValueError(request)


@job
async def hang(request: object) -> None:
    await trio.sleep_forever()


@job
async def stubborn(request: object) -> str:
    """Does not end until it is cancelled, and then returns all the same."""
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        return "done anyway"


@job
async def hang_with(request: object, resources: object) -> None:
    """The same as `hang`, for tests of what resources do meanwhile."""
    await trio.sleep_forever()


@job
async def clean_up_for(seconds: float) -> None:
    """Does not end until it is cancelled, and then takes so long for it that nothing hurries."""
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)


@job
async def report_at_once(request: object) -> None:
    await report("at once")
