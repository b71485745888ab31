"""/v1/score and /score: the specification's forms and shape, long pairs, clients that leave."""

import json
import threading
from collections.abc import Iterable
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Struct

from frontend.score_shapes import ScoreReply
from ipc.messages import Abort, SubmitScore
from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest
from tests.support.raw_http import post, send_raw
from tests.support.scripted_scheduler import Answer, ScriptedScheduler, answers_scores, score_rows

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


def events(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line and line != "data: [DONE]"]


def only_first_pairs(count: int) -> Answer:
    def answer(record: Struct) -> Iterable[Struct]:
        if isinstance(record, SubmitScore):
            for index in range(count):
                yield score_rows((record.stream_id, index, float(index)))

    return answer


def test_stream_sends_scores_as_they_come(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = only_first_pairs(2)
    body = {"text_1": "a", "text_2": ["b", "c", "d"], "stream": True, "activation": "raw"}
    with httpx.stream("POST", f"{frontend.url}/v1/score", json=body) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in reply.iter_lines() if line)
        chunks: list[Any] = []
        while sum(len(chunk["data"]) for chunk in chunks) < 2:
            chunks += events(next(lines))
        scheduler.send(score_rows((scheduler.next(SubmitScore).stream_id, 2, 2.0)))
        *rest, done = list(lines)
    assert done == "data: [DONE]"
    *more, last = [one for line in rest for one in events(line)]
    items = [item for chunk in chunks + more for item in chunk["data"]]
    assert [(item["index"], item["score"]) for item in items] == [(0, [0.0]), (1, [1.0]), (2, [2.0])]
    assert {chunk["object"] for chunk in (*chunks, *more, last)} == {"score.chunk"}
    assert last["data"] == []
    assert last["usage"] == {"prompt_tokens": 9, "total_tokens": 9, "completion_tokens": 0}


SOON_S = 0.2
BODY = {"text_1": "a", "text_2": ["b", "c", "d"], "use_activation": False}


def test_scores_that_came_in_time(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = only_first_pairs(2)
    reply = httpx.post(f"{frontend.url}/v1/score", json=BODY | {"timeout": SOON_S})
    assert reply.status_code == 200
    msgspec.convert(reply.json(), ScoreReply)
    assert reply.json()["partial"] is True
    assert [item["score"] for item in reply.json()["data"]] == [[0.0], [1.0], None]
    assert scheduler.next(Abort)  # the rest was given up


def test_no_score_came_in_time(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    for fields, headers in (({"timeout": SOON_S}, {}), ({"timeout": 60}, {"X-Request-Timeout": str(SOON_S)})):
        reply = httpx.post(f"{frontend.url}/v1/score", json=BODY | fields, headers=headers)
        assert reply.status_code == 504
        assert reply.json()["error"]["code"] == "deadline_exceeded"
        assert scheduler.next(Abort)


def test_a_stream_ends_with_an_error_event(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = only_first_pairs(2)
    reply = httpx.post(f"{frontend.url}/v1/score", json=BODY | {"timeout": SOON_S, "stream": True})
    *chunks, error = events(reply.text)
    assert sum(len(chunk["data"]) for chunk in chunks) == 2
    assert error["error"]["code"] == "deadline_exceeded"
    assert reply.text.endswith("data: [DONE]\n\n")
    assert scheduler.next(Abort)


@pytest.mark.parametrize(
    ("fields", "headers", "param"),
    [
        ({"timeout": 0}, {}, "timeout"),
        ({"timeout": "1"}, {}, "timeout"),
        ({"timeout": 1e9}, {}, "timeout"),
        ({}, {"X-Request-Timeout": "soon"}, "X-Request-Timeout"),
        ({"data_1": "a"}, {}, "data_1"),
        ({"text_2": {"content": [{"type": "image_url"}]}}, {}, "text_2.content[0].type"),
        ({"activation": "softmax", "use_activation": None}, {}, "activation"),
        ({"activation": "tanh"}, {}, "activation"),
        ({"text_2": ["b"] * 10_001}, {}, "text_2"),
        ({"instruction": "be kind"}, {}, "instruction"),
        ({"model": "chat"}, {}, "model"),
        ({"truncate_prompt_tokens": 0}, {}, "truncate_prompt_tokens"),
    ],
)
def test_refusals_name_the_field(
    frontend: FrontendUnderTest, fields: dict[str, Any], headers: dict[str, str], param: str
) -> None:
    reply = httpx.post(f"{frontend.url}/v1/score", json=BODY | fields, headers=headers)
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["param"] == param
