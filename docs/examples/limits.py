"""Two processors that share a scarce thing, and an operator who looks at them, stops them and lets them go on.

In virtual time: every job takes a second, and the program none.
"""

import trio
from trio.testing import MockClock

from trio_jobs import Aborted, Processor, job, open_processor
from trio_jobs.gates import Concurrency


@job
async def copy(file: str) -> None:
    await trio.sleep(1)


@job
async def check(file: str) -> None:
    await trio.sleep(1)


def show(moment: str, *processors: Processor[str, None, object]) -> None:
    print(moment)
    for processor in processors:
        now = processor.statistics()
        print(
            f"  {processor.name:5} {now.state.value:7} running {now.running}/{now.concurrency:g},"
            f" waiting {now.waiting}, succeeded {now.succeeded}, aborted {now.aborted}"
        )


async def main() -> None:
    disk = Concurrency(3)  # one object for both: at most three jobs use the disk
    async with (
        open_processor(copy, concurrency=2, gates=[disk]) as copying,
        open_processor(check, concurrency=2, gates=[disk]) as checking,
    ):
        await trio.sleep(0.5)
        for number in range(6):
            await copying.submit(f"file {number}")
        checks = [await checking.submit(f"file {number}") for number in range(4)]
        await trio.sleep(0.5)
        show("Two files are copied, and the disk has room for one check:", copying, checking)

        copying.pause()
        await trio.sleep(1)
        show("Copying is paused, so that the checks get on:", copying, checking)

        await checking.cancel(checks[-1].id)
        answer = await checks[-1].wait()
        assert isinstance(answer, Aborted)
        show(f"The last check was cancelled by its {answer.reason.value}:", copying, checking)

        copying.resume()
        await trio.sleep(10)
        show("Copying has been resumed, and all is done:", copying, checking)


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
