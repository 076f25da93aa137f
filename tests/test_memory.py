"""The request channel within a process: Trio's rules, and the settlement of what was received."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from math import inf, nan
from random import Random
from typing import Any, NamedTuple

import attrs
import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from trio_jobs._channel import DeadLetter
from trio_jobs._errors import LeaseLost
from trio_jobs._memory import (
    MemoryRequestReceiver,
    MemoryRequestSender,
    open_request_channel,
)
from trio_jobs._message import AbortReason, Request

from .cancel_sweep import Victim, sweep
from .scripted_processor import running

Sender = MemoryRequestSender[Any]
Receiver = MemoryRequestReceiver[Any]


def request(name: str) -> Request[str]:
    return Request(name, id=name)


def send_all(sender: Sender, *names: str) -> None:
    for name in names:
        sender.send_nowait(request(name))


def receive_all(receiver: Receiver) -> list[str]:
    """The ids of all that can be had without waiting."""
    received: list[str] = []
    with suppress(trio.WouldBlock, trio.EndOfChannel):
        while True:
            received.append(receiver.receive_nowait().id)
    return received


class Task:
    """Something that a test has done in a task of its own, how it ended, and a way to cancel it."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.result: Any = None
        self.error: BaseException | None = None
        self.at: float | None = None

    @property
    def ended(self) -> bool:
        return self.at is not None

    async def run(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        with self.scope:
            try:
                self.result = await function(*args)
            except Exception as error:
                self.error = error
        self.at = trio.current_time()


async def start(nursery: trio.Nursery, function: Callable[..., Awaitable[object]], *args: object) -> Task:
    """Have it done, as far as it gets without waiting."""
    task = Task()
    nursery.start_soon(task.run, function, *args)
    await wait_all_tasks_blocked()
    return task


async def start_receiving(nursery: trio.Nursery, *receivers: Receiver) -> list[Task]:
    """A task for each that waits to receive, in this order."""
    return [await start(nursery, receiver.receive) for receiver in receivers]


async def start_sending(nursery: trio.Nursery, sender: Sender, *names: str) -> list[Task]:
    """A task for each that waits to send, in this order."""
    return [await start(nursery, sender.send, request(name)) for name in names]


def results(tasks: list[Task]) -> list[str | None]:
    """The ids that they received; None for those that still wait."""
    return [None if task.result is None else task.result.id for task in tasks]


# -- Sending and receiving


async def test_requests_arrive_in_the_order_in_which_they_were_sent() -> None:
    """First in, first out."""
    sender, receiver = open_request_channel(3)
    for name in "abc":
        await sender.send(request(name))

    assert [(await receiver.receive()).id for _ in range(3)] == ["a", "b", "c"]


async def test_what_arrives_is_what_was_sent() -> None:
    """The very object: nothing is copied within a process."""
    sender, receiver = open_request_channel(1)
    sent = request("a")
    await sender.send(sent)

    assert await receiver.receive() is sent


async def test_the_channel_is_a_pair_with_names() -> None:
    """As Trio's memory channel is."""
    channel = open_request_channel(1)

    assert channel == (channel.sender, channel.receiver)
    assert isinstance(channel.sender, trio.abc.SendChannel)
    assert isinstance(channel.receiver, trio.abc.ReceiveChannel)


async def test_receiving_is_iterating() -> None:
    """Until all senders are closed and nothing is left."""
    sender, receiver = open_request_channel(3)
    with sender:
        send_all(sender, "a", "b")

    assert [one.id async for one in receiver] == ["a", "b"]


@pytest.mark.parametrize("size", [0, 1, 3])
async def test_a_full_buffer_makes_senders_wait(size: int) -> None:
    """It holds exactly as many as were asked for, 0 being a hand-over."""
    sender, receiver = open_request_channel(size)
    send_all(sender, *"abc"[:size])

    with pytest.raises(trio.WouldBlock):
        sender.send_nowait(request("x"))
    async with trio.open_nursery() as nursery:
        (task,) = await start_sending(nursery, sender, "d")
        assert not task.ended
        assert (await receiver.receive()).id == "abcd"[0 if size else 3]
        await wait_all_tasks_blocked()
        assert task.ended


async def test_an_endless_buffer_makes_nobody_wait() -> None:
    """Where math.inf is written."""
    sender, receiver = open_request_channel(inf)
    send_all(sender, *map(str, range(1_000)))

    assert receive_all(receiver) == [*map(str, range(1_000))]


async def test_without_a_buffer_a_request_goes_from_hand_to_hand() -> None:
    """Whoever comes first waits for the other; without waiting it works if the other waits already."""
    sender, receiver = open_request_channel(0)
    async with trio.open_nursery() as nursery:
        receiving = await start_receiving(nursery, receiver)
        sender.send_nowait(request("a"))
        await wait_all_tasks_blocked()
        assert results(receiving) == ["a"]

        (sending,) = await start_sending(nursery, sender, "b")
        assert receiver.receive_nowait().id == "b"
        await wait_all_tasks_blocked()
        assert sending.ended


async def test_an_empty_buffer_makes_receivers_wait() -> None:
    """And without waiting there is nothing to be had."""
    sender, receiver = open_request_channel(1)

    with pytest.raises(trio.WouldBlock):
        receiver.receive_nowait()
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver)
        assert results(tasks) == [None]
        await sender.send(request("a"))
        await wait_all_tasks_blocked()
        assert results(tasks) == ["a"]


async def test_waiting_senders_are_served_first_come_first_served() -> None:
    """One for each request that leaves the buffer."""
    sender, receiver = open_request_channel(1)
    send_all(sender, "a")
    async with trio.open_nursery() as nursery:
        tasks = await start_sending(nursery, sender, "b", "c", "d")
        for served in range(1, 4):
            receiver.receive_nowait()
            await wait_all_tasks_blocked()
            assert [task.ended for task in tasks] == [place < served for place in range(3)]

    assert receive_all(receiver) == ["d"]


async def test_waiting_receivers_are_served_first_come_first_served() -> None:
    """Clones and tasks of one handle alike."""
    sender, receiver = open_request_channel(0)
    clone = receiver.clone()
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver, clone, receiver)
        send_all(sender, "a", "b", "c")
        await wait_all_tasks_blocked()

    assert results(tasks) == ["a", "b", "c"]


