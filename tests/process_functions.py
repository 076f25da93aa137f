"""Functions that worker processes find by their names, for tests/test_process_job.py; quick to import."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from trio_jobs import process_job


@process_job
def double(number: int) -> int:
    """Twice the number."""
    return number * 2


@process_job(name="scale", max_processes=1)
def scaled(number: int, factor: int) -> tuple[int, int]:
    """The number, scaled by the resources, and where."""
    return number * factor, os.getpid()


def plain(number: int) -> int:
    return number * 3


renamed = process_job(plain)


class Group:
    """Functions may be grouped."""

    @staticmethod
    @process_job
    def halve(number: int) -> float:
        return number / 2


@process_job
def fail(message: str) -> None:
    raise ValueError(message)  # pragma: no cover  # only a worker process does


@process_job
def die(code: int) -> None:
    os._exit(code)  # pragma: no cover  # nobody is left to count it


@process_job
def return_what_cannot_be_pickled(_: object) -> Callable[[], Any]:
    return lambda: None  # pragma: no cover  # only a worker process does


@process_job(max_processes=1)
def spin(port: int) -> None:
    """Say which process this is, then go on for ever."""
    with socket.create_connection(("127.0.0.1", port)) as connection:  # pragma: no cover  # it is killed in here
        connection.sendall(str(os.getpid()).encode())
        while True:
            pass  # pragma: no cover  # the same
