"""A job that tells how far it is, one who watches it, and a subscriber who is not bothered with that.

In virtual time, so that the program takes none.
"""

import trio
from trio.testing import MockClock

from trio_jobs import BroadcastReceiver, Response, Submission, job, open_processor, report


@job
async def count_words(chapters: list[str]) -> int:
    """Read a book, a chapter an hour, and report after each."""
    words = 0
    for number, chapter in enumerate(chapters, start=1):
        await trio.sleep(3600)
        words += len(chapter.split())
        await report(number / len(chapters))
    return words


async def watch(submission: Submission[int]) -> None:
    """What this one job reports of itself; the channel ends when the job does."""
    with submission.progress() as steps:
        async for step in steps:
            print(f"progress: {step.body:.0%}")
    print("the book has", (await submission.wait()).unwrap(), "words")


async def keep(answers: BroadcastReceiver[Response[int]], kept: list[int]) -> None:
    """A plain subscription: answers, and nothing else."""
    with answers:
        kept += [answer.unwrap() async for answer in answers]


async def main() -> None:
    kept: list[int] = []
    async with trio.open_nursery() as nursery:
        async with open_processor(count_words) as processor:
            nursery.start_soon(keep, processor.subscribe(), kept)
            book = ["Call me Ishmael.", "Some years ago", "never mind how long precisely", "I went to sea"]
            await watch(await processor.submit(book, progress=True))
    print("the subscriber received", kept)


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
