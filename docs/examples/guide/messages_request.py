import trio

from trio_jobs import Request, job, open_processor


@job
async def double(number: int) -> int:
    return 2 * number


async def main() -> None:
    async with open_processor(double) as processor:
        with processor.subscribe() as responses:
            async with processor.request_sender() as sender:
                await sender.send(Request(21, id="r1", key="numbers", priority=5))
            response = await responses.receive()
    print(response.id, response.unwrap(), f"attempt {response.attempt}")


trio.run(main)
