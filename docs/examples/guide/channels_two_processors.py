import trio
from trio.testing import MockClock

from trio_jobs import (
    BroadcastSender,
    Processor,
    Request,
    Response,
    job,
    open_broadcast_channel,
    open_request_channel,
)


@job
async def wait(seconds: float) -> float:
    await trio.sleep(seconds)
    return seconds


async def main() -> None:
    sender, receiver = open_request_channel(100)
    responses: BroadcastSender[Response[float]] = open_broadcast_channel(100)
    answers = responses.subscribe()
    async with trio.open_nursery() as nursery:
        for name in ("left", "right"):
            own = receiver.clone()
            processor = Processor(wait, requests=own, responses=responses, concurrency=1, name=name)
            await nursery.start(processor.run)
        receiver.close()
        responses.close()
        async with sender:
            for _ in range(10):
                await sender.send(Request(1.0))
    with answers:
        print(len([response async for response in answers]), "answers in", trio.current_time(), "seconds")


trio.run(main, clock=MockClock(autojump_threshold=0))
