"""One choice on its way: tokens come in, text goes out. It keeps its tokens, so any scheduler can go on after them."""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from frontend.detokenize import NONE_SHOWN
from frontend.drawn_logprobs import Drawn, PromptColumns
from frontend.output_tokens import OutputToken
from frontend.stop_strings import StopStrings
from frontend.stream import Stream
from frontend.stream_group import StreamGroup
from frontend.tokenize import Tokenizer
from ipc.messages import FinishReason, PromptLogprobs, SubmitGenerate

FINISH_NAMES = {FinishReason.STOP: "stop", FinishReason.LENGTH: "length", FinishReason.ABORT: "abort"}


@dataclass(frozen=True)
class TextRules:
    """How the tokens of a stream become text, and where that text ends."""

    stops: Sequence[str] = ()
    stop_token_ids: Sequence[int] = ()
    includes_stop: bool = False  # what stopped the text is part of it
    min_tokens: int = 0  # the text of so many first tokens is not searched for stop strings
    shown: frozenset[str] | None = NONE_SHOWN  # special tokens that are part of the text; None: all
    after: Sequence[int] = ()  # the tokens that the text goes on after; empty: it begins anew
    drops_output: bool = False  # only the prompt is wanted: the one token that must be drawn does not count


class TokenStream(Stream):
    """`submit` is its first submission, without a number yet."""

    def __init__(
        self,
        submit: SubmitGenerate,
        group: "StreamGroup[TokenStream]",
        choice: int,
        tokenizer: Tokenizer,
        text_rules: TextRules,
    ) -> None:
        super().__init__()
        self.choice = choice  # index in the reply
        self.num_cached = 0  # prompt tokens found in the prefix cache when the first token was computed
        self.finish_reason: str | None = None
        self.stop_reason: str | int | None = None
        self.num_logprobs = submit.num_logprobs  # as in SubmitGenerate
        self.prompt_columns: PromptColumns | None = None  # None: nobody wants the prompt's log-probabilities
        if submit.num_prompt_logprobs >= 0:
            self.prompt_columns = PromptColumns(len(submit.prompt) // 4)
        self._submit = submit
        self._group = group
        self._tokenizer = tokenizer
        self._detokenizer = tokenizer.detokenizer(text_rules.shown, text_rules.after)
        self._rules = text_rules
        self._drops_output = text_rules.drops_output
        self._watches_stops = bool(text_rules.stops)
        self._stops = StopStrings(text_rules.stops, text_rules.includes_stop)
        self._is_plain = not (self._watches_stops or self._drops_output)  # most of its tokens are text, and no more
        self._text_of = self._detokenizer.push
        self._output = array("i")  # int32, 4 bytes a token
        self._text: list[str] = []
        self._num_chars = 0  # that all tokens so far have completed
        self._tokens: list[OutputToken] = []

    @property
    def num_tokens(self) -> int:
        """Output tokens so far: also the position the next one must have."""
        return len(self._output)

    @property
    def num_received(self) -> int:
        return len(self._output)

    @property
    def misses_prompt(self) -> bool:
        """Log-probabilities of the prompt are still to come; they come before the first token."""
        return self.prompt_columns is not None and not self.prompt_columns.is_complete

    @property
    def is_finished(self) -> bool:
        return self.finish_reason is not None or self.error is not None

    @property
    def mean_logprob(self) -> float:
        """Of its tokens, those that `take_tokens` has not given out; the lowest of all where there are none."""
        logprobs = [token.logprob for token in self._tokens if token.logprob is not None]
        return sum(logprobs) / len(logprobs) if logprobs else -math.inf

    def token_ids(self, start: int = 0) -> list[int]:
        """The output from its token `start` on."""
        return self._output[start:].tolist()

    def submission(self) -> SubmitGenerate:
        """Goes on after the last token: the output so far is the end of the prompt. Draws are keyed by (seed,
        position), so the rest is what it would have been. Log-probabilities of the prompt come from its beginning
        again, unless all have come."""
        return structs.replace(
            self._submit,
            stream_id=self.stream_id,
            prompt=self._submit.prompt + self._output.tobytes(),
            num_output=len(self._output),
            resumes=self.was_submitted,
            num_prompt_logprobs=self._submit.num_prompt_logprobs if self.misses_prompt else -1,
        )

    def take_text(self) -> str:
        """The text that gathered since the last call."""
        if len(self._text) == 1:
            return self._text.pop()
        text = "".join(self._text)
        self._text.clear()
        return text

    def take_tokens(self) -> list[OutputToken]:
        """The tokens that gathered since the last call; none where no log-probabilities were asked for."""
        tokens, self._tokens = self._tokens, []
        return tokens

    def push(self, token_id: int, finish: int, num_cached: int, drawn: Drawn | None = None) -> None:
        """The next token. `finish`: a FinishReason; with an abort, or STOP where a grammar is complete, there is no
        token (-1). A stopping token is counted but shows no text, unless the rules include it. `drawn`: its
        log-probabilities, where the stream wants them."""
        if self._is_plain and not finish and drawn is None and self._output:  # nearly every token
            self._output.append(token_id)
            text = self._text_of(token_id)
            if text:
                self._num_chars += len(text)
                self._text.append(text)
            if self._text and self._group.tells_text:
                self._group.tell(self)
            return
        if not self._output:  # later on the output may have been in a cache too
            self.num_cached = num_cached
        if self._drops_output and finish != FinishReason.ABORT:
            finish = FinishReason.LENGTH
        elif token_id >= 0 and finish != FinishReason.ABORT:
            self._output.append(token_id)
            if drawn is not None:
                self._tokens.append(
                    OutputToken(token_id, self._tokenizer.token_bytes(token_id), *drawn, self._num_chars)
                )
            if finish in (FinishReason.NONE, FinishReason.LENGTH) or self._rules.includes_stop:
                self._add_token(token_id)
        if self._stops.matched is not None:
            self.finish_reason, self.stop_reason = "stop", self._stops.matched
        elif finish != FinishReason.NONE:
            self._add(self._stops.finish())
            self.finish_reason = FINISH_NAMES[FinishReason(finish)]
            if finish == FinishReason.STOP and token_id in self._rules.stop_token_ids:
                self.stop_reason = token_id
        elif not self._text or not self._group.tells_text:
            return  # all of it is held back, or nobody wants parts
        self._group.tell(self)

    def push_prompt(self, record: PromptLogprobs) -> bool:
        """Log-probabilities of the prompt. False: some before them are missing. Raises ProtocolError."""
        return self.prompt_columns is None or self.prompt_columns.push(record)

    def fail(self, error: BaseException) -> None:
        self.error = error
        self._group.tell(self)

    def _add_token(self, token_id: int) -> None:
        text = self._text_of(token_id)
        self._num_chars += len(text)
        if self._watches_stops and len(self._output) > self._rules.min_tokens:
            text = self._stops.push(text)
        if text:
            self._text.append(text)

    def _add(self, text: str) -> None:
        if text:
            self._text.append(text)
