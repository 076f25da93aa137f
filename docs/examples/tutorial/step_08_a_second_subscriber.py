import hashlib
from pathlib import Path

import trio

from trio_jobs import BroadcastReceiver, Overflow, Response, Succeeded, open_processor, thread_job


@thread_job(max_threads=4)
def checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            trio.from_thread.check_cancelled()
            digest.update(piece)
    return digest.hexdigest()[:8]


LETTERS = Path(__file__).with_name("letters")


async def count(responses: BroadcastReceiver[Response[str]]) -> None:
    """Knows nothing of who asked for what."""
    good = bad = 0
    with responses:
        async for response in responses:
            if isinstance(response, Succeeded):
                good += 1
            else:
                bad += 1
    print(good, "succeeded,", bad, "did not")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        async with open_processor(checksum, concurrency=4) as processor:
            nursery.start_soon(count, processor.subscribe(overflow=Overflow.BLOCK))
            paths = [*sorted(LETTERS.iterdir()), LETTERS / "august.txt"]
            async with processor.map(paths, ordered=True) as responses:
                async for response in responses:
                    print(response.unwrap() if isinstance(response, Succeeded) else "-")


trio.run(main)
