from itertools import count

import trio
from trio.testing import MockClock

from trio_jobs import job, open_processor


@job
async def is_prime(number: int) -> tuple[int, bool]:
    await trio.sleep(1)
    return number, number > 1 and all(number % divisor for divisor in range(2, number))


async def main() -> None:
    async with open_processor(is_prime, concurrency=8) as processor:
        primes: list[int] = []
        async with processor.map(count(1), max_in_flight=8, ordered=True) as responses:  # an endless input
            async for response in responses:
                number, prime = response.unwrap()
                if prime:
                    primes.append(number)
                if len(primes) == 5:
                    break  # what is still in flight is cancelled
        print(primes, "and", processor.statistics().running, "run")


trio.run(main, clock=MockClock(autojump_threshold=0))
