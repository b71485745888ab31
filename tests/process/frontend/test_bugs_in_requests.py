"""A bug in the text of one request ends that request with one error, and nobody else notices."""

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ipc.messages import Abort, FinishReason, SubmitGenerate
from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest, fake_cards
from tests.support.scripted_scheduler import ScriptedScheduler, token_rows

pytestmark = pytest.mark.process

TOOLS = [{"type": "function", "function": {"name": "f"}}]
GOES_ON = FinishReason.NONE


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[FrontendUnderTest, ScriptedScheduler]]:
    with tempfile.TemporaryDirectory(prefix="zl", ignore_cleanup_errors=True) as folder:
        scheduler = ScriptedScheduler(Path(folder))
        frontend = FrontendUnderTest(
            Path(folder), scheduler.address, fake_cards(), module="tests.support.broken_frontend", log_level="error"
        )
        try:
            frontend.load_models()
            yield frontend, scheduler
        finally:
            frontend.close()
            scheduler.close()


def chat(content: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], "tools": TOOLS, "stop": ["never"], **fields}


@pytest.mark.parametrize("content", ["%tokenizer%", "%template%"])
@pytest.mark.parametrize("stream", [False, True])
def test_before_it_is_submitted(pair: tuple[FrontendUnderTest, ScriptedScheduler], content: str, stream: bool) -> None:
    frontend, _ = pair
    reply = httpx.post(f"{frontend.url}/v1/chat/completions", json=chat(content, stream=stream), timeout=DEADLINE_S)
    assert reply.status_code == 500
    assert reply.json()["error"]["code"] == "internal_error"


@pytest.mark.parametrize("char", ["1", "2", "3"])
@pytest.mark.parametrize("stream", [False, True])
def test_while_it_runs(pair: tuple[FrontendUnderTest, ScriptedScheduler], char: str, stream: bool) -> None:
    frontend, scheduler = pair
    scheduler.forget()
    url = f"{frontend.url}/v1/chat/completions"
    with ThreadPoolExecutor(2) as pool:
        broken = pool.submit(httpx.post, url, json=chat("breaks", stream=stream), timeout=DEADLINE_S)
        victim = scheduler.next(SubmitGenerate).stream_id
        other = pool.submit(httpx.post, url, json=chat("fine"), timeout=DEADLINE_S)
        innocent = scheduler.next(SubmitGenerate).stream_id
        for position, (one, two) in enumerate(zip("ab" + char, "xyz", strict=True)):
            scheduler.send(token_rows((victim, position, ord(one), GOES_ON), (innocent, position, ord(two), GOES_ON)))
        if char == "3" and not stream:  # the text of a whole reply is looked at when it is complete
            scheduler.send(token_rows((victim, 3, ord("!"), FinishReason.LENGTH)))
        else:
            given_up = np.frombuffer(scheduler.next(Abort).stream_ids, "<u8").tolist()
            assert given_up == [victim]
        check_one_error(broken.result(DEADLINE_S), stream)
        scheduler.send(token_rows((innocent, 3, ord("."), FinishReason.LENGTH)))
        assert other.result(DEADLINE_S).json()["choices"][0]["message"]["content"] == "xyz."
    assert frontend.process.poll() is None


def check_one_error(reply: httpx.Response, stream: bool) -> None:
    if not stream:
        assert reply.status_code == 500
        assert reply.json()["error"]["code"] == "internal_error"
        return
    if reply.status_code == 500:  # nothing had been sent yet
        assert reply.json()["error"]["code"] == "internal_error"
        return
    *events, last = [line for line in reply.text.split("\n\n") if line]
    errors = [event for event in events if '"error"' in event]
    assert errors == events[-1:]
    assert json.loads(errors[0].removeprefix("data: "))["error"]["code"] == "internal_error"
    assert last == "data: [DONE]"
