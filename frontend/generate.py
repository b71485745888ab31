"""Opens the streams of a completions or chat request with the scheduler; gives them up when it ends early."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from frontend.drawn_logprobs import SpelledPrompt, spell
from frontend.output_tokens import OutputToken
from frontend.request_rules import GenerateRules, check_min_tokens, choice_sampling, token_column
from frontend.request_size import (
    check_fits_queue,
    check_num_streams,
    check_output_logprobs,
    check_prompt_logprobs,
    check_rules_size,
)
from frontend.serving import Serving
from frontend.stream_group import Sink, StreamGroup
from frontend.text_model import TextModel
from frontend.token_stream import TextRules, TokenStream
from ipc.errors import RequestError
from ipc.messages import SubmitGenerate


@dataclass(frozen=True)
class Prompt:
    """One prompt and the output it may have, in tokens."""

    token_ids: Sequence[int]
    max_tokens: int  # 0: only the prompt is wanted; the engine draws a token nevertheless, and it is dropped


@dataclass(frozen=True)
class Order:
    """What the streams of one request have in common."""

    model: TextModel
    rules: GenerateRules
    request_id: str
    tenant: str
    worker_rules: bytes  # an encoded TokenRules
    shown: frozenset[str] | None  # special tokens that are part of the text; None: all
    goes_on: bool  # the text goes on where the prompt's ends, and does not begin anew
    param: str  # the field that the prompts come from
    logprobs_param: str = "logprobs"  # the field that asks for the output's log-probabilities


class Usage(NamedTuple):
    """Tokens over all choices: a prompt counts once, however many choices it has."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int  # of the prompts', found in the prefix cache
    reasoning_tokens: int = 0  # of the completions', the thinking and its closing tag


