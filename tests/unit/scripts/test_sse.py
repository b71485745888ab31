"""Events come out whole however the bytes were cut."""

from hypothesis import given
from hypothesis import strategies as st

from scripts.load_testing.sse import SseParser

PAYLOADS = st.lists(st.binary(min_size=1).filter(lambda data: b"\n" not in data and b"\r" not in data), max_size=6)


def test_one_event_in_one_piece() -> None:
    assert SseParser().feed(b'data: {"a":1}\n\n') == [b'{"a":1}']


def test_several_events_in_one_piece() -> None:
    assert SseParser().feed(b"data: a\n\ndata: b\n\ndata: [DONE]\n\n") == [b"a", b"b", b"[DONE]"]


def test_an_event_without_its_end_waits() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [b"a"]


def test_lines_of_one_event_are_joined() -> None:
    assert SseParser().feed(b"data: a\ndata: b\n\n") == [b"a\nb"]


def test_comments_and_other_fields_are_passed_over() -> None:
    assert SseParser().feed(b": ping\n\nevent: x\nid: 1\ndata: a\n\n") == [b"a"]


def test_carriage_returns_belong_to_the_line_ends() -> None:
    assert SseParser().feed(b"data: a\r\n\r\ndata:b\r\n\r\n") == [b"a", b"b"]


@given(PAYLOADS, st.integers(1, 9))
def test_any_cut_gives_the_same_events(payloads: list[bytes], piece_length: int) -> None:
    stream = b"".join(b"data: " + payload + b"\n\n" for payload in payloads)
    parser = SseParser()
    events: list[bytes] = []
    for begin in range(0, len(stream), piece_length):
        events += parser.feed(stream[begin : begin + piece_length])
    assert events == payloads
