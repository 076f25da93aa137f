import trio

from trio_jobs import Request, RequestReceiver, open_request_channel


async def handle(receiver: RequestReceiver[str]) -> None:
    async for request in receiver:
        print(request.id, request.body, f"attempt {request.attempt}")
        if request.body == "unreadable":
            await receiver.reject(request, "it cannot be read")
        elif request.attempt == 1:
            await receiver.release(request, charge=True)
        else:
            await receiver.ack(request)


async def main() -> None:
    sender, receiver = open_request_channel(10)
    async with sender:
        await sender.send(Request("a letter", id="r1"))
        await sender.send(Request("unreadable", id="r2"))
    with receiver:
        await handle(receiver)
        for letter in receiver.dead_letters():
            print("dead:", letter.request.id, letter.reason)


trio.run(main)
