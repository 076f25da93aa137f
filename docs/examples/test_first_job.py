import pytest
import trio
from first_job import track

from trio_jobs import open_processor


async def test_a_parcel_is_given_up_after_an_hour(autojump_clock: object) -> None:
    async with open_processor(track, resources={"A1"}) as processor:
        start = trio.current_time()
        with pytest.raises(trio.TooSlowError):
            await processor.call("B2", time_limit=3600)

        assert trio.current_time() - start == 3600
