import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import Aborted, AbortReason, Progress, job, open_processor, report


@job
async def poll(seconds: float) -> str:
    await report("asleep")
    await trio.sleep(seconds)
    return "awake"


async def test_an_hour_takes_no_time(autojump_clock: object) -> None:
    """Trio's clock jumps to the next deadline as soon as every task waits."""
    async with open_processor(poll) as processor:
        assert await processor.call(3600) == "awake"

    assert trio.current_time() == 3600


async def test_what_was_answered_to_whom(autojump_clock: object) -> None:
    """A subscription is a log of what happened, in order."""
    async with open_processor(poll) as processor:
        with processor.subscribe(progress=True) as log:
            submission = await processor.submit(3600, time_limit=60)
            await submission.wait()
            progress, response = await log.receive_many()

    assert isinstance(progress, Progress)
    assert (progress.body, progress.id) == ("asleep", submission.id)
    assert isinstance(response, Aborted)
    assert (response.reason, response.ran) == (AbortReason.DEADLINE, 60)


async def test_what_runs_at_a_moment(autojump_clock: object) -> None:
    """Once nothing moves any more, statistics and states can be looked at."""
    async with open_processor(poll, concurrency=1) as processor:
        for _ in range(3):
            await processor.submit(1)
        await wait_all_tasks_blocked()

        assert processor.statistics().running == 1
        assert processor.statistics().waiting == 2