async def test_nobody_sends_past_those_who_wait_to_send() -> None:
    """Not even into the place that has become free this moment, which is theirs."""
    sender, receiver = open_request_channel(1)
    send_all(sender, "a")
    async with trio.open_nursery() as nursery:
        await start_sending(nursery, sender, "b")
        receiver.receive_nowait()
        with pytest.raises(trio.WouldBlock):
            sender.send_nowait(request("c"))

    assert receive_all(receiver) == ["b"]


async def test_nobody_receives_past_those_who_wait_to_receive() -> None:
    """What is sent goes to them, there and then."""
    sender, receiver = open_request_channel(1)
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver)
        sender.send_nowait(request("a"))
        with pytest.raises(trio.WouldBlock):
            receiver.receive_nowait()

    assert results(tasks) == ["a"]


async def test_clones_compete() -> None:
    """Each request goes to one of them."""
    sender, receiver = open_request_channel(9)
    other = receiver.clone()
    with sender.clone() as second:
        second.send_nowait(request("a"))
    send_all(sender, "b", "c")

    assert receiver.receive_nowait().id == "a"
    assert other.receive_nowait().id == "b"
    assert receiver.receive_nowait().id == "c"


# -- Checkpoints


async def test_every_async_method_is_a_checkpoint() -> None:
    """Also where nothing has to be waited for."""
    sender, receiver = open_request_channel(9)
    with assert_checkpoints():
        await sender.send(request("a"))
    with assert_checkpoints():
        received = await receiver.receive()
    with assert_checkpoints():
        await receiver.extend(received, 1)
    with assert_checkpoints():
        await receiver.release(received)
    with assert_checkpoints():
        await receiver.reject(await receiver.receive(), "no")
    send_all(sender, "b")
    received = receiver.receive_nowait()
    with assert_checkpoints():
        await receiver.ack(received)
    with assert_checkpoints():
        await sender.aclose()
    with assert_checkpoints():
        await receiver.aclose()
    with assert_checkpoints():
        await receiver.aclose()


# -- Cancelling


