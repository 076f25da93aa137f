import trio

from trio_jobs import MISS, Job, open_processor
from trio_jobs.types import Miss


class Power(Job[int, int, object]):
    def __init__(self, exponent: int) -> None:
        self.exponent = exponent
        self.known: dict[int, int] = {}

    async def run(self, request: int, resources: object) -> int:
        print(f"works out {request} to the power of {self.exponent}")
        self.known[request] = request**self.exponent
        return self.known[request]

    async def get_cached(self, request: int, resources: object) -> int | Miss:
        return self.known.get(request, MISS)


async def main() -> None:
    async with open_processor(Power(3)) as processor:
        print(await processor.call(2))
        print(await processor.call(2))


trio.run(main)
