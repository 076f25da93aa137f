import hashlib
from pathlib import Path

import trio

from trio_jobs import Aborted, Failed, JobFailed, Succeeded, job, open_processor


@job
async def checksum(path: Path) -> str:
    data = await trio.Path(path).read_bytes()
    return hashlib.sha256(data).hexdigest()[:8]


LETTERS = Path(__file__).with_name("letters")


async def main() -> None:
    async with open_processor(checksum, concurrency=4) as processor:
        paths = [LETTERS / "may.txt", LETTERS / "august.txt", LETTERS / "june.txt"]
        async with processor.map(paths, ordered=True) as responses:
            for path in paths:
                match await responses.receive():
                    case Succeeded(digest):
                        print(path.name, digest)
                    case Failed(error):
                        print(path.name, error.type_name)
                    case Aborted(reason):
                        print(path.name, reason.value)

        try:
            await processor.call(LETTERS / "august.txt")
        except JobFailed as failed:
            print("call raised", type(failed).__name__, "from", type(failed.__cause__).__name__)

        letters = processor.dead_letters()
        print(len(letters), "dead letters, the last for", letters[-1].request.body.name)


trio.run(main)
