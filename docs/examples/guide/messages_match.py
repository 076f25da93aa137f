import trio
from trio.testing import MockClock

from trio_jobs import Aborted, Failed, Response, Succeeded, job, open_processor


@job
async def divide(pair: tuple[float, float]) -> float:
    numerator, denominator = pair
    await trio.sleep(numerator)
    return numerator / denominator


def describe(response: Response[float]) -> str:
    match response:
        case Succeeded(value, ran=seconds):
            return f"succeeded with {value} after {seconds} s"
        case Failed(error):
            return f"failed with {error}"
        case Aborted(reason):
            return f"aborted: {reason.value}"


async def main() -> None:
    async with open_processor(divide) as processor:
        bodies = [(3, 2), (1, 0), (900, 2)]
        async with processor.map(bodies, ordered=True, time_limit=60) as responses:
            async for response in responses:
                print(describe(response))


trio.run(main, clock=MockClock(autojump_threshold=0))
