"""The two rates of a known course of events."""

import pytest

from benchmarks.overhead.timeline import Timeline, rates


def timeline_of(*events: tuple[float, int, int]) -> Timeline:
    return Timeline(start=0.0, events=list(events))


def test_only_the_window_in_which_all_streams_decode_counts() -> None:
    events = [(1.0, 0, 1), (2.0, 0, 1), (2.0, 1, 1), (3.0, 0, 1), (3.0, 1, 1), (4.0, 0, 1), (4.0, 1, 1), (5.0, 1, 1)]
    found = rates(timeline_of(*events), num_streams=2, tokens_per_stream=4)
    assert found.decode == pytest.approx(2.0)  # 4 tokens in the 2 seconds after stream 1 began and until stream 0 ended
    assert found.run == pytest.approx(8 / 5)
    assert (found.decode_s, found.run_s, found.events_per_token) == (2.0, 5.0, 1.0)


def test_events_that_hold_several_tokens_stand_for_their_share() -> None:
    events = [(1.0, 0, 1), (2.0, 0, 1), (3.0, 0, 1), (4.0, 0, 1)]
    found = rates(timeline_of(*events), num_streams=1, tokens_per_stream=8)
    assert found.events_per_token == 0.5
    assert found.decode == pytest.approx(2.0)


def test_a_missing_stream_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 of 2 streams"):
        rates(timeline_of((1.0, 0, 1), (2.0, 0, 1)), num_streams=2, tokens_per_stream=2)


def test_streams_that_never_decode_together_are_an_error() -> None:
    events = [(1.0, 0, 1), (2.0, 0, 1), (3.0, 1, 1), (4.0, 1, 1)]
    with pytest.raises(ValueError, match="more output tokens"):
        rates(timeline_of(*events), num_streams=2, tokens_per_stream=2)