async def test_a_cancelled_send_did_not_happen() -> None:
    """Neither what could have been sent at once, nor what had to wait."""
    sender, receiver = open_request_channel(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await sender.send(request("a"))
    assert scope.cancelled_caught
    assert receive_all(receiver) == []
    send_all(sender, "b")
    async with trio.open_nursery() as nursery:
        (task,) = await start_sending(nursery, sender, "c")
        task.scope.cancel()

    assert receive_all(receiver) == ["b"]
    assert sender.statistics().tasks_waiting_send == 0


async def test_a_cancelled_receive_did_not_happen() -> None:
    """Neither where there was one to be had, nor where it had to wait."""
    sender, receiver = open_request_channel(1)
    async with trio.open_nursery() as nursery:
        (task,) = await start_receiving(nursery, receiver)
        task.scope.cancel()
    send_all(sender, "a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await receiver.receive()

    assert scope.cancelled_caught
    assert receiver.statistics().unsettled == 0
    assert receive_all(receiver) == ["a"]


async def test_what_was_sent_before_the_receiver_is_cancelled_was_received() -> None:
    """The task has it, and hears of the cancellation at its next checkpoint."""
    sender, receiver = open_request_channel(0)
    async with trio.open_nursery() as nursery:
        (task,) = await start_receiving(nursery, receiver)
        sender.send_nowait(request("a"))
        task.scope.cancel()

    assert results([task]) == ["a"]
    assert not task.scope.cancelled_caught


async def test_what_is_sent_after_the_receiver_is_cancelled_is_still_there() -> None:
    """The task was not there any more to receive it."""
    sender, receiver = open_request_channel(1)
    async with trio.open_nursery() as nursery:
        (task,) = await start_receiving(nursery, receiver)
        task.scope.cancel()
        sender.send_nowait(request("a"))

    assert task.scope.cancelled_caught
    assert receive_all(receiver) == ["a"]


async def test_what_was_received_before_the_sender_is_cancelled_was_sent() -> None:
    """It cannot be both received and not sent."""
    sender, receiver = open_request_channel(0)
    async with trio.open_nursery() as nursery:
        (task,) = await start_sending(nursery, sender, "a")
        assert receiver.receive_nowait().id == "a"
        task.scope.cancel()

    assert not task.scope.cancelled_caught


async def test_a_sender_that_is_cancelled_first_sends_nothing() -> None:
    """The receiver finds the next one."""
    sender, receiver = open_request_channel(0)
    async with trio.open_nursery() as nursery:
        first, second = await start_sending(nursery, sender, "a", "b")
        first.scope.cancel()

        assert receiver.receive_nowait().id == "b"

    assert first.scope.cancelled_caught
    assert second.error is None


async def test_a_cancelled_receiver_in_the_line_holds_up_nobody() -> None:
    """The others keep their places."""
    sender, receiver = open_request_channel(0)
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver, receiver, receiver)
        tasks[1].scope.cancel()
        await wait_all_tasks_blocked()
        send_all(sender, "a", "b")

    assert results(tasks) == ["a", None, "b"]


@pytest.mark.parametrize("size", [0, 1])
def test_a_send_cancelled_anywhere_was_sent_or_was_not(size: int) -> None:
    """What it says is what the receiver finds."""

    async def scenario(victim: Victim) -> None:
        sender, receiver = open_request_channel(size)
        send_all(sender, *["before"][:size])
        sent = False
        received: list[str] = []

        async def receive() -> None:
            await trio.sleep(1)
            received.extend(receive_all(receiver))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            with victim:
                await sender.send(request("a"))
                sent = True
        received.extend(receive_all(receiver))
        assert received == ["before"][:size] + ["a"] * sent
        assert sender.statistics().tasks_waiting_send == 0

    assert sweep(scenario) >= 4


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("waits", [False, True])
def test_a_receive_cancelled_anywhere_has_a_request_or_has_not(waits: bool, delay: float) -> None:
    """What it does not return is still there for the next; sent, or released with a delay."""

    async def scenario(victim: Victim) -> None:
        sender, receiver = open_request_channel(1)
        send_all(sender, "a")
        held = receiver.receive_nowait()
        received: list[str] = []

        async def release() -> None:
            await trio.sleep(waits)
            await receiver.release(held, delay)

        async with trio.open_nursery() as nursery:
            if waits:
                nursery.start_soon(release)
            else:
                await release()
            with victim:
                received.append((await receiver.receive()).id)
        assert receiver.statistics().unsettled == len(received)
        with trio.move_on_after(5):
            received.append((await receiver.receive()).id)
        assert received == ["a"]
        assert receiver.statistics().tasks_waiting_receive == 0

    assert sweep(scenario) >= 4


@pytest.mark.parametrize("verb", ["release", "extend"])
def test_a_release_or_extend_cancelled_anywhere_happened_or_did_not(verb: str) -> None:
    """What did not happen leaves the request where it was: held."""

    async def scenario(victim: Victim) -> None:
        sender, receiver = open_request_channel(1)
        send_all(sender, "a")
        held = receiver.receive_nowait()
        done = False
        with victim:
            if verb == "release":
                await receiver.release(held)
            else:
                await receiver.extend(held, 1)
            done = True
        released = done and verb == "release"
        assert receiver.statistics().unsettled == (not released)
        assert receiver.statistics().current_buffer_used == released

    assert sweep(scenario) >= 4


# -- Closing


async def test_a_closed_sender_does_not_send() -> None:
    """It says so, whatever the state of the channel."""
    sender, receiver = open_request_channel(1)
    await sender.aclose()

    with pytest.raises(trio.ClosedResourceError):
        sender.send_nowait(request("a"))
    with pytest.raises(trio.ClosedResourceError):
        await sender.send(request("a"))
    with pytest.raises(trio.ClosedResourceError):
        sender.clone()
    receiver.close()
    with pytest.raises(trio.ClosedResourceError):
        sender.send_nowait(request("a"))


async def test_a_closed_receiver_does_not_receive() -> None:
    """Although there would be something."""
    sender, receiver = open_request_channel(1)
    send_all(sender, "a")
    await receiver.aclose()

    with pytest.raises(trio.ClosedResourceError):
        receiver.receive_nowait()
    with pytest.raises(trio.ClosedResourceError):
        await receiver.receive()
    with pytest.raises(trio.ClosedResourceError):
        receiver.clone()


async def test_closing_twice_is_closing_once() -> None:
    """Other handles are not counted down."""
    sender, receiver = open_request_channel(1)
    second_sender, second_receiver = sender.clone(), receiver.clone()
    for handle in (second_sender, second_receiver):
        handle.close()
        handle.close()

    send_all(sender, "a")
    assert receive_all(receiver) == ["a"]
    with pytest.raises(trio.WouldBlock):
        receiver.receive_nowait()


async def test_leaving_a_block_closes_a_handle() -> None:
    """With or without async."""
    sender, receiver = open_request_channel(1)
    with sender as same_sender, receiver as same_receiver:
        assert same_sender is sender
        assert same_receiver is receiver

    with pytest.raises(trio.ClosedResourceError):
        sender.clone()
    with pytest.raises(trio.ClosedResourceError):
        receiver.clone()


async def test_closing_a_sender_wakes_its_own_tasks_only() -> None:
    """A clone's tasks go on waiting, in their order."""
    sender, receiver = open_request_channel(0)
    clone = sender.clone()
    async with trio.open_nursery() as nursery:
        own, others = await start(nursery, sender.send, request("a")), await start_sending(nursery, clone, "b")
        as_well = await start(nursery, sender.send, request("c"))
        sender.close()
        await wait_all_tasks_blocked()
        assert isinstance(own.error, trio.ClosedResourceError)
        assert isinstance(as_well.error, trio.ClosedResourceError)
        assert own.error is not as_well.error
        assert not others[0].ended

        assert receive_all(receiver) == ["b"]


async def test_closing_a_receiver_wakes_its_own_tasks_only() -> None:
    """A clone's tasks go on waiting, in their order."""
    sender, receiver = open_request_channel(0)
    clone = receiver.clone()
    async with trio.open_nursery() as nursery:
        own, other, as_well = await start_receiving(nursery, receiver, clone, receiver)
        receiver.close()
        await wait_all_tasks_blocked()
        assert isinstance(own.error, trio.ClosedResourceError)
        assert isinstance(as_well.error, trio.ClosedResourceError)
        assert own.error is not as_well.error
        assert not other.ended
        send_all(sender, "a")

    assert results([other]) == ["a"]


async def test_the_channel_ends_after_the_backlog() -> None:
    """When all senders are closed, not before, and again and again."""
    sender, receiver = open_request_channel(3)
    clone = sender.clone()
    send_all(sender, "a", "b")
    sender.close()
    send_all(clone, "c")
    clone.close()

    assert receive_all(receiver) == ["a", "b", "c"]
    for _ in range(2):
        with pytest.raises(trio.EndOfChannel):
            receiver.receive_nowait()
        with pytest.raises(trio.EndOfChannel):
            await receiver.receive()


async def test_the_end_comes_to_all_who_wait() -> None:
    """Each with an error of its own."""
    sender, receiver = open_request_channel(0)
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver, receiver.clone())
        sender.close()

    assert [type(task.error) for task in tasks] == [trio.EndOfChannel, trio.EndOfChannel]
    assert tasks[0].error is not tasks[1].error


async def test_an_end_that_is_not_the_last_comes_to_nobody() -> None:
    """Another sender may send yet."""
    sender, receiver = open_request_channel(0)
    with sender.clone() as clone:
        async with trio.open_nursery() as nursery:
            tasks = await start_receiving(nursery, receiver)
            sender.close()
            await wait_all_tasks_blocked()
            assert not tasks[0].ended
            send_all(clone, "a")

    assert results(tasks) == ["a"]


async def test_without_receivers_the_channel_is_broken_for_senders() -> None:
    """Those who wait and those who come; when the last receiver is closed, not before."""
    sender, receiver = open_request_channel(0)
    clone = receiver.clone()
    receiver.close()
    async with trio.open_nursery() as nursery:
        tasks = await start_sending(nursery, sender, "a", "b")
        assert not tasks[0].ended
        clone.close()

    assert [type(task.error) for task in tasks] == [trio.BrokenResourceError, trio.BrokenResourceError]
    assert tasks[0].error is not tasks[1].error
    for send in (sender.send_nowait, sender.clone().send_nowait):
        with pytest.raises(trio.BrokenResourceError, match=r"^every receiver of this request channel is closed$"):
            send(request("c"))
    with pytest.raises(trio.BrokenResourceError):
        await sender.send(request("c"))


async def test_a_receiver_makes_senders() -> None:
    """For whoever was only given the receiving end."""
    _, receiver = open_request_channel(1)
    with receiver.sender() as sender:
        send_all(sender, "a")

    assert receive_all(receiver) == ["a"]
    assert receiver.statistics().open_send_channels == 1


# -- Misuse


