import trio
from trio.testing import MockClock

from trio_jobs import BroadcastReceiver, JobFailed, Processor, Response, job, open_processor

SECONDS = {"tea": 3, "stew": 600, "cake": 40}


@job
async def cook(dish: str) -> str:
    await trio.sleep(SECONDS[dish])
    return f"{dish} is ready"


async def order(kitchen: Processor[str, str, object], dish: str) -> None:
    try:
        print(await kitchen.call(dish, time_limit=60))
    except trio.TooSlowError:
        print(f"no {dish}: too slow")
    except JobFailed as failed:
        print(f"no {dish}: {failed.error.type_name}")


async def count_responses(responses: BroadcastReceiver[Response[str]]) -> None:
    with responses:
        print(len([response async for response in responses]), "responses")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        async with open_processor(cook, concurrency=4) as kitchen:
            nursery.start_soon(count_responses, kitchen.subscribe())
            for dish in ("tea", "stone", "stew"):
                await order(kitchen, dish)
            nursery.start_soon(order, kitchen, "cake")
            await trio.sleep(1)
            await kitchen.drain(grace=50)
    print("stopped at", trio.current_time())


trio.run(main, clock=MockClock(autojump_threshold=0))
