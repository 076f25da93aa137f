"""Receivers whose handle is collected unclosed: they warn, and hold nobody back, whichever thread collects them."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import Disconnected
from trio_jobs._broadcast import BroadcastReceiver, Overflow

from .shorthand import open_channel


def drop(receivers: list[BroadcastReceiver[Any]]) -> None:
    """Let go of receivers of which there is no other reference."""
    receivers.clear()
    gc.collect()


def test_a_receiver_that_is_dropped_unclosed_warns_and_names_the_mend() -> None:
    """Its fork as well, each for itself."""
    sender = open_channel(1)
    receivers = [sender.subscribe(overflow=Overflow.DROP_OLDEST)]
    sender.send_nowait(0)
    twins = [receivers[0].fork()]

    with pytest.warns(ResourceWarning) as caught:
        drop(receivers)
    assert [str(warning.message) for warning in caught] == [
        "<BroadcastReceiver unread=1 overflow=DROP_OLDEST> was dropped without being closed: "
        "use `with sender.subscribe() as receiver:`, or close()"
    ]
    assert sender.statistics().open_receive_channels == 1

    with pytest.warns(ResourceWarning):
        drop(twins)
    assert sender.statistics().open_receive_channels == 0


def test_a_closed_receiver_does_not_warn() -> None:
    """Warnings are errors here."""
    receivers = [open_channel(1).subscribe()]
    receivers[0].close()

    drop(receivers)


def test_a_receiver_that_has_read_everything_does_not_warn() -> None:
    """Whatever the end was: of the channel, or its own. It does not count as a receiver any more either."""

    def fail(_: object) -> bool:
        raise ValueError

    sender = open_channel(1)
    ended = sender.subscribe()
    cut = sender.subscribe(overflow=Overflow.DISCONNECT)
    broken = sender.subscribe(select=fail)
    sender.send_nowait(0)
    assert ended.receive_nowait() == 0
    sender.send_nowait(1)
    assert ended.receive_nowait() == 1
    with pytest.raises(Disconnected):
        cut.receive_nowait()
    del cut, broken
    gc.collect()
    sender.close()
    del ended
    gc.collect()

    assert sender.statistics().open_receive_channels == 0


def test_a_receiver_that_has_not_read_everything_warns_though_the_channel_has_ended() -> None:
    """Something was lost."""
    sender = open_channel(1)
    receivers = [sender.subscribe()]
    sender.send_nowait(0)
    sender.close()

    with pytest.warns(ResourceWarning, match="unread=1"):
        drop(receivers)


def test_the_channel_keeps_no_receiver_alive() -> None:
    """Only what is needed to go on without it."""
    sender = open_channel(1)
    receivers = [sender.subscribe()]
    alive = weakref.ref(receivers[0])

    with pytest.warns(ResourceWarning):
        drop(receivers)

    assert alive() is None


def test_a_dropped_receiver_does_not_block_a_send_that_does_not_wait() -> None:
    """It is found out when it matters."""
    sender = open_channel(1)
    receivers = [sender.subscribe()]
    sender.send_nowait(0)
    with pytest.warns(ResourceWarning):
        drop(receivers)

    sender.send_nowait(1)


@pytest.mark.parametrize("selecting", [False, True])
@pytest.mark.parametrize("in_thread", [False, True])
async def test_when_the_slowest_is_dropped_a_waiting_sender_goes_on(in_thread: bool, selecting: bool) -> None:
    """Also if another thread drops the last reference: the run is woken."""
    sender = open_channel(1)
    slow = [sender.subscribe(select=bool) if selecting else sender.subscribe()]
    sender.send_nowait(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.send, 2)
        await wait_all_tasks_blocked()
        if in_thread:
            with pytest.warns(ResourceWarning):
                await trio.to_thread.run_sync(drop, slow)
        else:
            with pytest.warns(ResourceWarning):
                drop(slow)

    assert sender.statistics().open_receive_channels == 0


async def test_who_waits_until_there_are_no_receivers_hears_of_a_drop() -> None:
    """Now, and if it came before the wait."""
    sender = open_channel(1)
    receivers = [sender.subscribe()]
    with pytest.warns(ResourceWarning):
        drop(receivers)
    await sender.wait_no_receivers()

    receivers = [sender.subscribe()]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.wait_no_receivers)
        await wait_all_tasks_blocked()
        with pytest.warns(ResourceWarning):
            drop(receivers)


def test_a_receiver_may_be_dropped_when_the_run_is_over() -> None:
    """Nobody can be woken, and nobody has to be."""
    sender = open_channel(1)
    receivers = [sender.subscribe()]

    async def use() -> None:
        with trio.move_on_after(0):
            await sender.wait_for_receivers(2)

    trio.run(use)
    with pytest.warns(ResourceWarning):
        drop(receivers)

    assert sender.statistics().open_receive_channels == 0


def test_a_channel_can_be_used_in_one_run_after_another() -> None:
    """A drop wakes the run that waits now."""
    sender = open_channel(1)

    async def send_past_a_dropped_one() -> None:
        receivers = [sender.subscribe()]
        sender.send_nowait(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, 1)
            await wait_all_tasks_blocked()
            with pytest.warns(ResourceWarning):
                drop(receivers)

    trio.run(send_past_a_dropped_one)
    trio.run(send_past_a_dropped_one)


def test_a_receiver_that_was_never_made_does_not_fail_when_it_is_collected() -> None:
    """Its constructor is not meant to be called; that must not end in a traceback from nowhere."""
    with pytest.raises(TypeError):
        BroadcastReceiver()  # type: ignore[call-arg]  # that is the point
    gc.collect()


def test_at_the_exit_of_the_interpreter_nothing_is_said() -> None:
    """Modules are being torn down, and there is nobody to hold back."""
    program = (
        "from trio_jobs._broadcast import open_broadcast_channel\n"
        "import builtins\n"
        "builtins.kept = open_broadcast_channel(1).subscribe()\n"
        "builtins.cycle = [builtins.kept]; builtins.cycle.append(builtins.cycle)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stderr == ""
