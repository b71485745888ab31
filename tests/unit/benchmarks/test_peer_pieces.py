"""Bytes of an answer become times."""

import pytest

from benchmarks.peers.pieces import generate_times, score_times

START = 10.0


def event(text: str) -> bytes:
    return b'data: {"choices":[{"index":0,"text":"%s","finish_reason":null}],"usage":null}\n\n' % text.encode()


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3}}\n\ndata: [DONE]\n\n'


def test_tokens_are_timed_by_the_piece_that_ends_their_event() -> None:
    first, second, third = event("a"), event("b"), event("c")
    pieces = [(11.0, first[:20]), (11.5, first[20:] + second), (12.5, third), (12.6, USAGE)]
    found = generate_times(10.25, pieces, START)
    assert (found.began, found.first, found.ended) == (0.25, 1.5, 2.5)
    assert found.gaps == [0.0, 1.0]
    assert (found.prompt_tokens, found.output_tokens, found.sample) == (5, 3, "abc")


def test_events_without_text_are_no_tokens() -> None:
    found = generate_times(10.0, [(11.0, event("")), (12.0, event("a")), (13.0, USAGE)], START)
    assert (found.first, found.gaps) == (2.0, [])


@pytest.mark.parametrize("body", [b"", event("a"), USAGE, b'data: {"error":{"message":"no"}}\n\n'])
def test_a_stream_without_text_or_usage_is_refused(body: bytes) -> None:
    with pytest.raises(RuntimeError, match=r"without text or usage|told an error"):
        generate_times(10.0, [(11.0, body)], START)


@pytest.mark.parametrize(
    "body",
    [
        b'{"object":"list","data":[{"index":1,"score":0.5},{"index":0,"score":0.25}],"usage":{"prompt_tokens":7}}',
        b'{"data":[{"index":1,"score":[0.5]},{"index":0,"score":[0.25]}]}',
        b'{"results":[{"index":1,"relevance_score":0.5},{"index":0,"relevance_score":0.25}]}',
    ],
)
def test_scores_come_in_the_order_of_the_documents(body: bytes) -> None:
    found = score_times(10.5, [(11.0, body[:9]), (12.0, body[9:])], START)
    assert found.scores == [0.25, 0.5]
    assert (found.began, found.ended) == (0.5, 2.0)


def test_an_answer_without_scores_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no scores"):
        score_times(10.0, [(11.0, b'{"data":[]}')], START)
