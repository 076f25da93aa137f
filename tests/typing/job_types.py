"""What type checkers see of jobs. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, assert_type

from trio_jobs import MISS, Job, PerWorker, Processor, Shared, job, open_processor, process_job, thread_job
from trio_jobs._job import Miss
from trio_jobs._resources import Pool, open_resources


class Store:
    """Some resources."""


@job
async def plain(path: str) -> bytes:
    return path.encode()


@job
async def with_store(path: str, store: Store) -> bytes:
    return path.encode()


@job
async def with_option(path: str, *, size: int = 3) -> bytes:
    return path.encode()


@job
async def with_store_and_option(path: str, store: Store, size: int = 3) -> bytes:
    return path.encode()


@job(name="named")
async def named(path: str) -> bytes:
    return path.encode()


@job(name="named")
async def named_with_store(path: str, store: Store) -> bytes:
    return path.encode()


class Renderer:
    async def render(self, path: str) -> bytes:
        return path.encode()


class Cached(Job[str, bytes, Store]):
    async def run(self, request: str, resources: Store) -> bytes:
        return request.encode()

    async def get_cached(self, request: str, resources: Store) -> bytes | Miss:
        return MISS


def accept(any_job: Job[str, bytes, Store]) -> None: ...


def accept_object(any_job: Job[str, object, Store]) -> None: ...


async def calls(store: Store) -> None:
    assert_type(await plain("a"), bytes)
    coroutine = assert_type(plain("a"), Coroutine[Any, Any, bytes])
    await coroutine
    assert_type(await plain.run("a", None), bytes)
    assert_type(await with_store("a", store), bytes)
    assert_type(await with_store.run("a", store), bytes)
    assert_type(await with_option("a", size=4), bytes)
    assert_type(await with_store_and_option("a", store, 4), bytes)
    assert_type(await with_store_and_option("a", store, size=4), bytes)
    assert_type(await named("a"), bytes)
    assert_type(await named_with_store("a", store), bytes)
    assert_type(await job(Renderer().render)("a"), bytes)
    assert_type(plain.name, str)


async def mistakes(store: Store) -> None:
    await plain(1)  # type: ignore[arg-type]  # the wrong type of request
    await plain("a", store)  # type: ignore[call-arg]  # it takes no resources
    await with_store("a")  # type: ignore[call-arg]  # it takes resources
    await with_store("a", "b")  # type: ignore[arg-type]  # the wrong resources
    await with_store.run("a", None)  # type: ignore[arg-type]  # the wrong resources
    await with_option("a", size="b")  # type: ignore[arg-type]  # the wrong option
    accept(with_resources_of_another_type)  # type: ignore[arg-type]  # the wrong job


@job
async def with_resources_of_another_type(path: str, number: int) -> bytes:
    return path.encode()


def where_jobs_are_expected() -> None:
    accept(plain)  # it takes any resources
    accept(with_store)
    accept(with_option)
    accept(with_store_and_option)
    accept(job(Renderer().render))
    accept(Cached())
    accept_object(with_store)  # a bytes is an object


async def the_sentinel_narrows(cached: Cached, store: Store) -> None:
    found = await cached.get_cached("a", store)
    if found is MISS:
        assert_type(found, Literal[Miss.MISS])
    else:
        assert_type(found, bytes)


@asynccontextmanager
async def open_store() -> AsyncGenerator[Store]:
    yield Store()


async def resources_have_the_type_of_their_instances() -> None:
    assert_type(Shared(Store), Shared[Store])
    assert_type(Shared(open_store), Shared[Store])
    assert_type(PerWorker(Store), PerWorker[Store])
    assert_type(PerWorker(open_store), PerWorker[Store])
    assert_type(PerWorker(partial(open_store)), PerWorker[Store])
    async with open_resources(PerWorker(open_store)) as pool:
        assert_type(pool, Pool[Store])
        assert_type(await pool.lend(), Store)
    async with open_resources(open_store()) as pool:
        assert_type(pool.value, Store)
    async with open_resources(Store()) as pool:
        assert_type(pool.value, Store)


@thread_job
def in_thread(path: str) -> bytes:
    return path.encode()


@thread_job(max_threads=3)
def in_thread_with_store(path: str, store: Store) -> bytes:
    return path.encode()


@process_job
def in_process(path: str) -> bytes:
    return path.encode()


@process_job(max_processes=3)
def in_process_with_store(path: str, store: Store) -> bytes:
    return path.encode()


async def blocking_functions_stay_what_they_are(store: Store) -> None:
    assert_type(in_thread("a"), bytes)
    assert_type(await in_thread.run("a", None), bytes)
    assert_type(in_thread_with_store("a", store), bytes)
    assert_type(await in_thread_with_store.run("a", store), bytes)
    assert_type(in_process("a"), bytes)
    assert_type(await in_process.run("a", None), bytes)
    assert_type(in_process_with_store("a", store), bytes)
    assert_type(await in_process_with_store.run("a", store), bytes)
    accept(in_thread)
    accept(in_thread_with_store)
    accept(in_process)
    accept(in_process_with_store)
    in_thread(1)  # type: ignore[arg-type]  # the wrong type of request
    await in_process_with_store.run("a", None)  # type: ignore[arg-type]  # the wrong resources


async def a_processor_is_given_the_resources_that_its_job_takes() -> None:
    assert_type(Processor(with_store, resources=Store()), Processor[str, bytes, Store])
    Processor(with_store, resources=open_store())
    Processor(with_store, resources=Shared(open_store))
    Processor(with_store, resources=PerWorker(Store))
    async with open_processor(with_store, resources=open_store()) as processor:
        assert_type(await processor.call("a"), bytes)
    Processor(with_store, resources=3)  # type: ignore[misc]  # the wrong type
    Processor(with_store, resources=open_store)  # type: ignore[misc]  # it is not called
    Processor(with_store, resources=Shared(int))  # type: ignore[arg-type]  # it makes something else
