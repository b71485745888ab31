"""One chat answer on its way: what all APIs that hold conversations (chat completions, responses, messages) read.

open_chat: render -> tokenize -> check -> submit       ChatAnswer: tokens -> text -> parts -> news or results
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from frontend.answer_format import AnswerFormat, answer_format
from frontend.chat_choice import ChatChoice, ChoiceNews, ChoiceResult, FinishedCall
from frontend.chat_prompt import RenderedChat, chat_prompt
from frontend.completion_prompts import MAX_COUNTED, check_counted
from frontend.constraint import constraint
from frontend.generate import Choices, Order, Prompt, Usage
from frontend.logprob_rules import chat_logprobs
from frontend.output_tokens import OutputToken
from frontend.prompt_length import prompt_limit, side_that_gives_way, truncated
from frontend.reasoning.format import PLAIN
from frontend.reasoning_tokens import num_reasoning_tokens
from frontend.request_rules import check_prompt, generate_rules, output_limit
from frontend.schema_chat import ChatRequest
from frontend.serving import Serving
from frontend.stream_group import Sink
from frontend.text_model import TextModel
from frontend.token_stream import TokenStream
from frontend.tokenize import off_loop
from frontend.worker_rules import worker_rules
from ipc.token_rules import encode_rules

__all__ = ["ChatAnswer", "ChoiceNews", "ChoiceResult", "FinishedCall", "Usage", "open_chat"]

ENDPOINT = "/v1/chat/completions"
PARAM = "messages"


async def open_chat(
    serving: Serving,
    request: ChatRequest,
    num_body_chars: int,
    request_id: str,
    tenant: str = "",
    streams: bool | None = None,
) -> "ChatAnswer":
    """Renders, tokenizes, checks and submits. `streams`: each new text is news, otherwise only the end of a choice is;
    None takes the request's `stream`. Raises RequestError; nothing is open then. The result is a context manager."""
    model = serving.models.pick(request.model, "generate", ENDPOINT)
    rules = generate_rules(request, model.card, chat_logprobs(request, serving.config.max_logprobs), streams)
    # what is to be cut may give way on the left: then all of it must be known
    most = MAX_COUNTED * model.card.max_model_len if request.truncate_prompt_tokens is None else None
    rendered = await chat_prompt(request, model, serving.config.trust_request_chat_template, num_body_chars, most)
    if most is not None:
        check_counted(rendered.token_ids, model, PARAM)
    format_ = answer_format(model, request, rendered)
    grammar = await constraint(request, model, format_.forced, num_body_chars)
    asked = await off_loop(
        num_body_chars, lambda: encode_rules(worker_rules(request, model, grammar, format_.reasoning_end or ""))
    )
    order = Order(
        model=model,
        rules=rules,
        request_id=request_id,
        tenant=tenant,
        worker_rules=asked,
        shown=format_.shown_tokens if rules.hides_special else None,
        goes_on=rendered.continues,
        param=PARAM,
        logprobs_param="top_logprobs" if request.top_logprobs else "logprobs",
    )
    choices = Choices(serving, order, [_prompt(request, rendered, model)])
    await serving.to_scheduler.wait_for_scheduler()
    answer = ChatAnswer(choices, _Reading(rendered, format_, _echo(request, rendered)))
    choices.submit()
    return answer


def _prompt(request: ChatRequest, rendered: RenderedChat, model: TextModel) -> Prompt:
    wanted = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    limit = prompt_limit(request, wanted, model.card)
    token_ids = truncated(rendered.token_ids, limit, side_that_gives_way(request))
    check_prompt(token_ids, PARAM)
    return Prompt(token_ids, output_limit(len(token_ids), wanted, None, model.card, PARAM, PARAM))


def _echo(request: ChatRequest, rendered: RenderedChat) -> str:
    """The text before the answer: the last message, if it is of the same role."""
    return rendered.last_text if request.echo and rendered.last_role == "assistant" else ""


@dataclass(frozen=True)
class _Reading:
    """How the choices of one request are read."""

    rendered: RenderedChat
    format: AnswerFormat
    echo: str


class ChatAnswer:
    """All choices of one chat request. A context manager: leaving it aborts what is open."""

    def __init__(self, choices: Choices, reading: _Reading) -> None:
        self.model = choices.order.model
        self.rules = choices.order.rules
        self.num_choices = self.rules.num_choices
        self.prompt_token_ids: Sequence[int] = choices.prompts[0].token_ids
        self._streams = choices
        self._reading = reading
        self._choices = [
            ChatChoice(
                stream,
                reading.format.parser(),
                reading.format.finish_reason,
                reading.echo,
                self.rules.returns_token_ids,
            )
            for stream in choices.streams
        ]

    @property
    def is_open(self) -> bool:
        """`changed` will tell more."""
        return self._streams.is_open

    @property
    def prompt_logprobs(self) -> list[OutputToken] | None:
        """One for each prompt token, once the first output token has come; None when they were not asked for."""
        return self._streams.prompt_logprobs(0)

    @property
    def num_told(self) -> int:
        """Log-probabilities that a reply has to tell, about."""
        return self._streams.num_told

    @property
    def is_plain(self) -> bool:
        """All text of the streams is content: whoever reads it from them needs no news."""
        return all(choice.is_plain for choice in self._choices)

    async def changed(self) -> list[ChoiceNews]:
        """What is new since the last call, at most one entry a choice; waits for it. Raises the error of a choice that
        failed."""
        while True:
            news = self.news_of(await self._streams.changed())
            if news:
                return news

    async def changed_streams(self) -> list[TokenStream]:
        """As `changed`, before anything is parsed."""
        return await self._streams.changed()

    def news_of(self, streams: Sequence[TokenStream]) -> list[ChoiceNews]:
        """What is new of them; nothing where all of it is held back."""
        return [news for stream in streams if (news := self._choices[stream.choice].news()) is not None]

    def write_directly(self, encode: Callable[[list[TokenStream]], bytes], sink: Sink) -> None:
        """See `StreamGroup.write_directly`."""
        self._streams.write_directly(encode, sink)

    async def finished(self) -> list[ChoiceResult]:
        """Every choice, in order, once all have ended; instead of `changed`. Raises the error of one that failed."""
        streams = await self._streams.finished()
        return [self._choices[stream.choice].result(number) for number, stream in enumerate(streams)]

    def usage(self) -> Usage:
        """So far; thinking is counted when a choice has ended."""
        reasoning, rendered = self.model.reasoning_format or PLAIN, self._reading.rendered
        ended = [stream for stream in self._streams.streams if stream.is_finished] if reasoning is not PLAIN else []
        counts = (
            num_reasoning_tokens(stream.token_ids(), self.model.tokenizer, reasoning, rendered.opens_reasoning)
            for stream in ended
        )
        return self._streams.usage()._replace(reasoning_tokens=sum(counts))

    def __enter__(self) -> "ChatAnswer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._streams.__exit__(kind, error, trace)
