import trio

from trio_jobs import BroadcastSender, open_broadcast_channel


async def main() -> None:
    prices: BroadcastSender[int] = open_broadcast_channel(10)
    for price in range(4):
        await prices.send(price)
    with prices.subscribe(replay=2) as late:
        await prices.send(4)
        print(await late.receive_many())

    prices.close()
    with prices.subscribe(replay=1) as later:
        print([price async for price in later])


trio.run(main)
