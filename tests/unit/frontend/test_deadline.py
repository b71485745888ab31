"""The time a request was given: the shorter of header and field, what is cancelled, and who is told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from frontend.deadline import HEADER, MAX_TIMEOUT_S, Deadline, header_timeout
from ipc.errors import ErrorCode, RequestError

SOON_S = 0.01


def run(test: Callable[[], Awaitable[Any]]) -> Any:
    async def within() -> Any:
        async with asyncio.timeout(5.0):
            return await test()

    return asyncio.run(within())


async def later(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    reached = loop.create_future()
    loop.call_later(seconds, reached.set_result, None)
    await reached


@pytest.mark.parametrize(("value", "seconds"), [("0.5", 0.5), (" 30 ", 30.0), ("86400", 86400.0), (None, None)])
def test_header(value: str | None, seconds: float | None) -> None:
    assert header_timeout(value) == seconds


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e3", "soon", "", "86401", "0x10", "1_0", "9" * 5000])
def test_bad_header(value: str) -> None:
    with pytest.raises(RequestError, match=str(MAX_TIMEOUT_S)) as caught:
        header_timeout(value)
    assert (caught.value.code, caught.value.param) == (ErrorCode.INVALID_REQUEST, HEADER)


def test_the_shorter_one_counts() -> None:
    async def check() -> None:
        for first, second, kept in [(2.0, 1.0, 1.0), (1.0, 2.0, 1.0), (None, 3.0, 3.0), (3.0, None, 3.0)]:
            deadline = Deadline(first)
            began = asyncio.get_running_loop().time()
            deadline.tighten(second)
            assert deadline.at is not None
            assert kept - 0.5 < deadline.at - began <= kept
        assert Deadline().at is None
        assert not Deadline().is_over

    run(check)


def test_what_takes_longer_is_cancelled() -> None:
    cancelled: list[str] = []

    async def work() -> None:
        async with Deadline(SOON_S).guard():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append("work")
                raise

    with pytest.raises(RequestError) as caught:
        run(work)
    assert cancelled == ["work"]
    assert caught.value.code is ErrorCode.DEADLINE_EXCEEDED
    assert "0.01 s" in str(caught.value)


def test_tightened_inside_an_open_guard() -> None:
    async def work() -> None:
        deadline = Deadline()
        async with deadline.guard():
            deadline.tighten(SOON_S)
            await asyncio.Event().wait()

    with pytest.raises(RequestError):
        run(work)


def test_the_innermost_guard_acts_and_leaves_time_to_answer() -> None:
    async def check() -> str:
        deadline = Deadline(SOON_S)
        async with deadline.guard():
            try:
                async with deadline.guard():
                    await asyncio.Event().wait()
            except RequestError:
                assert deadline.is_over
                await later(2 * SOON_S)  # the outer guard must not act in it
                return "answered"
        raise AssertionError("the inner guard did not act")

    assert run(check) == "answered"


def test_after_an_inner_guard_that_was_in_time_the_outer_one_acts() -> None:
    async def work() -> None:
        deadline = Deadline(SOON_S)
        async with deadline.guard():
            async with deadline.guard():
                pass
            await asyncio.Event().wait()

    with pytest.raises(RequestError):
        run(work)


def test_other_errors_and_cancellations_pass() -> None:
    async def check() -> None:
        with pytest.raises(TimeoutError):
            async with Deadline(5.0).guard():
                raise TimeoutError
        task = asyncio.create_task(wait_guarded())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def wait_guarded() -> None:
        async with Deadline(5.0).guard():
            await asyncio.Event().wait()

    run(check)
