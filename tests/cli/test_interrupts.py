"""The first signal asks, the second cancels, the third ends the process."""

from __future__ import annotations

import signal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs.cli._interrupts import open_interrupts


async def test_each_signal_counts_also_two_at_once() -> None:
    """Whoever waits for the second is woken although nothing ran in between."""
    with open_interrupts(lambda: None) as interrupts:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        await interrupts.wait(2)

    assert interrupts.first is signal.SIGTERM


async def test_waiting_goes_on_until_there_are_enough() -> None:
    """One signal does not wake who waits for two."""
    async with trio.open_nursery() as nursery:
        with open_interrupts(lambda: None) as interrupts:
            nursery.start_soon(interrupts.wait, 2)
            signal.raise_signal(signal.SIGINT)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            signal.raise_signal(signal.SIGINT)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 0


async def test_the_third_ends_the_process_by_that_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last thing that had to be done; nothing waits for Trio's loop."""
    done: list[object] = []
    with open_interrupts(lambda: done.append("last thing")):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        really_raise = signal.raise_signal

        def instead(number: int) -> None:
            done.append(signal.getsignal(number))

        monkeypatch.setattr(signal, "raise_signal", instead)
        really_raise(signal.SIGTERM)

    assert done == ["last thing", signal.SIG_DFL]


async def test_afterwards_signals_do_what_they_did_before() -> None:
    """A program around it is not disturbed."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    with open_interrupts(lambda: None) as interrupts:
        await trio.lowlevel.checkpoint()

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert interrupts.first is None