@pytest.mark.parametrize("size", [1.5, "1", None, True, nan])
async def test_a_size_that_is_no_number_is_refused(size: Any) -> None:
    """Infinite is one."""
    with pytest.raises(TypeError, match=f"^max_buffer_size must be an int or math.inf, got {size!r}$"):
        open_request_channel(size)


async def test_a_negative_size_is_refused() -> None:
    """Zero is the least."""
    with pytest.raises(ValueError, match=r"^max_buffer_size must be at least 0, got -1$"):
        open_request_channel(-1)


@pytest.mark.parametrize("body", ["a.png", None, {"id": "a"}])
async def test_a_bare_body_is_refused_with_the_mend(body: Any) -> None:
    """A channel of requests carries requests."""
    sender, receiver = open_request_channel(1)
    message = f"a request channel carries Requests: send(Request(body)) instead of {body!r}"

    with pytest.raises(TypeError) as raised:
        sender.send_nowait(body)
    assert str(raised.value) == message
    with pytest.raises(TypeError) as raised:
        await sender.send(body)
    assert str(raised.value) == message
    assert receive_all(receiver) == []


@pytest.mark.parametrize("delay", [-1, nan, inf])
async def test_a_delay_that_is_no_time_is_refused(delay: float) -> None:
    """The request stays held."""
    sender, receiver = open_request_channel(1)
    send_all(sender, "a")
    held = receiver.receive_nowait()

    with pytest.raises(ValueError, match=r"^delay must be "):
        await receiver.release(held, delay)

    await receiver.ack(held)


async def test_a_delay_of_another_type_is_refused() -> None:
    """The message names it."""
    sender, receiver = open_request_channel(1)
    send_all(sender, "a")

    with pytest.raises(TypeError, match=r"^delay must be a number of seconds, got '5'$"):
        await receiver.release(receiver.receive_nowait(), "5")  # type: ignore[arg-type]  # pyright: ignore


# -- What can be seen


async def test_handles_show_the_state_of_the_channel() -> None:
    """And that they are closed."""
    sender, receiver = open_request_channel(3)
    send_all(sender, "a", "b", "c")
    receiver.receive_nowait()

    assert repr(sender) == "<MemoryRequestSender 2/3>"
    assert repr(receiver) == "<MemoryRequestReceiver waiting=2 unsettled=1>"
    sender.close()
    receiver.close()
    assert repr(sender) == "<MemoryRequestSender closed>"
    assert repr(receiver) == "<MemoryRequestReceiver closed>"


async def test_statistics_count_everything() -> None:
    """The same from both ends."""
    sender, receiver = open_request_channel(2)
    clone = receiver.clone()
    send_all(sender, "a", "b")
    await clone.reject(clone.receive_nowait(), "no")
    receiver.receive_nowait()
    send_all(sender, "c", "d")
    async with trio.open_nursery() as nursery:
        (waiting,) = await start_sending(nursery, sender, "e")

        statistics = sender.statistics()
        waiting.scope.cancel()

    assert attrs.asdict(statistics) == {
        "current_buffer_used": 2,
        "max_buffer_size": 2,
        "open_send_channels": 1,
        "open_receive_channels": 2,
        "tasks_waiting_send": 1,
        "tasks_waiting_receive": 0,
        "unsettled": 1,
        "dead_letters": 1,
    }
    assert receiver.statistics() == clone.statistics() == sender.statistics()


async def test_statistics_count_those_who_wait_to_receive() -> None:
    """Until they have something."""
    sender, receiver = open_request_channel(2)
    async with trio.open_nursery() as nursery:
        await start_receiving(nursery, receiver, receiver.clone())
        assert sender.statistics().tasks_waiting_receive == 2
        sender.close()
    assert sender.statistics().tasks_waiting_receive == 0
    assert sender.statistics().open_send_channels == 0


# -- Settling


async def test_what_is_acknowledged_never_comes_again() -> None:
    """Not when its handle is closed, either."""
    sender, receiver = open_request_channel(1)
    clone = receiver.clone()
    send_all(sender, "a")
    await receiver.ack(receiver.receive_nowait())
    receiver.close()
    sender.close()

    assert clone.statistics().unsettled == 0
    with pytest.raises(trio.EndOfChannel):
        clone.receive_nowait()


async def settle_late(receiver: Receiver, verb: str, late: Request[Any]) -> None:
    """Each verb, with what it needs."""
    match verb:
        case "ack":
            await receiver.ack(late)
        case "release":
            await receiver.release(late)
        case "reject":
            await receiver.reject(late, "late")
        case _:
            await receiver.extend(late, 1)


@pytest.mark.parametrize("first", ["ack", "release", "reject"])
@pytest.mark.parametrize("then", ["ack", "release", "reject", "extend"])
async def test_what_was_settled_cannot_be_settled_again(first: str, then: str) -> None:
    """LeaseLost says so, and nothing is changed."""
    sender, receiver = open_request_channel(1)
    send_all(sender, "a")
    held = receiver.receive_nowait()
    await settle_late(receiver, first, held)
    before = receiver.statistics(), receiver.dead_letters()

    with pytest.raises(LeaseLost) as raised:
        await settle_late(receiver, then, held)

    assert raised.value.request_id == "a"
    assert (receiver.statistics(), receiver.dead_letters()) == before


@pytest.mark.parametrize("verb", ["ack", "release", "reject", "extend"])
async def test_only_the_handle_that_received_it_settles(verb: str) -> None:
    """A clone is somebody else."""
    sender, receiver = open_request_channel(1)
    clone = receiver.clone()
    send_all(sender, "a")
    held = receiver.receive_nowait()

    with pytest.raises(LeaseLost):
        await settle_late(clone, verb, held)

    assert receiver.statistics().unsettled == 1
    await receiver.extend(held, 1)
    await receiver.ack(held)


async def test_who_lost_it_to_another_cannot_settle_it() -> None:
    """Released and received by a clone, it is the clone's."""
    sender, receiver = open_request_channel(1)
    clone = receiver.clone()
    send_all(sender, "a")
    held = receiver.receive_nowait()
    await receiver.release(held)
    again = clone.receive_nowait()

    with pytest.raises(LeaseLost):
        await receiver.ack(held)

    await clone.ack(again)


async def test_what_is_released_comes_before_what_was_sent_later() -> None:
    """As the same attempt."""
    sender, receiver = open_request_channel(3)
    send_all(sender, "a", "b", "c")
    held = receiver.receive_nowait()
    await receiver.release(held)

    assert receiver.receive_nowait() is held
    assert receive_all(receiver) == ["b", "c"]


