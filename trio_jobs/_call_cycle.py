"""Whether a call can ever start: who holds the slots it waits for, and whom do they wait for?

Only calls that jobs make are looked at, and only when the processor they call has no free slot. A
processor that is merely busy has at least one job that waits for nobody, and then nothing is wrong.

What is certain is derived from what is certain, from the target backwards: a job waits for the target
if one of its calls does; a call does if its job does, or if all jobs in the slots that it waits for do.
Each job and each processor is looked at once, and without recursion: jobs may call a thousand deep.
"""

from __future__ import annotations

import attrs

from ._memory import Caller, Consumer


def find_call_cycle(target: Consumer) -> tuple[str, ...] | None:
    """The processors along a cycle, if all jobs in ``target``'s slots wait for a slot there.

    Names, in the order of the calls, from the target to the target; None if there is no such cycle.
    """
    holders = target.slot_holders()
    if not holders or not all(holder.calls for holder in holders):
        return None
    return _Search(target).find()


@attrs.define(eq=False)
class _Wait:
    """That a job, or all jobs in the slots of a processor, wait for the target."""

    processor: str | None = None
    """The name, if it is said of a processor."""
    missing: int = 1
    """How many others have still to be true before it is."""
    so: list[_Wait] = attrs.field(factory=list["_Wait"])
    """What depends on it."""
    because: _Wait | None = None
    """What made it true in the end."""


class _Search:
    def __init__(self, target: Consumer) -> None:
        self._target = target
        self._call_to_target = _Wait(target.name)
        self._jobs: dict[int, _Wait] = {}
        self._processors: dict[int, _Wait] = {}
        self._to_visit: list[Caller] = []

    def find(self) -> tuple[str, ...] | None:
        """The names along the cycle, if there is one."""
        all_wait = self._wait_of_slots(self._target)
        while self._to_visit:
            caller = self._to_visit.pop()
            for request_id, callee in caller.calls.items():
                self._wait_of_call(request_id, callee).so.append(self._jobs[id(caller)])
        self._conclude()
        return None if all_wait.because is None else _names(all_wait)

    def _wait_of_call(self, request_id: str, callee: Consumer) -> _Wait:
        runner = callee.runner_of(request_id)
        if runner is not None:
            wait = _Wait(callee.name)
            self._wait_of_job(runner).so.append(wait)
            return wait
        if callee.has_ended(request_id):
            return _Wait()  # nothing makes it true
        if callee is self._target:
            return self._call_to_target
        return self._wait_of_slots(callee)

    def _wait_of_slots(self, consumer: Consumer) -> _Wait:
        wait = self._processors.get(id(consumer))
        if wait is None:
            holders = consumer.slot_holders() or ()
            wait = self._processors[id(consumer)] = _Wait(consumer.name, missing=len(holders))
            for holder in holders:
                self._wait_of_job(holder).so.append(wait)
        return wait

    def _wait_of_job(self, caller: Caller) -> _Wait:
        wait = self._jobs.get(id(caller))
        if wait is None:
            wait = self._jobs[id(caller)] = _Wait()
            self._to_visit.append(caller)
        return wait

    def _conclude(self) -> None:
        """Make true whatever follows from a call to the target."""
        true = [self._call_to_target]
        for wait in true:
            for after in wait.so:
                after.missing -= 1
                if after.missing == 0:
                    after.because = wait
                    true.append(after)


def _names(wait: _Wait) -> tuple[str, ...]:
    """The processors on the way from ``wait`` to the target, from where it leaves the target last."""
    names: list[str] = []
    reason: _Wait | None = wait
    while reason is not None:
        if reason.processor is not None:
            names.append(reason.processor)
        reason = reason.because
    target = names.pop()
    last = len(names) - 1 - names[::-1].index(target)
    return (*names[last:], target)
