"""Pairs come in any order, count once, and only the missing ones are asked for again."""

import asyncio

import numpy as np

from frontend.score_stream import ScoreStream
from frontend.stream_group import StreamGroup
from tests.support.frontend_streams import pairs_of, score_stream

PAIRS = [[1, 2], [3], [4, 5, 6], [7]]


def test_scores_in_any_order_and_twice() -> None:
    async def run() -> None:
        group: StreamGroup[ScoreStream] = StreamGroup(tells_text=False)
        stream = score_stream(PAIRS[:2], group)
        for index, logit in ((1, 2.0), (1, 9.0), (5, 1.0), (-1, 1.0), (0, 1.0)):
            assert not stream.is_finished
            stream.push(index, logit)
        assert await group.changed() == [stream]
        assert stream.scores.tolist() == [1.0, 2.0]

    asyncio.run(run())


def test_only_missing_pairs_are_asked_for_again() -> None:
    stream = score_stream(PAIRS, types=True)
    first = stream.submission()
    assert (pairs_of(first), first.resumes) == (PAIRS, False)
    stream.submitted()
    stream.push(2, 0.2)
    stream.push(0, 0.0)
    second = stream.submission()
    stream.submitted()
    assert (pairs_of(second), second.resumes) == ([[3], [7]], True)
    assert np.frombuffer(second.token_type_ids, "<i4").tolist() == [103, 107]
    stream.push(1, 0.5)  # of the second submission: pair 3
    stream.push(2, 9.0)  # there is none
    third = stream.submission()
    assert pairs_of(third) == [[3]]
    stream.push(0, 0.25)
    assert stream.is_finished
    assert stream.scores.tolist() == [0.0, 0.25, np.float32(0.2), 0.5]


def test_several_labels() -> None:
    submit = score_stream(PAIRS[:2]).submission()
    stream = ScoreStream(submit, StreamGroup(tells_text=False), num_labels=3)
    stream.push(1, np.array([1, 2, 3], np.float32))
    assert np.isnan(stream.logits[0]).all()
    stream.push(0, np.array([4, 5, 6], np.float32))
    assert stream.is_finished
    assert stream.logits.tolist() == [[4.0, 5.0, 6.0], [1.0, 2.0, 3.0]]
    assert stream.scores.tolist() == [4.0, 1.0]


def test_nothing_is_copied_while_nothing_has_come() -> None:
    stream = score_stream(PAIRS)
    assert stream.submission().token_ids is stream.submission().token_ids
    assert stream.submission().token_type_ids == b""


def test_resubmissions_without_a_pair_are_counted() -> None:
    stream = score_stream(PAIRS)
    for expected in (0, 1, 2):
        stream.submitted()
        assert stream.resubmissions_in_vain == expected
    stream.push(0, 1.0)
    assert stream.resubmissions_in_vain == 0
