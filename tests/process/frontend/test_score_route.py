"""/v1/score and /score: the specification's forms and shape, long pairs, clients that leave."""

import threading
from typing import Any

import httpx
import pytest

from ipc.messages import Abort, SubmitScore
from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest
from tests.support.raw_http import post, send_raw
from tests.support.scripted_scheduler import ScriptedScheduler, answers_scores

pytestmark = pytest.mark.process


def test_a_client_that_leaves_ends_its_scoring(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    for ignored in ("", "x" * 100_000):  # Sanic pauses reading at 64 KiB
        body = {"text_1": "a", "text_2": ["b"] * 1000, "ignored": ignored}
        connection = send_raw(frontend, post("/v1/score", body))
        submit = scheduler.next(SubmitScore)
        connection.close()
        assert scheduler.next(Abort).stream_ids == submit.stream_id.to_bytes(8, "little")


def test_score_forms_and_shape(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_scores(lambda index: float(index))
    forms: list[tuple[Any, Any, int]] = [
        ("a", "b", 1),
        ("a", ["b", "c", "d"], 3),
        (["a"], ["b", "c"], 2),
        (["a", "b"], ["c", "d"], 2),
    ]
    for path in ("/v1/score", "/score"):
        for first, second, count in forms:
            body = {"model": "rank", "encoding_format": "float", "text_1": first, "text_2": second}
            reply = httpx.post(f"{frontend.url}{path}", json=body).json()
            assert set(reply) == {"id", "object", "created", "model", "data", "usage"}
            assert (reply["object"], reply["model"], reply["usage"]) == ("list", "rank", {})
            assert [set(item) for item in reply["data"]] == [{"index", "object", "score"}] * count
            assert [item["index"] for item in reply["data"]] == list(range(count))
            expected = [0.5, 0.7310585786300049, 0.8807970779778823][:count]
            assert [item["score"] for item in reply["data"]] == [[score] for score in expected]


def test_over_long_pair_is_cut_when_asked(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_scores(lambda index: 0.0)
    body = {"text_1": "a" * 10, "text_2": ["b", "c" * 9000], "truncate_prompt_tokens": -1}
    assert httpx.post(f"{frontend.url}/v1/score", json=body).status_code == 200
    assert scheduler.next(SubmitScore).lengths == b"".join(n.to_bytes(4, "little") for n in (12, 4096))


def test_the_loop_goes_on_while_a_long_text_is_tokenized(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler
) -> None:
    scheduler.answer = answers_scores(lambda index: 0.0)
    body = {"text_1": "a", "text_2": ["x" * 100] * 5000}
    thread = threading.Thread(target=lambda: httpx.post(f"{frontend.url}/v1/score", json=body, timeout=DEADLINE_S))
    thread.start()
    assert httpx.get(f"{frontend.url}/health").status_code == 200
    thread.join(DEADLINE_S)
