import trio

from trio_jobs import Failed, job, open_processor


@job
async def parse(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise LookupError("no number in it") from error


async def main() -> None:
    async with open_processor(parse) as processor:
        submission = await processor.submit("tea")
        response = await submission.wait()
        assert isinstance(response, Failed)
        error = response.error
        print(error.type_name, "|", error.message, "|", error.frames[-1].function)
        print("cause:", error.cause)
        (letter,) = processor.dead_letters()
        print("dead letter:", letter.request.body, "|", letter.reason)


trio.run(main)
