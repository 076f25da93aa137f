import trio

from trio_jobs import job, open_processor


@job
async def greet(name: str, greetings: dict[str, str]) -> str:
    return f"{greetings[name]}, {name}"


async def main() -> None:
    greetings = {"Ada": "Good morning"}
    print(await greet("Ada", greetings))  # the plain function
    async with open_processor(greet, resources=greetings) as processor:
        print(await processor.call("Ada"))  # the same, as a job


trio.run(main)