async def test_what_is_released_goes_to_who_waits() -> None:
    """First come, first served; also to the one that released it."""
    sender, receiver = open_request_channel(3)
    send_all(sender, "a")
    held = receiver.receive_nowait()
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver.clone(), receiver)
        await receiver.release(held)
        await wait_all_tasks_blocked()
        assert results(tasks) == ["a", None]
        sender.close()


async def test_a_charged_release_comes_back_as_the_next_attempt() -> None:
    """All else is as it was."""
    sender, receiver = open_request_channel(1)
    send_all(sender, "a")
    held = receiver.receive_nowait()

    await receiver.release(held, charge=True)

    again = receiver.receive_nowait()
    assert again == attrs.evolve(held, attempt=2)
    await receiver.release(again, 5, charge=True)
    assert receiver.statistics().current_buffer_used == 1


async def test_what_comes_back_is_what_was_received() -> None:
    """Whoever settles names it; to change it is not theirs."""
    sender, receiver = open_request_channel(1)
    send_all(sender, "a")
    held = receiver.receive_nowait()

    await receiver.release(Request("changed", id="a"))
    assert receiver.receive_nowait() is held
    await receiver.reject(Request("changed", id="a"), "no")
    assert receiver.dead_letters() == (DeadLetter(held, "no"),)


async def test_a_rejected_request_is_kept_with_the_reason() -> None:
    """Every handle lists them, oldest first."""
    sender, receiver = open_request_channel(2)
    send_all(sender, "a", "b")
    first, second = receiver.receive_nowait(), receiver.receive_nowait()
    await receiver.reject(second, "broken")
    await receiver.reject(first, "too large")

    letters = receiver.clone().dead_letters()
    assert letters == (DeadLetter(second, "broken"), DeadLetter(first, "too large"))
    assert receiver.statistics().dead_letters == 2
    assert receive_all(receiver) == []


async def test_the_last_thousand_dead_letters_are_kept_and_all_are_counted() -> None:
    """Every buffer is bounded."""
    sender, receiver = open_request_channel(1)
    for number in range(1_003):
        send_all(sender, f"{number}")
        await receiver.reject(receiver.receive_nowait(), "no")

    letters = receiver.dead_letters()
    assert len(letters) == 1_000
    assert [letters[0].request.id, letters[-1].request.id] == ["3", "1002"]
    assert receiver.statistics().dead_letters == 1_003


async def test_extending_changes_nothing_in_memory() -> None:
    """A lease never ends by itself."""
    sender, receiver = open_request_channel(1)
    send_all(sender, "a")
    held = receiver.receive_nowait()

    await receiver.extend(held, 0)

    assert receiver.statistics().unsettled == 1


async def test_closing_a_handle_gives_back_what_it_has_not_settled() -> None:
    """In its order, before what was sent later."""
    sender, receiver = open_request_channel(9)
    clone = receiver.clone()
    send_all(sender, "a", "b", "c", "d")
    held = [receiver.receive_nowait() for _ in range(3)]
    await receiver.ack(held[1])

    receiver.close()

    assert clone.statistics().unsettled == 0
    assert receive_all(clone) == ["a", "c", "d"]
    with pytest.raises(LeaseLost):
        await receiver.ack(held[0])


async def test_closing_a_handle_gives_to_who_waits() -> None:
    """What one held, the others have."""
    sender, receiver = open_request_channel(9)
    clone = receiver.clone()
    send_all(sender, "a", "b")
    receive_all(receiver)
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, clone, clone, receiver)
        receiver.close()

    assert results(tasks) == ["a", "b", None]
    assert isinstance(tasks[2].error, trio.ClosedResourceError)
    assert clone.statistics().unsettled == 2


async def test_requests_with_one_id_are_held_and_settled_one_by_one() -> None:
    """Each is settled once; what is left when the handle is closed comes to another."""
    sender, receiver = open_request_channel(9)
    clone = receiver.clone()
    same = [Request(number, id="a") for number in range(4)]
    for one in same:
        sender.send_nowait(one)
    for _ in same:
        receiver.receive_nowait()
    assert repr(receiver) == "<MemoryRequestReceiver waiting=0 unsettled=4>"

    await receiver.ack(same[2])
    await receiver.release(same[1])
    assert receiver.statistics().unsettled == 2
    receiver.close()

    assert [clone.receive_nowait().body for _ in range(3)] == [1, 0, 3]
    with pytest.raises(trio.WouldBlock):
        clone.receive_nowait()


# -- Delays


async def pass_time(clock: MockClock, seconds: int) -> None:
    """Second by second, so that all happens at its time."""
    for _ in range(seconds):
        clock.jump(1)
        await wait_all_tasks_blocked()


def hold(receiver: Receiver, name: str) -> Request[Any]:
    """Send a request and receive it with this handle."""
    with receiver.sender() as sender:
        send_all(sender, name)
    return receiver.receive_nowait()


async def test_a_delayed_release_comes_at_its_time_and_not_before(autojump_clock: MockClock) -> None:
    """To who waits, and to who looks."""
    _sender, receiver = open_request_channel(1)
    await receiver.release(hold(receiver, "a"), 5)

    with pytest.raises(trio.WouldBlock):
        receiver.receive_nowait()
    assert (await receiver.receive()).id == "a"
    assert trio.current_time() == 5
    await receiver.release(hold(receiver, "b"), 5)
    await trio.sleep(5)
    assert receiver.receive_nowait().id == "b"


async def test_a_delayed_release_comes_to_those_who_waited_before_it(mock_clock: MockClock) -> None:
    """First come, first served, one for each, at the moment when it is due."""
    sender, receiver = open_request_channel(9)
    held = [hold(receiver, name) for name in "abc"]
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, *[receiver.clone() for _ in range(4)])
        for one, delay in zip(held, [3, 1, 3], strict=True):
            await receiver.release(one, delay)
        await pass_time(mock_clock, 4)

        assert results(tasks) == ["b", "a", "c", None]
        assert [task.at for task in tasks] == [1, 3, 3, None]
        sender.close()


