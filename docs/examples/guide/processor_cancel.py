import trio
from trio.testing import MockClock

from trio_jobs import Aborted, job, open_processor


@job
async def watch(path: str) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(2)  # its clean-up
        print("stopped watching", path)


async def main() -> None:
    async with open_processor(watch) as processor:
        submission = await processor.submit("letters")
        await trio.sleep(1)
        print(await processor.cancel(submission.id), "at", trio.current_time())
        print(await processor.cancel("nobody"))
        response = await submission.wait()
        assert isinstance(response, Aborted)
        print(response.reason)


trio.run(main, clock=MockClock(autojump_threshold=0))
