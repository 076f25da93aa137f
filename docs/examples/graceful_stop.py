"""A service that stops when it is told to: what can end in time ends, the rest is handed back and named.

It sends the signal to itself, as a service manager would, and runs in virtual time, so the grace takes none.
"""

import signal

import trio
from trio.testing import MockClock

from trio_jobs import Processor, Request, Succeeded, job, open_processor


@job
async def convert(seconds: float) -> float:
    """A film takes as long to convert as it takes to watch."""
    await trio.sleep(seconds)
    return seconds


async def wait_for_signal() -> str:
    """The name of the first that arrives; a second one ends the program at once, as it would without this."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        return signal.Signals(await anext(signals)).name


async def log_answers(processor: Processor[float, float, object]) -> None:
    """Until the processor ends, for whatever reason."""
    with processor.subscribe() as answers:
        async for answer in answers:
            if isinstance(answer, Succeeded):
                print(f"{trio.current_time():g} s: {answer.id} is converted")


async def send_films(processor: Processor[float, float, object]) -> None:
    async with processor.request_sender() as films:
        await films.send(Request(3, id="trailer"))
        await films.send(Request(90, id="opera"))
        await films.send(Request(4, id="cartoon"))
        await films.send(Request(1, id="credits"))
    await trio.sleep(4)
    signal.raise_signal(signal.SIGTERM)


async def main() -> None:
    async with trio.open_nursery() as nursery, open_processor(convert, concurrency=2) as processor:
        nursery.start_soon(log_answers, processor)
        nursery.start_soon(send_films, processor)
        name = await wait_for_signal()
        print(f"{trio.current_time():g} s: {name}, nothing new starts, what runs has 5 seconds")
        report = await processor.drain(grace=5)
    print(f"{trio.current_time():g} s: stopped")
    print("handed back:", *report.handed_back)
    print("never started:", *report.waiting)


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
