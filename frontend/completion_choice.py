"""One choice of a completions reply: the text of its stream, after the prompt's where that is echoed."""

from dataclasses import dataclass
from typing import Any

import orjson

from frontend.chunk_encoder import NO_LOGPROBS, ChunkEncoder
from frontend.drawn_logprobs import SpelledPrompt
from frontend.generate import Choices
from frontend.logprobs_body import TokenNames, completion_logprobs, prompt_logprobs
from frontend.token_stream import TokenStream
from frontend.tokenize import off_loop


@dataclass(frozen=True)
class CompletionForm:
    """What the choices of one reply tell. -1: no log-probabilities."""

    names: TokenNames
    num_logprobs: int
    num_prompt_logprobs: int
    tells_token_ids: bool

    @property
    def is_plain(self) -> bool:
        return self.num_logprobs < 0 and not self.tells_token_ids


class CompletionChoice:
    """`echoed`: the prompt, where it is part of the text."""

    def __init__(
        self, stream: TokenStream, choices: Choices, form: CompletionForm, prompt: int, echoed: SpelledPrompt | None
    ) -> None:
        self.stream = stream
        self._choices = choices
        self._form = form
        self._prompt = prompt  # its number
        self._echoed = echoed
        self._echoed_logprobs: dict[str, Any] | None = None
        self._num_echoed_chars = 0
        self._num_told = 0  # tokens whose ids were given out
        self._has_begun = False
        self._has_ended = False

    async def prepare(self) -> None:
        """Before the first chunk, which tells the log-probabilities of the whole prompt: not on the event loop."""
        if self._echoed is not None and not self._has_begun and self._form.num_logprobs >= 0:
            num_told = len(self._echoed.token_ids) * (self._form.num_logprobs + 1)
            self._echoed_logprobs = await off_loop(num_told, self._make_echoed_logprobs)

    def chunk(self, encoder: ChunkEncoder) -> bytes:
        """What came since the last call; the last chunk of all carries the finish reason. Nothing after it: the end of
        a stream that ended while its prompt was prepared is news once more."""
        stream = self.stream
        if self._has_ended:
            return b""
        self._has_ended = stream.finish_reason is not None
        is_first, self._has_begun = not self._has_begun, True
        text = self._take_text(is_first)
        told = NO_LOGPROBS if self._form.is_plain else orjson.dumps(self._members(is_first))[1:-1]
        if stream.finish_reason is None:
            return encoder.text(stream.choice, text, told)
        return encoder.finish(stream.choice, text, stream.finish_reason, stream.stop_reason, told)

    def reply(self, index: int) -> dict[str, Any]:
        """The whole choice, when its stream has ended."""
        text = self._take_text(is_first=True)
        body = {"index": index, "text": text} | self._members(is_first=True)
        body |= {"finish_reason": self.stream.finish_reason, "stop_reason": self.stream.stop_reason}
        if self._form.num_prompt_logprobs >= 0:
            tokens = self._choices.prompt_logprobs(self._prompt, None) or []
            body["prompt_logprobs"] = prompt_logprobs(tokens, self._form.names, self._form.num_prompt_logprobs)
        return body

    def _take_text(self, is_first: bool) -> str:
        text = self.stream.take_text()
        if self._echoed is None or not is_first:
            return text
        self._num_echoed_chars = len(self._echoed.text)
        return self._echoed.text + text

    def _members(self, is_first: bool) -> dict[str, Any]:
        """What a choice, or a chunk of one, tells of its tokens; after its text was taken."""
        form = self._form
        members: dict[str, Any] = {"logprobs": None}
        if form.num_logprobs >= 0:
            members["logprobs"] = self._logprobs(is_first)
        if form.tells_token_ids:
            if is_first:
                members["prompt_token_ids"] = list(self._choices.prompts[self._prompt].token_ids)
            members["token_ids"] = self.stream.token_ids(self._num_told)
            self._num_told = self.stream.num_tokens
        return members

    def _logprobs(self, is_first: bool) -> dict[str, Any]:
        form = self._form
        body = completion_logprobs(self.stream.take_tokens(), form.names, form.num_logprobs, self._num_echoed_chars)
        if not is_first or self._echoed is None:
            return body
        before = self._echoed_logprobs or self._make_echoed_logprobs()
        return {member: before[member] + body[member] for member in body}

    def _make_echoed_logprobs(self) -> dict[str, Any]:
        """Of the prompt, all of whose log-probabilities have come."""
        echoed = self._choices.prompt_logprobs(self._prompt, self._echoed, self.stream) or []
        return completion_logprobs(echoed, self._form.names, self._form.num_logprobs)
