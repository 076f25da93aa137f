import hashlib
from pathlib import Path

import trio

from trio_jobs import open_processor, thread_job


@thread_job(max_threads=4)
def checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            trio.from_thread.check_cancelled()
            digest.update(piece)
    return digest.hexdigest()[:8]


LETTERS = Path(__file__).with_name("letters")


async def main() -> None:
    async with open_processor(checksum, concurrency=4) as processor:
        print(await processor.call(LETTERS / "may.txt"))


trio.run(main)
