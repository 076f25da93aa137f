import hashlib
import threading

import trio

from trio_jobs import open_processor, thread_job


@thread_job(max_threads=4)
def digest(data: bytes) -> str:
    assert threading.current_thread() is not threading.main_thread()
    hasher = hashlib.sha256()
    for start in range(0, len(data), 1 << 20):
        trio.from_thread.check_cancelled()
        hasher.update(data[start : start + (1 << 20)])
    return hasher.hexdigest()[:8]


async def main() -> None:
    async with open_processor(digest) as processor:
        print(await processor.call(b"tea"))


trio.run(main)
