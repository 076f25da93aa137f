from contextvars import ContextVar

import trio

from trio_jobs import JobFailed, job, open_processor

language = ContextVar("language", default="en")
kept: list[trio.Cancelled] = []


async def keep_a_cancelled() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            kept.append(cancelled)
            raise


@job
async def misbehave(how: str) -> str:
    if how == "sets":
        language.set("fr")
    if how == "exits":
        raise SystemExit(1)
    if how == "raises a kept Cancelled":
        raise kept[0]
    return language.get()


async def main() -> None:
    await keep_a_cancelled()
    async with open_processor(misbehave, concurrency=1) as processor:
        for how in ("sets", "reads", "exits", "raises a kept Cancelled", "reads"):
            try:
                print(how, "->", await processor.call(how))
            except JobFailed as failed:
                print(how, "->", failed.error)


trio.run(main)