async def test_those_who_wait_keep_their_places_while_the_first_is_served(mock_clock: MockClock) -> None:
    """Times that come and go do not turn the line round, in whatever order Trio runs tasks that wake together."""
    for _ in range(20):
        sender, receiver = open_request_channel(9)
        held = [hold(receiver, name) for name in "ab"]
        async with trio.open_nursery() as nursery:
            tasks = await start_receiving(nursery, *[receiver] * 6)
            for one in held:
                await receiver.release(one, 1)
            await pass_time(mock_clock, 1)
            send_all(sender, "c", "d", "e", "f")

        assert results(tasks) == ["a", "b", "c", "d", "e", "f"]


async def test_a_time_that_was_watched_by_one_who_left_is_watched_by_the_next(mock_clock: MockClock) -> None:
    """Served, cancelled or closed."""
    sender, receiver = open_request_channel(9)
    closed, other = receiver.clone(), receiver.clone()
    held = [hold(receiver, name) for name in "a"]
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver, receiver, closed, other, other)
        await receiver.release(held[0], 5)
        send_all(sender, "b")
        await wait_all_tasks_blocked()
        tasks[1].scope.cancel()
        await wait_all_tasks_blocked()
        closed.close()
        await pass_time(mock_clock, 5)

        assert results(tasks) == ["b", None, None, "a", None]
        assert tasks[3].at == 5
        sender.close()


async def test_an_earlier_time_is_watched_instead_of_a_later_one(mock_clock: MockClock) -> None:
    """And then the later one."""
    _sender, receiver = open_request_channel(9)
    held = [hold(receiver, name) for name in "ab"]
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver, receiver)
        await receiver.release(held[0], 9)
        await receiver.release(held[1], 2)
        await pass_time(mock_clock, 9)

    assert results(tasks) == ["b", "a"]
    assert [task.at for task in tasks] == [2, 9]


async def test_who_waits_when_something_is_delayed_already_gets_it_in_time(mock_clock: MockClock) -> None:
    """Whoever is first in line watches the time."""
    _sender, receiver = open_request_channel(9)
    for name in "ab":
        await receiver.release(hold(receiver, name), 2)
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver, receiver)
        await pass_time(mock_clock, 2)

    assert results(tasks) == ["a", "b"]


@pytest.mark.parametrize("size", [0, 1])
async def test_what_is_delayed_keeps_no_sender_from_a_receiver(size: int, mock_clock: MockClock) -> None:
    """It fills the buffer, and yet they must not both wait."""
    sender, receiver = open_request_channel(size)
    async with trio.open_nursery() as nursery:
        await start_sending(nursery, sender, "a")
        await receiver.release(receiver.receive_nowait(), 5)
        (sending,) = await start_sending(nursery, sender, "b")
        assert not sending.ended

        (receiving,) = await start_receiving(nursery, receiver)
        assert results([receiving]) == ["b"]
        assert sending.ended
        (receiving,) = await start_receiving(nursery, receiver)
        await pass_time(mock_clock, 5)
        assert results([receiving]) == ["a"]


async def test_the_channel_ends_after_what_is_delayed(mock_clock: MockClock) -> None:
    """For all who wait, when the last of it was received."""
    sender, receiver = open_request_channel(1)
    await receiver.release(hold(receiver, "a"), 5)
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver, receiver, receiver)
        sender.close()
        await pass_time(mock_clock, 5)

    assert results(tasks) == ["a", None, None]
    assert [type(task.error) for task in tasks[1:]] == [trio.EndOfChannel, trio.EndOfChannel]
    assert [task.at for task in tasks] == [5, 5, 5]


async def test_a_receiver_that_comes_as_a_delay_ends_takes_nothing_from_who_waited(mock_clock: MockClock) -> None:
    """However the tasks are run at that moment, all of them are served, and at once."""
    for _ in range(20):
        _sender, receiver = open_request_channel(9)
        held = [hold(receiver, name) for name in "abc"]
        due = trio.current_time() + 1

        async def come(receiver: Receiver, due: float) -> Request[Any]:
            await trio.sleep_until(due)
            return await receiver.receive()

        async with trio.open_nursery() as nursery:
            tasks = await start_receiving(nursery, receiver, receiver)
            tasks.append(await start(nursery, come, receiver, due))
            for one in held:
                await receiver.release(one, 1)
            await pass_time(mock_clock, 1)

        assert sorted(filter(None, results(tasks))) == ["a", "b", "c"]


async def test_who_looks_as_a_delay_ends_takes_nothing_from_who_waited(mock_clock: MockClock) -> None:
    """The time has come, and those in line have not run yet."""
    _sender, receiver = open_request_channel(9)
    held = [hold(receiver, name) for name in "ab"]
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver)
        for one in held:
            await receiver.release(one, 1)
        mock_clock.jump(1)
        assert receiver.receive_nowait().id == "b"

    assert results(tasks) == ["a"]


async def test_a_handle_that_is_closed_as_a_delay_ends_receives_nothing_more(mock_clock: MockClock) -> None:
    """Whichever of the two comes first, the request is there for another handle."""
    for _ in range(20):
        _sender, receiver = open_request_channel(9)
        other = receiver.clone()
        due = trio.current_time() + 1

        async def close(receiver: Receiver, due: float) -> None:
            await trio.sleep_until(due)
            receiver.close()

        held = hold(other, "a")
        async with trio.open_nursery() as nursery:
            (task,) = await start_receiving(nursery, receiver)
            nursery.start_soon(close, receiver, due)
            await other.release(held, 1)
            await pass_time(mock_clock, 1)

        assert results([task]) == ["a"] or isinstance(task.error, trio.ClosedResourceError)
        assert receive_all(other) == ["a"]
        assert other.statistics().unsettled == 1


async def test_who_finds_nothing_when_the_time_has_come_waits_on_in_its_place(mock_clock: MockClock) -> None:
    """What was due has been dropped."""
    sender, receiver = open_request_channel(9)
    held = [hold(receiver, name) for name in "ab"]
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver, receiver, receiver)
        await receiver.release(held[0], 1)
        await receiver.release(held[1], 2)
        sender._buffer.drop("a")
        await pass_time(mock_clock, 1)
        assert results(tasks) == [None, None, None]
        assert sender.statistics().tasks_waiting_receive == 3
        await pass_time(mock_clock, 1)
        assert results(tasks) == ["b", None, None]
        send_all(sender, "c", "d")

    assert results(tasks) == ["b", "c", "d"]


# -- Cancelling what was sent


