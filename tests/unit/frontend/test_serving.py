"""Requests that come before the models: refused at the server's start, made to wait where a frontend is replaced."""

import asyncio

import pytest

from frontend.serving import Serving
from frontend.text_model import TextModels
from ipc.config import FrontendConfig
from ipc.errors import ErrorCode, RequestError
from ipc.metrics_page import MetricsPage


def serving(epoch: int) -> Serving:
    config = FrontendConfig(
        frontend_id=0,
        epoch=epoch,
        metrics_slot=0,
        scheduler_address="ipc:///nowhere",
        runtime_dir="",
        max_body_bytes=1024,
        shutdown_timeout_s=1.0,
    )
    return Serving(config, MetricsPage.create(["m"], 1))


def test_a_successor_lets_requests_wait_for_its_models() -> None:
    """A client's connection reached the new process before its tokenizers were there: 503, on a ready server."""

    async def run() -> None:
        successor = serving(epoch=2)
        waiting = asyncio.create_task(successor.wait_for_models())
        await asyncio.sleep(0)
        assert not waiting.done()
        successor.models_loaded(TextModels([]))
        await asyncio.wait_for(waiting, 5.0)
        assert successor.models.models == ()

    asyncio.run(run())


def test_the_first_of_all_refuses_them() -> None:
    first = serving(epoch=1)
    asyncio.run(first.wait_for_models())
    with pytest.raises(RequestError, match="models are loading") as refused:
        _ = first.models
    assert refused.value.code is ErrorCode.NOT_READY
