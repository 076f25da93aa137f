import hashlib
from collections import defaultdict
from pathlib import Path

import trio

from trio_jobs import job, open_processor


@job
async def checksum(path: Path) -> str:
    data = await trio.Path(path).read_bytes()
    return hashlib.sha256(data).hexdigest()[:8]


LETTERS = Path(__file__).with_name("letters")


async def main() -> None:
    paths = sorted(LETTERS.iterdir())
    files: defaultdict[str, list[str]] = defaultdict(list)
    async with open_processor(checksum, concurrency=4) as processor:
        async with processor.map(paths, max_in_flight=8, ordered=True) as responses:
            for path in paths:
                response = await responses.receive()
                files[response.unwrap()].append(path.name)
    for digest, names in files.items():
        print(digest, *names)


trio.run(main)
