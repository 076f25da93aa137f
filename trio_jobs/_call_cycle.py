"""Whether a call can ever start: who holds the slots it waits for, and whom do they wait for?

Only calls that jobs make are looked at, and only when the processor they call has no free slot. A processor that is merely
busy has at least one job that waits for nobody, and then nothing is wrong.
"""

from __future__ import annotations

from ._memory import Caller, Consumer


def find_call_cycle(target: Consumer) -> tuple[str, ...] | None:
    """The names of the processors along a cycle if every job in ``target``'s slots waits for a slot there; else None."""
    return _Search(target).all_wait(target)


class _Search:
    def __init__(self, target: Consumer) -> None:
        self._target = target
        self._known: dict[int, tuple[str, ...] | None] = {}

    def all_wait(self, consumer: Consumer) -> tuple[str, ...] | None:
        """If all slots are held by jobs that wait for the target: the way from ``consumer`` to it."""
        holders = consumer.slot_holders()
        if holders is None:
            return None
        ways = [self._waits(holder) for holder in holders]
        first = ways[0] if ways else None
        if first is None or None in ways:
            return None
        return (consumer.name, *first)

    def _waits(self, caller: Caller) -> tuple[str, ...] | None:
        """The way from what ``caller`` waits for to the target, or None if it does not wait for it."""
        key = id(caller)
        if key not in self._known:
            self._known[key] = None  # met again while this is being found out, it leads nowhere new
            ways = (self._way(request_id, callee) for request_id, callee in caller.calls.items())
            self._known[key] = next((way for way in ways if way is not None), None)
        return self._known[key]

    def _way(self, request_id: str, callee: Consumer) -> tuple[str, ...] | None:
        runner = callee.runner_of(request_id)
        if runner is not None:
            way = self._waits(runner)
            return None if way is None else (callee.name, *way)
        if callee.has_ended(request_id):
            return None
        if callee is self._target:
            return (callee.name,)
        return self.all_wait(callee)
