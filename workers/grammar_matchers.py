"""The grammar matchers of streams. A matcher is never the only place that knows something: it can always be made again
from the grammar and the stream's output, and is when the output is not what it has consumed so far.
"""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from llguidance import LLMatcher, LLParserLimits

from ipc.grammar_limits import LIMITS
from workers.grammar_tokenizer import GrammarTokenizer
from workers.rules_of_rows import TokenIds


class CompiledGrammars:
    """Matchers that have consumed nothing, by grammar. Made in threads of their own, which the first ones start."""

    def __init__(self, tokenizer: GrammarTokenizer, most: int) -> None:
        """Keep `most`, the latest used ones."""
        self._tokenizer = tokenizer
        self._most = most
        self._threads: ThreadPoolExecutor | None = None
        self._kept: OrderedDict[str, Future[LLMatcher]] = OrderedDict()

    def get(self, grammar: str) -> Future[LLMatcher]:
        """One to copy, never to change. It may have an error: then the grammar cannot be compiled."""
        found = self._kept.get(grammar)
        if found is None:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(2, "grammar compiler")  # a slow one does not hold up the next
            found = self._kept[grammar] = self._threads.submit(self._compile, grammar)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(grammar)
        return found

    def _compile(self, grammar: str) -> LLMatcher:
        limits = LLParserLimits(**LIMITS, verbose_errors=False)  # the log is no place for a client's schema
        return LLMatcher(self._tokenizer.tokens, grammar, log_level=0, limits=limits)


class _Follower(NamedTuple):
    matcher: LLMatcher
    tokens: TokenIds  # consumed


class StreamMatchers:
    """Matchers that follow streams. Used by one thread."""

    def __init__(self, most: int) -> None:
        """Keep `most`, the latest used ones."""
        self._most = most
        self._kept: OrderedDict[tuple[int, int], _Follower] = OrderedDict()

    def after(self, stream: tuple[int, int], compiled: LLMatcher, tokens: TokenIds) -> LLMatcher | None:
        """The stream's matcher after it has consumed `tokens`; it is kept for the next call. None: it refuses them."""
        kept = self._kept.pop(stream, None)
        if kept is None or not np.array_equal(tokens[: len(kept.tokens)], kept.tokens):
            kept = _Follower(compiled.deep_copy(), tokens[:0])
        missing = tokens[len(kept.tokens) :].tolist()
        if kept.matcher.is_error() or (missing and not kept.matcher.consume_tokens(missing)):
            return None
        self._kept[stream] = _Follower(kept.matcher, tokens)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept.matcher

    def forget(self, stream: tuple[int, int]) -> None:
        """The stream's matcher is of no use any more."""
        self._kept.pop(stream, None)
