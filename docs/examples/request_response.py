"""A job that asks another processor: the deadline goes along, a failure comes back with its cause.

In virtual time, so the time-outs take none.
"""

import trio
from trio.testing import MockClock

from trio_jobs import Aborted, JobFailed, Processor, job, open_processor

PRICES = {"apple": 30, "pear": 45}


@job
async def look_up_price(article: str) -> int:
    """The price list is slow: two seconds for each article."""
    await trio.sleep(2)
    return PRICES[article]


@job
async def bill(articles: list[str], prices: Processor[str, int, object]) -> int:
    """What these articles cost together."""
    return sum([await prices.call(article) for article in articles])


async def main() -> None:
    async with (
        open_processor(look_up_price) as prices,
        open_processor(bill, resources=prices) as bills,
    ):
        print("apple and pear:", await bills.call(["apple", "pear"]))

        try:
            await bills.call(["apple", "moon"])
        except JobFailed as failed:
            print("apple and moon:", failed.error.type_name)
            error: BaseException = failed
            while error.__cause__ is not None:
                error = error.__cause__
                print("  because of", type(error).__name__)

        with prices.subscribe() as answers:
            start = trio.current_time()
            try:
                with trio.fail_after(3):
                    await bills.call(["apple", "pear", "apple"])
            except trio.TooSlowError:
                print(f"three articles: given up after {trio.current_time() - start:g} seconds")
            print("  the first price:", (await answers.receive()).unwrap())
            second = await answers.receive()
            assert isinstance(second, Aborted)
            print(f"  the second: stopped after {second.ran:g} second, and the third was never asked for")
        print("still running:", bills.statistics().running, "bills,", prices.statistics().running, "prices")


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
