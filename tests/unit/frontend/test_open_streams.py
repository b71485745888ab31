"""The table gives each stream a number nobody had before."""

from frontend.open_streams import OpenStreams
from tests.support.frontend_streams import score_stream, token_stream


def test_numbers_and_order() -> None:
    streams = OpenStreams()
    first, second = token_stream(), score_stream([[1]])
    for stream in (first, second):
        streams.add(stream)
    assert streams.in_order() == [first, second]
    old = first.stream_id
    assert streams.remove([old]) == [old]
    streams.add(first)
    assert len({old, first.stream_id, second.stream_id}) == 3
    assert (streams.get(old), streams.get(first.stream_id)) == (None, first)
    assert streams.in_order() == [second, first]


def test_removing_tells_which_were_open() -> None:
    streams = OpenStreams()
    stream = token_stream()
    streams.add(stream)
    assert streams.remove([stream.stream_id, 99]) == [stream.stream_id]
    assert streams.remove([stream.stream_id]) == []
    assert len(streams) == 0
