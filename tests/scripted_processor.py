"""A processor as seen by the channel that feeds it, and by who looks for call cycles; none of its jobs really runs."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from trio_jobs._memory import Caller, Consumer
from trio_jobs._message import AbortReason, Request


@attrs.define(eq=False)
class ScriptedJob:
    """A job that holds a slot, and what it waits for."""

    calls: dict[str, Consumer] = attrs.field(factory=dict[str, Consumer])


@attrs.define(eq=False)
class ScriptedProcessor:
    """A processor with ``slots``, of which ``jobs`` hold some; it remembers what it was told and asked."""

    name: str = "scripted"
    slots: int = 1
    jobs: dict[str, ScriptedJob] = attrs.field(factory=dict[str, ScriptedJob])
    ended: set[str] = attrs.field(factory=set[str])
    arrived: list[str] = attrs.field(factory=list[str])
    cancelled: list[tuple[str, AbortReason, float]] = attrs.field(factory=list[tuple[str, AbortReason, float]])
    times_looked_at: int = 0

    def run(self, request_id: str) -> ScriptedJob:
        """Have a new job run for the request."""
        return self.jobs.setdefault(request_id, ScriptedJob())

    def request_arrived(self, request: Request[object], now: float) -> None:
        self.arrived.append(request.id)

    def cancel_request(self, request: Request[object], reason: AbortReason, since: float) -> bool:
        self.cancelled.append((request.id, reason, since))
        return request.id in self.jobs

    def slot_holders(self) -> Collection[Caller] | None:
        self.times_looked_at += 1
        return None if len(self.jobs) < self.slots else self.jobs.values()

    def runner_of(self, request_id: str) -> Caller | None:
        return self.jobs.get(request_id)

    def has_ended(self, request_id: str) -> bool:
        return request_id in self.ended


def running(*request_ids: str) -> ScriptedProcessor:
    """One that runs jobs for these requests."""
    return ScriptedProcessor(jobs={request_id: ScriptedJob() for request_id in request_ids})