async def test_what_waits_in_the_channel_is_taken_out_when_it_is_cancelled() -> None:
    """Nobody has to be asked, and a waiting sender moves up; what is not there cannot be."""
    sender, receiver = open_request_channel(2)
    consumer = running("a")
    receiver._fetched_by(consumer)
    send_all(sender, "a", "b")
    async with trio.open_nursery() as nursery:
        await start_sending(nursery, sender, "c")

        assert sender._buffer.withdraw(request("a"))

    assert consumer.cancelled == []
    assert receive_all(receiver) == ["b", "c"]


async def test_what_was_received_is_cancelled_where_it_runs() -> None:
    """Every processor that receives through a handle is asked until one runs it."""
    sender, receiver = open_request_channel(2)
    consumers = running(), running("a"), running("a")
    for consumer in consumers:
        receiver.clone()._fetched_by(consumer)
    send_all(sender, "a")
    receiver.receive_nowait()

    assert sender._buffer.cancel(request("a"), AbortReason.DEADLINE, since=3)

    asked = [("a", AbortReason.DEADLINE, 3)]
    assert [consumer.cancelled for consumer in consumers] == [asked, asked, []]


async def test_a_processor_whose_handle_is_closed_is_not_asked() -> None:
    """Nor kept alive by a channel that outlives it."""
    sender, receiver = open_request_channel(2)
    gone, there = running("a"), running()
    with receiver.clone() as handle:
        handle._fetched_by(gone)
    receiver._fetched_by(there)

    assert not sender._buffer.cancel(request("a"), AbortReason.CALLER, since=0)

    assert gone.cancelled == []
    assert [name for name, _, _ in there.cancelled] == ["a"]


async def test_a_processor_with_the_channel_for_its_own_is_told_of_everything() -> None:
    """What is sent, what comes back, and what is cancelled."""
    sender, _ = open_request_channel(2)
    buffer = sender._buffer
    consumer = buffer.consumer = running("a")
    send_all(sender, "a", "b")
    taken = buffer.take(0)
    assert taken is not None
    buffer.give_back(taken)
    taken = buffer.take(0)
    assert taken is not None
    buffer.give_back(taken, 5)

    assert consumer.arrived == ["a", "b", "a", "a"]
    assert buffer.cancel(taken, AbortReason.OPERATOR, since=1)
    assert consumer.cancelled == [("a", AbortReason.OPERATOR, 1)]


async def test_a_processor_is_told_of_a_sender_that_moves_up() -> None:
    """Its request arrives when there is room for it, not before."""
    sender, _ = open_request_channel(1)
    consumer = sender._buffer.consumer = running()
    send_all(sender, "a")
    async with trio.open_nursery() as nursery:
        await start_sending(nursery, sender, "b")
        assert consumer.arrived == ["a"]

        assert sender._buffer.take(0) is not None

    assert consumer.arrived == ["a", "b"]


async def test_what_is_delayed_in_a_processor_lets_no_more_in_than_the_buffer_holds() -> None:
    """It is the processor's waiting room, and bounded."""
    sender, _ = open_request_channel(1)
    buffer = sender._buffer
    buffer.consumer = running()
    buffer.give_back(request("a"), 5)
    async with trio.open_nursery() as nursery:
        (task,) = await start_sending(nursery, sender, "b")

        assert buffer.take(trio.current_time()) is None

        task.scope.cancel()
    assert sender.statistics().current_buffer_used == 1


async def test_a_channel_that_refuses_says_why_to_those_who_wait_and_those_who_come() -> None:
    """Unless it has nothing against one of them, which is asked in the context of that one."""
    sender, receiver = open_request_channel(0)
    welcome: ContextVar[str] = ContextVar("welcome")

    async def send(name: str) -> None:
        welcome.set(name)
        await sender.send(request(name))

    def refuse() -> Exception | None:
        return None if welcome.get() == "b" else trio.BrokenResourceError(welcome.get())

    async with trio.open_nursery() as nursery:
        a, b, c = [await start(nursery, send, name) for name in "abc"]
        welcome.set("d")
        sender._buffer.refuse(refuse)
        await wait_all_tasks_blocked()
        assert [str(task.error) for task in (a, c)] == ["a", "c"]
        with pytest.raises(trio.BrokenResourceError, match=r"^d$"):
            sender.send_nowait(request("d"))
        assert not b.ended
        assert receive_all(receiver) == ["b"]


# -- Against Trio's own channel


class Look(NamedTuple):
    """What the statistics say after a step."""

    current_buffer_used: int
    open_send_channels: int
    open_receive_channels: int
    tasks_waiting_send: int
    tasks_waiting_receive: int


class Script:
    """The same random doings for either channel, with a note of what came of each."""

    def __init__(self, seed: int, sender: Any, receiver: Any, settle: Callable[[Any, Any], None]) -> None:
        self.random = Random(seed)
        self.senders = [sender]
        self.receivers = [receiver]
        self.settle = settle
        self.notes: list[object] = []
        self.tasks: list[trio.CancelScope] = []

    async def play(self, steps: int) -> list[object]:
        async with trio.open_nursery() as nursery:
            for step in range(steps):
                self.step(step, nursery)
                await wait_all_tasks_blocked()
                statistics = self.senders[0].statistics()
                self.notes.append(
                    Look(
                        # Trio empties the buffer when nobody receives any more, we show what was lost.
                        statistics.open_receive_channels and statistics.current_buffer_used,
                        statistics.open_send_channels,
                        statistics.open_receive_channels,
                        statistics.tasks_waiting_send,
                        statistics.tasks_waiting_receive,
                    )
                )
            for scope in self.tasks:
                scope.cancel()
        return self.notes

    def step(self, step: int, nursery: trio.Nursery) -> None:
        sender, receiver = self.random.choice(self.senders), self.random.choice(self.receivers)
        match self.random.choices(range(8), [6, 6, 6, 6, 3, 1, 1, 1])[0]:
            case 0:
                self.note(step, lambda: sender.send_nowait(request(f"{step}")))
            case 1:
                self.note(step, lambda: self.settled(receiver, receiver.receive_nowait()))
            case 2:
                nursery.start_soon(self.do, step, sender.send, request(f"{step}"))
            case 3:
                nursery.start_soon(self.receive, step, receiver)
            case 4:
                if self.tasks:
                    self.random.choice(self.tasks).cancel()
            case 5:
                self.note(step, lambda: self.senders.append(sender.clone()))
                self.note(step, lambda: self.receivers.append(receiver.clone()))
            case 6:
                if len(self.senders) > 2 or self.random.random() < 0.1:
                    sender.close()
            case _:
                if len(self.receivers) > 2 or self.random.random() < 0.1:
                    receiver.close()

    def settled(self, receiver: Any, received: Request[Any]) -> str:
        self.settle(receiver, received)
        return received.id

    def note(self, step: int, function: Callable[[], object]) -> None:
        try:
            self.notes.append((step, function()))
        except Exception as error:
            self.notes.append((step, type(error)))

    async def receive(self, step: int, receiver: Any) -> None:
        async def receive() -> str:
            return self.settled(receiver, await receiver.receive())

        await self.do(step, receive)

    async def do(self, step: int, function: Callable[..., Awaitable[object]], *args: object) -> None:
        with trio.CancelScope() as scope:
            self.tasks.append(scope)
            try:
                self.notes.append(("done", step, await function(*args)))
            except Exception as error:
                self.notes.append(("raised", step, type(error)))
        if scope.cancelled_caught:
            self.notes.append(("cancelled", step))


