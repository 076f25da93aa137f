import trio

from trio_jobs import BroadcastSender, open_broadcast_channel


async def main() -> None:
    prices: BroadcastSender[int] = open_broadcast_channel(10)
    with prices.subscribe() as one:
        for price in range(3):
            await prices.send(price)
        await one.receive()
        with one.fork() as other:
            print(await one.receive_many(), await other.receive_many())


trio.run(main)
