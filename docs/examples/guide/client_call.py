import trio
from trio.testing import MockClock

from trio_jobs import JobFailed, job, open_processor


@job
async def fetch(address: str) -> str:
    if address == "nowhere":
        raise LookupError(address)
    await trio.sleep(3)
    return f"<{address}>"


async def main() -> None:
    async with open_processor(fetch) as processor:
        print(await processor.call("home"))

        try:
            await processor.call("nowhere")
        except JobFailed as failed:
            print(failed.error, "from", repr(failed.__cause__))

        with trio.move_on_after(1) as scope:  # the caller's limit: the job is cancelled with the call
            await processor.call("home")
        print(scope.cancelled_caught, processor.statistics().running)

        try:
            await processor.call("home", time_limit=2)  # the request's own limit
        except trio.TooSlowError as too_slow:
            print(type(too_slow).__name__, "at", trio.current_time())


trio.run(main, clock=MockClock(autojump_threshold=0))
