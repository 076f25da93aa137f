from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count

import trio
from trio.testing import MockClock


@dataclass(frozen=True)
class Request:
    id: int
    body: str


@dataclass(frozen=True)
class Response:
    id: int
    value: str | None = None
    error: Exception | None = None


class Service:
    def __init__(self, work: Callable[[str], Awaitable[str]], *, workers: int, time_limit: float) -> None:
        self._work = work
        self._workers = workers
        self._time_limit = time_limit
        self._send_request, self._receive_request = trio.open_memory_channel[Request](64)
        self._subscribers: list[trio.MemorySendChannel[Response]] = []
        self._answered: dict[int, trio.Event] = {}
        self._answers: dict[int, Response] = {}
        self._scopes: dict[int, trio.CancelScope] = {}
        self._ids = count(1)
        self._ended = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as self._nursery:
            for _ in range(self._workers):
                self._nursery.start_soon(self._work_on_requests, self._receive_request.clone())
            self._receive_request.close()
            task_status.started()
        for subscriber in self._subscribers:
            subscriber.close()
        self._ended.set()

    async def _work_on_requests(self, requests: trio.MemoryReceiveChannel[Request]) -> None:
        async with requests:
            async for request in requests:
                response = Response(request.id, error=trio.TooSlowError())
                with trio.move_on_after(self._time_limit) as self._scopes[request.id]:
                    try:
                        response = Response(request.id, value=await self._work(request.body))
                    except Exception as error:
                        response = Response(request.id, error=error)
                del self._scopes[request.id]
                await self._publish(response)

    async def _publish(self, response: Response) -> None:
        for subscriber in list(self._subscribers):
            try:
                await subscriber.send(response)
            except trio.BrokenResourceError:
                self._subscribers.remove(subscriber)
        if response.id in self._answered:
            self._answers[response.id] = response
            self._answered[response.id].set()

    def subscribe(self) -> trio.MemoryReceiveChannel[Response]:
        send, receive = trio.open_memory_channel[Response](64)
        self._subscribers.append(send)
        return receive

    async def call(self, body: str) -> str:
        request = Request(next(self._ids), body)
        self._answered[request.id] = trio.Event()
        try:
            await self._send_request.send(request)
            await self._answered[request.id].wait()
            response = self._answers[request.id]
        except trio.Cancelled:
            if request.id in self._scopes:
                self._scopes[request.id].cancel()
            raise
        finally:
            del self._answered[request.id]
            self._answers.pop(request.id, None)
        if response.error is not None:
            raise response.error
        assert response.value is not None
        return response.value

    async def stop(self, grace: float) -> None:
        self._send_request.close()
        with trio.move_on_after(grace):
            await self._ended.wait()
        self._nursery.cancel_scope.cancel()
        await self._ended.wait()


# --- what it is for


SECONDS = {"tea": 3, "stew": 600, "cake": 40}


async def cook(dish: str) -> str:
    await trio.sleep(SECONDS[dish])
    return f"{dish} is ready"


async def order(service: Service, dish: str) -> None:
    try:
        print(await service.call(dish))
    except trio.TooSlowError:
        print(f"no {dish}: too slow")
    except Exception as error:
        print(f"no {dish}: {type(error).__name__}")


async def count_responses(responses: trio.MemoryReceiveChannel[Response]) -> None:
    async with responses:
        print(len([response async for response in responses]), "responses")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        service = Service(cook, workers=4, time_limit=60)
        await nursery.start(service.run)
        nursery.start_soon(count_responses, service.subscribe())
        for dish in ("tea", "stone", "stew"):
            await order(service, dish)
        nursery.start_soon(order, service, "cake")
        await trio.sleep(1)
        await service.stop(grace=50)
    print("stopped at", trio.current_time())


trio.run(main, clock=MockClock(autojump_threshold=0))
