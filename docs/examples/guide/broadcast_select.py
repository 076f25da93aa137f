import trio

from trio_jobs import BroadcastSender, Request, open_broadcast_channel


def is_cheap(price: int) -> bool:
    return price < 2


async def main() -> None:
    prices: BroadcastSender[int] = open_broadcast_channel(2)
    with prices.subscribe(select=is_cheap) as cheap:
        for price in (1, 9, 9, 9, 9, 0):  # four are not for it, and nobody waits
            await prices.send(price)
        print(await cheap.receive_many())

    messages: BroadcastSender[Request[str]] = open_broadcast_channel(2)
    with messages.subscribe(ids=["b", "c"]) as chosen:
        for name in "abcd":
            await messages.send(Request(name.upper(), id=name))
        print([message.body for message in await chosen.receive_many()])


trio.run(main)