class Choices:
    """All choices of one request: index = prompt index * n + i. A context manager: leaving it aborts what is open."""

    def __init__(self, serving: Serving, order: Order, prompts: Sequence[Prompt]) -> None:
        """Raises RequestError for a request that can never be served."""
        rules = order.rules
        check_num_streams(len(prompts), rules.num_drawn, order.param)
        lengths = [len(prompt.token_ids) for prompt in prompts]
        check_fits_queue(lengths, rules.num_drawn, serving.config.max_waiting_tokens, order.param)
        check_rules_size(len(order.worker_rules), len(prompts) * rules.num_drawn, order.param)
        check_prompt_logprobs(lengths, rules.num_drawn, rules.logprobs.num_prompt)
        if not rules.stream:
            limits = [prompt.max_tokens for prompt in prompts]
            check_output_logprobs(limits, rules.num_drawn, rules.logprobs.num_output, order.logprobs_param)
        self.prompts = prompts
        self.order = order
        self._serving = serving
        self._group: StreamGroup[TokenStream] = StreamGroup(tells_text=rules.stream)
        self.streams = self._new_streams()
        self._num_open = len(self.streams)  # streams whose end `changed` has not told yet

    def submit(self) -> None:
        """Hands all streams to the scheduler. Raises RequestError when the link is full; none is open then."""
        try:
            for stream in self.streams:
                self._serving.submissions.open(stream)
        except RequestError:
            self._serving.submissions.close(self.streams)
            raise

    @property
    def is_open(self) -> bool:
        """`changed` will tell more."""
        return self._num_open > 0

    async def changed(self) -> list[TokenStream]:
        """The choices with something new; waits for it. Raises the error of a choice that failed."""
        changed = await self._group.changed()
        for stream in changed:
            if stream.error is not None:
                raise stream.error
            if stream.finish_reason is not None:  # the last news of a stream, told once
                self._num_open -= 1
        return changed

    def write_directly(self, encode: Callable[[list[TokenStream]], bytes], sink: Sink) -> None:
        """See `StreamGroup.write_directly`; `changed` tells the ends, and what a slow client could not take."""
        self._group.write_directly(encode, sink)

    async def finished(self) -> list[TokenStream]:
        """The choices of the reply in their order, once all have ended: with `best_of` the likeliest ones of each
        prompt, best first. Raises the error of one that failed."""
        while self.is_open:
            await self.changed()
        rules = self.order.rules
        if not rules.keeps_best:
            return self.streams
        drawn = [
            self.streams[start : start + rules.num_drawn] for start in range(0, len(self.streams), rules.num_drawn)
        ]
        best = [
            sorted(of_prompt, key=lambda s: s.mean_logprob, reverse=True)[: rules.num_choices] for of_prompt in drawn
        ]
        return [stream for of_prompt in best for stream in of_prompt]

    def usage(self) -> Usage:
        """So far."""
        num_cached = sum(stream.num_cached for stream in self.streams[:: self.order.rules.num_drawn])
        return Usage(
            prompt_tokens=sum(len(prompt.token_ids) for prompt in self.prompts),
            completion_tokens=sum(stream.num_tokens for stream in self.streams),
            cached_tokens=num_cached,
        )

    @property
    def num_told(self) -> int:
        """Log-probabilities that a reply has to tell, about: building it takes about 2 us each."""
        logprobs = self.order.rules.logprobs
        num_prompt = sum(len(prompt.token_ids) for prompt in self.prompts) * self.order.rules.num_choices
        num_output = sum(stream.num_tokens for stream in self.streams)
        return num_prompt * (logprobs.num_prompt + 1) + num_output * (logprobs.num_output + 1)

    def prompt_logprobs(
        self, prompt: int, spelled: SpelledPrompt | None = None, choice: TokenStream | None = None
    ) -> list[OutputToken] | None:
        """Of each token of a prompt. None: they were not asked for. Those of its first choice are complete when that
        one's first output token has come; in a streamed reply every `choice` has its own. `spelled`: where the caller
        knows the prompt's text already."""
        order = self.order
        first = self.streams[prompt * order.rules.num_drawn]
        columns = first.prompt_columns if choice is None or choice.prompt_columns is None else choice.prompt_columns
        if columns is None:
            return None
        spelled = spelled or spell(self.prompts[prompt].token_ids, order.model.tokenizer, order.shown)
        return columns.tokens(spelled, order.model.tokenizer, order.rules.logprobs.num_prompt)

    def __enter__(self) -> "Choices":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving.submissions.close(self.streams)

    def _new_streams(self) -> list[TokenStream]:
        num_drawn = self.order.rules.num_drawn
        streams: list[TokenStream] = []
        for prompt in self.prompts:
            text_rules = self._text_rules(prompt)
            column = token_column(prompt.token_ids)
            for choice in range(num_drawn):
                submit = self._submit(prompt, column, choice)
                number = len(streams)
                streams.append(TokenStream(submit, self._group, number, self.order.model.tokenizer, text_rules))
        return streams

    def _text_rules(self, prompt: Prompt) -> TextRules:
        rules = self.order.rules
        return TextRules(
            stops=rules.stops,
            stop_token_ids=rules.stop_token_ids,
            includes_stop=rules.includes_stop,
            min_tokens=rules.min_tokens,
            shown=self.order.shown,
            after=prompt.token_ids if self.order.goes_on else (),
            drops_output=prompt.max_tokens == 0,
        )

    def _submit(self, prompt: Prompt, column: bytes, choice: int) -> SubmitGenerate:
        """The prompt's log-probabilities are the same for all its choices: the first one asks for them. Only in a
        streamed reply each does, for nobody knows which choice comes first."""
        order, rules = self.order, self.order.rules
        check_min_tokens(rules.min_tokens, max(1, prompt.max_tokens))
        num_logprobs = rules.logprobs.num_output
        return SubmitGenerate(
            stream_id=0,
            request_id=order.request_id,
            model=order.model.card.index,
            prompt=column,
            max_tokens=max(1, prompt.max_tokens),
            sampling=choice_sampling(rules, choice),
            stop_token_ids=token_column(rules.stop_token_ids),
            ignore_eos=rules.ignore_eos,
            cache_salt=rules.cache_salt,
            priority=rules.priority,
            rules=order.worker_rules,
            num_logprobs=max(0, num_logprobs) if rules.keeps_best else num_logprobs,
            num_prompt_logprobs=rules.logprobs.num_prompt if choice == 0 or rules.stream else -1,
            tenant=order.tenant,
        )
