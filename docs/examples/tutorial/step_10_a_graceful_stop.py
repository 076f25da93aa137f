import signal

import trio
from trio.testing import MockClock

from trio_jobs import Processor, ProcessorState, job, open_processor

SECONDS = {"may.txt": 2, "june.txt": 600, "july.txt": 2}


@job
async def remote_checksum(name: str) -> str:
    await trio.sleep(SECONDS[name])
    return "d2b4ccf2"


async def stop_on_signal(
    processor: Processor[str, str, object],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            report = await processor.drain(grace=30)
            print("answered", processor.statistics().succeeded, "in", trio.current_time(), "seconds")
            print("handed back", len(report.handed_back), "- never started", len(report.waiting))
            return


async def main() -> None:
    async with trio.open_nursery() as nursery:
        async with open_processor(remote_checksum, concurrency=2) as processor:
            await nursery.start(stop_on_signal, processor)
            for name in SECONDS:
                await processor.submit(name)
            signal.raise_signal(signal.SIGTERM)  # as an operator would
            await processor.state.wait_value(ProcessorState.STOPPED)


trio.run(main, clock=MockClock(autojump_threshold=0))
