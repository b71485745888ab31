"""The grammar matchers of streams. A matcher is never the only place that knows something: it can always be made again
from the grammar and the stream's output, and is when the output is not what it has consumed so far.

Copies of a matcher share its lexer, and llguidance's limits count what all of them together have made it grow to. Once
one is reached, the compiled grammar and every copy of it are spent, and it has to be compiled anew.
"""

import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from llguidance import LLMatcher, LLParserLimits

from ipc.grammar_limits import LIMITS
from workers.grammar_tokenizer import GrammarTokenizer
from workers.rules_of_rows import TokenIds

_MISMATCHES = ("doesn't satisfy the grammar", "parser stopped in consume_token", "out of range")  # of llguidance


@dataclass(eq=False)
class CompiledGrammar:
    """A grammar and the matcher that has consumed nothing: to copy, never to change."""

    grammar: str
    matcher: Future[LLMatcher]  # ValueError: it cannot be compiled
    wanted: float = field(default_factory=time.monotonic)  # since when
    is_used: bool = False  # streams may have made its lexer grow


class CompiledGrammars:
    """By their text. Compiled in threads of their own, which the first ones start. Used by any thread."""

    def __init__(self, tokenizer: GrammarTokenizer, most: int) -> None:
        """Keep `most`, the latest used ones."""
        self._tokenizer = tokenizer
        self._most = most
        self._threads: ThreadPoolExecutor | None = None
        self._kept: OrderedDict[str, CompiledGrammar] = OrderedDict()
        self._lock = threading.Lock()  # a step's start and the thread that makes its masks both come here

    def get(self, grammar: str) -> CompiledGrammar:
        """It may not be compiled yet."""
        with self._lock:
            found = self._kept.get(grammar)
            if found is None:
                return self._begin(grammar)
            self._kept.move_to_end(grammar)
            return found

    def renew(self, spent: CompiledGrammar) -> CompiledGrammar:
        """The one to use instead of `spent`: compiled anew, unless that was done already."""
        with self._lock:
            found = self._kept.get(spent.grammar)
            if found is None or found is spent:
                return self._begin(spent.grammar)
            return found

    def _begin(self, grammar: str) -> CompiledGrammar:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(2, "grammar compiler")  # a slow one does not hold up the next
        begun = self._kept[grammar] = CompiledGrammar(grammar, self._threads.submit(self._compile, grammar))
        self._kept.move_to_end(grammar)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)[1].matcher.cancel()
        return begun

    def _compile(self, grammar: str) -> LLMatcher:
        limits = LLParserLimits(**LIMITS, verbose_errors=False)  # the log is no place for a client's schema
        matcher = LLMatcher(self._tokenizer.tokens, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return matcher


class Follower(NamedTuple):
    """A matcher that has consumed a stream's output."""

    matcher: LLMatcher
    tokens: TokenIds  # consumed
    compiled: CompiledGrammar  # whose copy it is

    @property
    def is_spent(self) -> bool:
        """It has an error that one of a grammar compiled anew may not have; else the error is the output's."""
        return self.matcher.is_error() and not any(known in self.matcher.get_error() for known in _MISMATCHES)


class StreamMatchers:
    """Matchers that follow streams. Used by one thread."""

    def __init__(self, most: int) -> None:
        """Keep `most`, the latest used ones."""
        self._most = most
        self._kept: OrderedDict[tuple[int, int], Follower] = OrderedDict()

    def after(self, stream: tuple[int, int], compiled: CompiledGrammar, tokens: TokenIds) -> Follower:
        """The stream's matcher after it has consumed `tokens`, unless it has an error: only without, it is kept.

        The grammar must be compiled.
        """
        kept = self._kept.pop(stream, None)
        if kept is None or kept.matcher.is_error() or not np.array_equal(tokens[: len(kept.tokens)], kept.tokens):
            kept = Follower(compiled.matcher.result(0).deep_copy(), tokens[:0], compiled)
        kept.compiled.is_used = True
        if missing := tokens[len(kept.tokens) :].tolist():
            kept.matcher.consume_tokens(missing)
        follower = kept._replace(tokens=tokens)
        if not follower.matcher.is_error():
            self._kept[stream] = follower
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return follower

    def forget(self, stream: tuple[int, int]) -> None:
        """The stream's matcher is of no use any more."""
        self._kept.pop(stream, None)
