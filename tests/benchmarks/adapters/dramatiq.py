"""dramatiq: background tasks in threads; its stub broker and its stub results, both in memory.

One thread cannot wait for many of its answers at a time: so a burst of ``in_flight`` is sent, and then waited for.
"""

from __future__ import annotations

import time
from typing import Any

from ..harness import Case
from .driving import find


def give_back(body: int) -> int:
    """Return at once, in a thread."""
    return body


NAME = "dramatiq, StubBroker, threads"


def case(in_flight: int, workers: int) -> Case:
    """Bursts of calls."""
    dramatiq: Any = find("dramatiq")
    stub = find("dramatiq.brokers.stub")
    results = find("dramatiq.results")
    backend = find("dramatiq.results.backends").StubBackend()

    def measure(calls: int) -> float:
        broker = stub.StubBroker()
        broker.add_middleware(results.Results(backend=backend))
        broker.emit_after("process_boot")
        actor = dramatiq.Actor(
            give_back,
            broker=broker,
            actor_name="give_back",
            queue_name="default",
            priority=0,
            options={"store_results": True},
        )
        broker.declare_actor(actor)
        worker = dramatiq.Worker(broker, worker_threads=workers, worker_timeout=100)
        worker.start()
        try:
            start = time.process_time()
            for first in range(0, calls, in_flight):
                sent = [actor.send(number) for number in range(first, first + in_flight)]
                for message in sent:
                    message.get_result(backend=backend, block=True, timeout=10_000)
            return (time.process_time() - start) * calls / (-(-calls // in_flight) * in_flight)
        finally:
            worker.stop()
            broker.close()

    return measure