def by_step(notes: list[object]) -> list[object]:
    """Tasks that end together note it in any order: sorted between two looks at the statistics."""
    sorted_notes: list[object] = []
    together: list[object] = []
    for note in notes:
        if isinstance(note, Look):
            sorted_notes += [*sorted(together, key=repr), note]
            together = []
        else:
            together.append(note)
    return sorted_notes


@pytest.mark.parametrize("size", [0, 1, 3, inf])
@pytest.mark.parametrize("seed", range(15))
async def test_it_does_as_trios_own_channel_does(seed: int, size: float) -> None:
    """Sent, received, cancelled, cloned and closed at random, with and without waiting: the same comes of it."""

    def ack(receiver: Receiver, received: Request[Any]) -> None:
        receiver._settle(received)

    trios_sender, trios_receiver = trio.open_memory_channel[Request[str]](size)
    trios = await Script(seed, trios_sender, trios_receiver, lambda receiver, received: None).play(120)
    sender, receiver = open_request_channel(size)
    ours = await Script(seed, sender, receiver, ack).play(120)

    assert by_step(ours) == by_step(trios)


# -- At random


class Crowd:
    """Senders, receivers and somebody who cancels and closes; what they know of each request."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.sender, self.receiver = open_request_channel(self.random.choice([0, 1, 2, 5, inf]))
        self.sent: dict[str, int] = {}
        self.ended: list[str] = []
        self.scopes: set[trio.CancelScope] = set()
        self.numbers = iter(range(1_000_000))

    async def rest(self) -> None:
        for _ in range(self.random.randrange(4)):
            await trio.lowlevel.checkpoint()
        if self.random.random() < 0.3:
            await trio.sleep(self.random.choice([0.5, 1, 2]))

    async def send(self) -> None:
        with self.sender.clone() as sender:
            for _ in range(self.random.randrange(1, 15)):
                name = f"{next(self.numbers)}"
                with trio.CancelScope() as scope:
                    self.scopes.add(scope)
                    with suppress(trio.WouldBlock):
                        if self.random.random() < 0.3:
                            sender.send_nowait(request(name))
                        else:
                            await sender.send(request(name))
                        self.sent.setdefault(name, 1)  # it may be back with another attempt already
                self.scopes.discard(scope)
                await self.rest()

    async def receive(self) -> None:
        with self.receiver.clone() as receiver:
            for _ in range(self.random.randrange(1, 15)):
                with trio.CancelScope() as scope:
                    self.scopes.add(scope)
                    with suppress(trio.WouldBlock, trio.EndOfChannel):
                        if self.random.random() < 0.3:
                            received = receiver.receive_nowait()
                        else:
                            received = await receiver.receive()
                        self.check(received)
                        await self.rest()
                        await self.settle(receiver, received)
                self.scopes.discard(scope)

    def check(self, received: Request[Any]) -> None:
        assert received.id not in self.ended
        assert received.attempt == self.sent.get(received.id, 1)

    async def settle(self, receiver: Receiver, received: Request[Any]) -> None:
        match self.random.randrange(5):
            case 0 | 1:
                self.ended.append(received.id)
                await receiver.ack(received)
            case 2:
                self.ended.append(received.id)
                await receiver.reject(received, "no")
            case 3:
                charge = self.random.random() < 0.5
                with trio.CancelScope(shield=True):  # or whether it was charged would not be known here
                    self.sent[received.id] = received.attempt + charge
                    await receiver.release(received, self.random.choice([0, 0, 1, 3]), charge=charge)
            case _:
                pass  # its handle's closing gives it back

    async def cancel(self) -> None:
        while True:
            await trio.sleep(0.7)
            if self.scopes:
                self.random.choice([*self.scopes]).cancel()

    async def be(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.cancel)
            async with trio.open_nursery() as crowd:
                for _ in range(5):
                    crowd.start_soon(self.send)
                    crowd.start_soon(self.receive)
                await trio.sleep(10)
                for _ in range(4):
                    crowd.start_soon(self.receive)
                await trio.sleep(30)
                crowd.cancel_scope.cancel()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(40))
async def test_nothing_is_lost_or_doubled(seed: int, autojump_clock: MockClock) -> None:
    """What was sent is settled once, or still there; what was cancelled before it was sent is nowhere."""
    crowd = Crowd(seed)
    await crowd.be()
    assert crowd.receiver.statistics().unsettled == 0
    left: list[str] = []
    crowd.sender.close()
    async for one in crowd.receiver:
        crowd.check(one)
        left.append(one.id)

    assert sorted([*crowd.ended, *left]) == sorted(crowd.sent)
    statistics = crowd.receiver.statistics()
    assert statistics.unsettled == len(left)
    assert (statistics.tasks_waiting_send, statistics.tasks_waiting_receive) == (0, 0)
    assert (statistics.open_send_channels, statistics.open_receive_channels) == (0, 1)


# -- What it leaves behind


async def test_a_channel_is_freed_with_its_handles() -> None:
    """By reference counts: nothing in it refers to itself for good."""
    sender, receiver = open_request_channel(1)
    async with trio.open_nursery() as nursery:
        tasks = await start_receiving(nursery, receiver)
        await sender.send(request("a"))
    await receiver.ack(request("a"))
    marker = [thing for thing in gc.get_objects() if thing is receiver._buffer]
    assert len(marker) == 1
    del marker, nursery
    gc.collect()
    gc.disable()
    try:
        identity = id(receiver._buffer)
        del sender, receiver, tasks
        assert not [thing for thing in gc.get_objects() if id(thing) == identity]
    finally:
        gc.enable()
