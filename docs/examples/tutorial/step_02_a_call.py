import hashlib
from pathlib import Path

import trio

from trio_jobs import job, open_processor


@job
async def checksum(path: Path) -> str:
    data = await trio.Path(path).read_bytes()
    return hashlib.sha256(data).hexdigest()[:8]


LETTERS = Path(__file__).with_name("letters")


async def main() -> None:
    async with open_processor(checksum, concurrency=4) as processor:
        print(await processor.call(LETTERS / "may.txt"))


trio.run(main)
