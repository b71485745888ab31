"""Whatever way a text is cut into deltas: the output ends before the first stop string, and no part of one leaves."""

import tracemalloc

from hypothesis import example, given, settings
from hypothesis import strategies as st

from frontend.stop_strings import StopStrings

letters = st.text("abc", max_size=30)
stop_lists = st.lists(st.text("abc", min_size=1, max_size=5), max_size=4)


def reference(text: str, stops: list[str]) -> tuple[str, str | None]:
    """Reads character by character; the longest stop string that is complete first ends the text."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            longest = max(complete, key=len)
            return text[: end - len(longest)], longest
    return text, None


@settings(deadline=None)
@given(st.lists(letters, max_size=8), stop_lists)
@example(["a", "b", "c"], ["abc"])
@example(["ab", "ab", "c"], ["abc"])
@example(["abcab"], ["bc", "abcab"])
@example(["aab"], ["ab", "aab"])
def test_any_division_gives_the_same(deltas: list[str], stops: list[str]) -> None:
    watcher = StopStrings(stops)
    given_out = ""
    for delta in deltas:
        given_out += watcher.push(delta)
        # what has left so far is a beginning of the final output: nothing is ever taken back
        assert reference("".join(deltas), stops)[0].startswith(given_out)
    given_out += watcher.finish()
    assert (given_out, watcher.matched) == reference("".join(deltas), stops)


def test_nothing_is_held_back_without_need() -> None:
    watcher = StopStrings(["stop"])
    assert watcher.push("a sto") == "a "
    assert watcher.push("ne st") == "stone "
    assert watcher.finish() == "st"


def test_text_after_a_match_is_swallowed() -> None:
    watcher = StopStrings(["."])
    assert watcher.push("One. Two") == "One"
    assert watcher.push(" Three") == ""
    assert watcher.finish() == ""
    assert watcher.matched == "."


def test_a_stop_string_can_be_included() -> None:
    stops = StopStrings(["stop"], included=True)
    assert stops.push("a st") + stops.push("opped") == "a stop"
    assert stops.matched == "stop"


def test_a_stream_keeps_no_table_of_beginnings() -> None:
    """It took 10 MB and 11 ms for each of a request's streams."""
    stops = [chr(ord("a") + number) * 1024 for number in range(16)]
    tracemalloc.start()
    try:
        watcher = StopStrings(stops)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert watcher.push("xa" + "b" * 1000) == "xa"
    assert watcher.push("c") == "b" * 1000
    assert watcher.push("c" * 1024) == ""
    assert watcher.matched == "c" * 1024
