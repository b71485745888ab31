"""Waiting for a scheduler, and giving streams up on a link that is full or made anew."""

import asyncio

from tests.support.frontend_streams import RecordingSender

DEADLINE_S = 10.0


def new_sender() -> RecordingSender:
    sender = RecordingSender()
    sender.connect(lambda frame: None)
    return sender


def test_waiting_goes_on_when_it_is_lost_before_the_waiter_has_its_turn() -> None:
    """The waiter was woken by the first Welcome, and submitted to nobody."""

    async def run() -> None:
        sender = new_sender()
        waiter = asyncio.create_task(sender.wait_for_scheduler())
        await asyncio.sleep(0)
        sender.welcomed()
        sender.connect(lambda frame: None)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiter.done()
        sender.welcomed()
        await asyncio.wait_for(waiter, DEADLINE_S)

    asyncio.run(run())


def test_who_has_not_said_welcome_has_no_stream_to_give_up() -> None:
    async def run() -> None:
        sender = new_sender()
        sender.abort([1, 2])
        sender.welcomed()
        assert sender.aborted() == []
        sender.abort([3])
        assert sender.aborted() == [3]

    asyncio.run(run())


def test_a_full_link_gets_the_aborts_later_and_in_order() -> None:
    async def run() -> None:
        sender = new_sender()
        sender.welcomed()
        sender.takes_aborts = False
        sender.abort([1])
        sender.abort([2, 3])
        sender.takes_aborts = True
        aborted: list[int] = []
        while len(aborted) < 3:
            await asyncio.sleep(0.001)  # its timer is the event
            aborted += sender.aborted()
        assert aborted == [1, 2, 3]

    asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


def test_aborts_for_the_dead_scheduler_do_not_reach_its_successor() -> None:
    async def run() -> None:
        sender = new_sender()
        sender.welcomed()
        sender.takes_aborts = False
        sender.abort([1])
        sender.connect(lambda frame: None)
        sender.takes_aborts = True
        sender.welcomed()
        sender.abort([2])
        assert sender.aborted() == [2]
        assert sender._abort_timer is None

    asyncio.run(run())
