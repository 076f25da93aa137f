import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import ProcessorState, job, open_processor


@job
async def remote_checksum(seconds: float) -> str:
    await trio.sleep(seconds)
    return "d2b4ccf2"


async def test_a_stop_answers_what_ends_within_the_grace(autojump_clock: object) -> None:
    """The quick one is answered at two seconds, the slow one is handed back at thirty."""
    async with open_processor(remote_checksum) as processor:
        quick = await processor.submit(2)
        slow = await processor.submit(600)
        await wait_all_tasks_blocked()
        report = await processor.drain(grace=30)

        assert (await quick.wait()).unwrap() == "d2b4ccf2"
        assert report.handed_back == (slow.id,)
        assert trio.current_time() == 30

    assert processor.state.value is ProcessorState.STOPPED
