import trio

from trio_jobs import job, open_processor


@job
async def track(parcel: str, depot: set[str]) -> str:
    while True:
        if parcel in depot:
            return f"{parcel} has arrived"
        await trio.sleep(60)


async def main() -> None:
    async with open_processor(track, resources={"A1", "B2"}) as processor:
        print(await processor.call("B2", time_limit=3600))


if __name__ == "__main__":
    trio.run(main)
