"""A choice of a chat answer: news and result have the same parts, tokens and ends."""

from collections.abc import Callable

import pytest

from frontend.answer_parts import CallArguments, CallBegin, Content, OutputParser, Part, Reasoning
from frontend.chat_choice import ChatChoice, ChoiceNews, FinishedCall, finished_calls, joined
from frontend.drawn_logprobs import Drawn
from frontend.stream_group import StreamGroup
from frontend.text_parser import PlainParser
from frontend.token_stream import TokenStream
from ipc.messages import FinishReason
from tests.support.frontend_streams import token_stream


class ShoutParser:
    """Upper case is thinking, digits are arguments of one call, "!" is held back until something follows."""

    def __init__(self) -> None:
        self._held = ""
        self._calls = False

    def push(self, text: str) -> list[Part]:
        text = self._held + text
        kept = text.rstrip("!")
        self._held = text[len(kept) :]
        return [part for char in kept for part in self._parts(char)]

    def finish(self) -> list[Part]:
        return [Content(self._held)] if self._held else []

    def _parts(self, char: str) -> list[Part]:
        if not char.isdigit():
            return [Reasoning(char) if char.isupper() else Content(char)]
        begin: list[Part] = [] if self._calls else [CallBegin(0, "call_0", "f")]
        self._calls = True
        return [*begin, CallArguments(0, char)]


def named(reason: str, num_calls: int) -> str:
    return f"{reason} after {num_calls}"


def choice_of(
    parser: Callable[[], OutputParser] = ShoutParser, echo: str = "", num_logprobs: int = -1, tells: bool = True
) -> tuple[TokenStream, ChatChoice]:
    stream = token_stream(StreamGroup(tells), num_logprobs=num_logprobs)
    return stream, ChatChoice(stream, parser(), named, echo, tells_token_ids=True)


def push(stream: TokenStream, text: str, finish: FinishReason = FinishReason.NONE) -> None:
    drawn = Drawn(-1.0, 1, []) if stream.num_logprobs >= 0 else None
    for number, token_id in enumerate(text.encode(), 1):
        stream.push(token_id, finish if number == len(text.encode()) else FinishReason.NONE, 0, drawn)


TEXT = "THa4b2!c!"


@pytest.mark.parametrize("length", [1, 2, 100])
def test_news_together_are_the_result(length: int) -> None:
    stream, choice = choice_of(num_logprobs=0)
    news: list[ChoiceNews] = []
    for start in range(0, len(TEXT), length):
        is_last = start + length >= len(TEXT)
        push(stream, TEXT[start : start + length], FinishReason.LENGTH if is_last else FinishReason.NONE)
        news += [one for one in [choice.news()] if one is not None]
    whole_stream, whole = choice_of(num_logprobs=0, tells=False)
    push(whole_stream, TEXT, FinishReason.LENGTH)
    result = whole.result(7)
    assert joined([part for one in news for part in one.parts]) == result.parts
    assert [token for one in news for token in one.tokens] == result.tokens
    assert [token_id for one in news for token_id in one.token_ids] == result.token_ids == list(TEXT.encode())
    assert [one.finish_reason for one in news] == [None] * (len(news) - 1) + [result.finish_reason]
    assert (result.choice, result.content, result.reasoning) == (7, "ab!c!", "TH")
    assert result.calls == [FinishedCall("call_0", "f", "42")]
    assert result.finish_reason == "length after 1"


def test_no_news_while_all_is_held_back() -> None:
    """Neither of text nor of its tokens: they come together with the text."""
    stream, choice = choice_of(num_logprobs=0)
    push(stream, "!")
    assert choice.news() is None
    push(stream, "a")
    news = choice.news()
    assert news is not None
    assert (len(news.parts), len(news.tokens), news.token_ids) == (2, 2, [33, 97])


def test_the_end_is_news_without_parts() -> None:
    stream, choice = choice_of()
    stream.push(256, FinishReason.STOP, 0)
    assert choice.news() == ChoiceNews(0, [], [], "stop after 0", None, [256])


@pytest.mark.parametrize("parser", [ShoutParser, PlainParser])
def test_an_echo_comes_first(parser: Callable[[], OutputParser]) -> None:
    stream, choice = choice_of(parser, echo="once ")
    push(stream, "more", FinishReason.LENGTH)
    news = choice.news()
    assert news is not None
    assert joined(news.parts) == [Content("once more")]


def test_content_is_null_only_beside_something_else() -> None:
    for text, content in (("", ""), ("T", None), ("4", None)):
        stream, choice = choice_of()
        push(stream, text)
        stream.push(256, FinishReason.STOP, 0)
        assert choice.result(0).content == content


def test_plain_text_is_content() -> None:
    stream, choice = choice_of(PlainParser)
    push(stream, "T4!", FinishReason.LENGTH)
    assert choice.result(0).parts == [Content("T4!")]


def test_calls_in_the_order_of_their_beginning() -> None:
    parts: list[Part] = [
        CallBegin(0, "a", "f"),
        CallBegin(1, "b", "g"),
        CallArguments(1, "{}"),
        CallArguments(0, "["),
        CallArguments(0, "]"),
    ]
    assert finished_calls(parts) == [FinishedCall("a", "f", "[]"), FinishedCall("b", "g", "{}")]
