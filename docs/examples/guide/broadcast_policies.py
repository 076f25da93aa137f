import trio

from trio_jobs import BroadcastSender, Disconnected, Lagged, Overflow, open_broadcast_channel


async def main() -> None:
    prices: BroadcastSender[int] = open_broadcast_channel(2)
    drops = prices.subscribe(overflow=Overflow.DROP_OLDEST)
    disconnects = prices.subscribe(overflow=Overflow.DISCONNECT)
    with drops, disconnects:
        for price in range(5):
            await prices.send(price)

        try:
            await drops.receive()
        except Lagged as lagged:
            print("skipped", lagged.skipped, "then", await drops.receive_many())

        try:
            await disconnects.receive()
        except Disconnected:
            print("cut off")

    with prices.subscribe(overflow=Overflow.BLOCK):
        await prices.send(5)
        await prices.send(6)
        try:
            prices.send_nowait(7)
        except trio.WouldBlock:
            print("send waits")


trio.run(main)
