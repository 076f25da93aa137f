import hashlib
from pathlib import Path

import trio

from trio_jobs import Progress, open_processor, report, thread_job


@thread_job(max_threads=4)
def checksum(path: Path) -> str:
    digest = hashlib.sha256()
    done, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while piece := file.read(10):  # so small that there is something to see
            trio.from_thread.check_cancelled()
            digest.update(piece)
            done += len(piece)
            trio.from_thread.run(report, f"{done} of {size} bytes")
    return digest.hexdigest()[:8]


LETTERS = Path(__file__).with_name("letters")


async def main() -> None:
    async with open_processor(checksum, concurrency=4) as processor:
        with processor.subscribe(progress=True) as news:
            submission = await processor.submit(LETTERS / "may.txt")
            async for item in news:
                if not isinstance(item, Progress):
                    break
                print(item.body)
        print((await submission.wait()).unwrap())


trio.run(main)
