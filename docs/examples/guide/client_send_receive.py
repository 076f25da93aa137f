import trio

from trio_jobs import job, open_processor, send_receive


@job
async def double(number: int) -> int:
    return 2 * number


async def main() -> None:
    async with open_processor(double) as processor, processor.request_sender() as sender:
        print(await send_receive(sender, processor, 21))


trio.run(main)
