import trio
from trio.testing import MockClock

from trio_jobs import job, open_processor
from trio_jobs.gates import Concurrency


@job
async def query(seconds: float) -> None:
    await trio.sleep(seconds)


async def main() -> None:
    database = Concurrency(2)
    async with (
        open_processor(query, gates=[database], name="reports") as reports,
        open_processor(query, gates=[database], name="pages") as pages,
    ):
        for _ in range(3):
            await reports.submit(1.0)
            await pages.submit(1.0)
        await trio.testing.wait_all_tasks_blocked()
        print(reports, pages, database, sep="\n")
    print("six seconds of work in", trio.current_time(), "seconds")


trio.run(main, clock=MockClock(autojump_threshold=0))
