"""Request bodies of the wanted size, and how the size is found: the server itself says how many tokens words have."""

import time
from dataclasses import dataclass
from typing import Any

from scripts.load_testing.options import LoadOptions
from scripts.load_testing.prompt_text import PromptText
from scripts.load_testing.records import Outcome, RequestRecord
from scripts.load_testing.server import Server, ServerError

SAMPLE_WORDS = (16, 96)  # two lengths give the tokens of a word, and those around the text (a chat template)
QUERY_SHARE = 0.15  # of a score pair's words, at least one


@dataclass(frozen=True)
class WordLength:
    """tokens = around + per_word * words"""

    per_word: float = 1.0
    around: float = 0.0

    def num_words(self, num_tokens: int) -> int:
        """Words of a text of about `num_tokens` tokens in all."""
        return max(1, round((num_tokens - self.around) / self.per_word))


class Bodies:
    """Makes the body of every request of one load test."""

    def __init__(self, options: LoadOptions, model: str, word_length: WordLength) -> None:
        self._options = options
        self._model = model
        self._text = PromptText(options.seed)
        self._num_words = word_length.num_words(options.prompt_tokens)
        shared = round(options.shared_prefix_tokens / word_length.per_word)
        self._shared_words = min(shared, self._num_words - 1)

    def body(self, kind: str, index: int) -> dict[str, Any]:
        """The body of request `index` of a kind ("load", "warmup")."""
        if self._options.is_score:
            return self._score(kind, index)
        text = self._text.with_shared(kind, index, self._num_words, self._shared_words)
        return generate_body(self._options, self._model, text, self._options.max_tokens)

    def _score(self, kind: str, index: int) -> dict[str, Any]:
        num_query = max(1, round(self._num_words * QUERY_SHARE))
        num_document = max(1, self._num_words - num_query)
        pairs = self._options.pairs
        documents = [
            self._text.words(f"{kind}-document", index * pairs + number, num_document) for number in range(pairs)
        ]
        query = self._text.with_shared(f"{kind}-query", index, num_query, min(self._shared_words, num_query - 1))
        return {"model": self._model, "text_1": query, "text_2": documents}


def generate_body(options: LoadOptions, model: str, text: str, max_tokens: int) -> dict[str, Any]:
    """A completions or chat body with greedy sampling."""
    body: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "temperature": 0.0}
    if options.endpoint == "chat":
        body["messages"] = [{"role": "user", "content": text}]
    else:
        body["prompt"] = text
    if options.ignore_eos:
        body["ignore_eos"] = True
    if options.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


async def measure_words(server: Server, options: LoadOptions, model: str) -> WordLength:
    """Ask the server how long words are. Where it does not say, a word counts as one token. Raises ServerError."""
    few, many = SAMPLE_WORDS
    num_short = await _num_tokens(server, options, model, few)
    num_long = await _num_tokens(server, options, model, many)
    if num_short is None or num_long is None or num_long <= num_short:
        return WordLength()
    per_word = (num_long - num_short) / (many - few)
    return WordLength(per_word, num_short - per_word * few)


async def _num_tokens(server: Server, options: LoadOptions, model: str, num_words: int) -> int | None:
    text = PromptText(options.seed)
    if options.is_score:
        half = num_words // 2
        words = [text.words("sample", num_words + side, half) for side in (0, 1)]
        body: dict[str, Any] = {"model": model, "text_1": words[0], "text_2": [words[1]]}
    else:
        body = generate_body(options, model, text.words("sample", num_words, num_words), 1)
    record = RequestRecord(time.perf_counter())
    await server.ask(body, record)
    if record.outcome is not Outcome.OK:
        raise ServerError(f"a first request failed: {record.error} {record.error_detail}")
    return record.num_prompt_tokens
