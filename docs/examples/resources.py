"""A pool of database connections: each is used by one job at a time, opened when needed, closed after the last answer.

The job blocks, so it runs in a thread; which one may change, so the connections allow any.
"""

import sqlite3
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from itertools import count
from pathlib import Path

import trio

from trio_jobs import PerWorker, open_processor, thread_job

CITIES = [("Bergen", 286), ("Graz", 291), ("Porto", 231), ("Turku", 195)]


@thread_job
def population(city: str, database: sqlite3.Connection) -> int:
    """How many thousand people live there."""
    (thousands,) = database.execute("SELECT thousands FROM cities WHERE name = ?", [city]).fetchone()
    return int(thousands)


@asynccontextmanager
async def open_database(path: Path, numbers: Iterator[int]) -> AsyncGenerator[sqlite3.Connection]:
    """One connection; the code around the yield runs once for each."""
    number = next(numbers)
    with closing(sqlite3.connect(path, check_same_thread=False)) as database:
        print("opened connection", number)
        yield database
    print("closed connection", number)


async def ask(path: Path) -> None:
    names = [name for name, _ in CITIES]
    databases = PerWorker(partial(open_database, path, count(1)))
    async with open_processor(population, resources=databases, concurrency=2) as processor:
        async with processor.map(names, ordered=True) as responses:
            answers = [response.unwrap() async for response in responses]
        for name, thousands in zip(names, answers, strict=True):
            print(f"{name:8}{thousands},000")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cities.db")
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE cities (name TEXT, thousands INTEGER)")
            database.executemany("INSERT INTO cities VALUES (?, ?)", CITIES)
        trio.run(ask, path)


if __name__ == "__main__":
    main()
