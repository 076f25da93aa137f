import trio

from trio_jobs import BroadcastSender, open_broadcast_channel


async def main() -> None:
    prices: BroadcastSender[int] = open_broadcast_channel(10)
    with prices.subscribe() as receiver:
        await prices.send(1)
        prices.fail(OSError("the exchange is closed"))
        try:
            async for price in receiver:
                print(price)
        except trio.BrokenResourceError as broken:
            print(repr(broken.__cause__))


trio.run(main)
