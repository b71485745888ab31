"""Streams gather text until their reader takes it, and end once."""

import asyncio

from frontend.byte_tokenizer import ByteDetokenizer
from frontend.open_streams import OpenStreams, ScoreStream, StreamGroup, TokenStream
from ipc.errors import ErrorCode
from ipc.messages import FinishReason


def make_stream(group: StreamGroup, stops: tuple[str, ...] = (), stream_id: int = 1) -> TokenStream:
    return TokenStream(stream_id, group, 0, ByteDetokenizer(), stops, (ord("Z"),))


def push(stream: TokenStream, text: str, finish: FinishReason = FinishReason.NONE) -> None:
    token_ids = text.encode()
    for number, token_id in enumerate(token_ids):
        is_last = number == len(token_ids) - 1
        stream.push(token_id, finish if is_last else FinishReason.NONE, 0)


async def news(group: StreamGroup) -> list[object]:
    async with asyncio.timeout(1):
        return list(await group.changed())


def test_a_slow_reader_gets_one_larger_delta() -> None:
    async def run() -> None:
        group = StreamGroup(tells_text=True)
        stream = make_stream(group)
        push(stream, "several tokens")
        assert await news(group) == [stream]
        assert stream.take_text() == "several tokens"
        assert stream.take_text() == ""

    asyncio.run(run())


def test_a_waiting_reader_is_woken_by_text_and_not_by_half_a_character() -> None:
    async def run() -> None:
        group = StreamGroup(tells_text=True)
        stream = make_stream(group)
        reader = asyncio.create_task(group.changed())
        stream.push("é".encode()[0], FinishReason.NONE, 0)
        await asyncio.sleep(0)
        assert not reader.done()
        stream.push("é".encode()[1], FinishReason.NONE, 0)
        assert await reader == [stream]
        assert stream.take_text() == "é"

    asyncio.run(run())


def test_only_the_end_is_news_when_nobody_wants_parts() -> None:
    async def run() -> None:
        group = StreamGroup(tells_text=False)
        stream = make_stream(group)
        reader = asyncio.create_task(group.changed())
        push(stream, "abc")
        await asyncio.sleep(0)
        assert not reader.done()
        push(stream, "d", FinishReason.LENGTH)
        assert await reader == [stream]
        assert (stream.take_text(), stream.finish_reason, stream.num_tokens) == ("abcd", "length", 4)

    asyncio.run(run())


def test_held_back_text_is_delivered_at_the_end() -> None:
    stream = make_stream(StreamGroup(tells_text=True), ("stop",))
    push(stream, "a st", FinishReason.LENGTH)
    assert stream.take_text() == "a st"


def test_stop_string() -> None:
    stream = make_stream(StreamGroup(tells_text=True), ("stop",))
    push(stream, "a stop")
    assert (stream.take_text(), stream.finish_reason, stream.stop_reason) == ("a ", "stop", "stop")
    assert stream.is_finished


def test_stop_token_is_counted_but_not_shown() -> None:
    for token_id, stop_reason in ((256, None), (ord("Z"), ord("Z"))):
        stream = make_stream(StreamGroup(tells_text=True))
        push(stream, "ab")
        stream.push(token_id, FinishReason.STOP, 0)
        assert (stream.take_text(), stream.finish_reason, stream.stop_reason) == ("ab", "stop", stop_reason)
        assert stream.num_tokens == 3


def test_an_unfinished_character_at_the_end_is_dropped() -> None:
    stream = make_stream(StreamGroup(tells_text=True))
    stream.push(ord("a"), FinishReason.NONE, 0)
    stream.push(0xE6, FinishReason.LENGTH, 0)
    assert stream.take_text() == "a"


def test_fail_all_ends_each_stream_with_one_error() -> None:
    async def run() -> None:
        streams = OpenStreams()
        group = StreamGroup(tells_text=True)
        first, second = make_stream(group, stream_id=1), make_stream(group, stream_id=2)
        streams.add(first)
        streams.add(second)
        streams.fail_all(ErrorCode.SCHEDULER_LOST, "gone")
        assert await news(group) == [first, second]
        assert first.error is not None
        assert first.error.code is ErrorCode.SCHEDULER_LOST
        assert len(streams) == 0

    asyncio.run(run())


def test_scores_in_any_order_and_twice() -> None:
    async def run() -> None:
        group = StreamGroup(tells_text=False)
        stream = ScoreStream(1, group, 2)
        for index, logit in ((1, 2.0), (1, 9.0), (5, 1.0), (0, 1.0)):
            assert not stream.is_finished
            stream.push(index, logit)
        assert await news(group) == [stream]
        assert stream.logits.tolist() == [1.0, 2.0]

    asyncio.run(run())


def test_removing_tells_which_were_open() -> None:
    streams = OpenStreams()
    stream = make_stream(StreamGroup(tells_text=True), stream_id=streams.new_id())
    streams.add(stream)
    assert streams.new_id() != stream.stream_id
    assert streams.remove([stream.stream_id, 99]) == [stream.stream_id]
    assert streams.remove([stream.stream_id]) == []
