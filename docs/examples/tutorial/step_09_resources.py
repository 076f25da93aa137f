import hashlib
from pathlib import Path

import trio

from trio_jobs import PerWorker, open_processor, thread_job

buffers: list[bytearray] = []


def make_buffer() -> bytearray:
    buffers.append(bytearray(1 << 20))
    return buffers[-1]


@thread_job(max_threads=2)
def checksum(path: Path, buffer: bytearray) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            trio.from_thread.check_cancelled()
            digest.update(memoryview(buffer)[:size])
    return digest.hexdigest()[:8]


LETTERS = Path(__file__).with_name("letters")


async def main() -> None:
    async with open_processor(checksum, resources=PerWorker(make_buffer), concurrency=2) as processor:
        async with processor.map(sorted(LETTERS.iterdir()), ordered=True) as responses:
            print(*[response.unwrap() async for response in responses])
    print(len(buffers), "buffers for", processor.statistics().succeeded, "files")


trio.run(main)
