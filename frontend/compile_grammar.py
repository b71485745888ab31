"""A program of its own: reads grammars from its input, one JSON line each, and answers whether they can be compiled.

The time a grammar takes to compile has no bound: twenty short regexes that must all match can take minutes. So this
runs in a process that the kernel ends when one grammar has used up its processor time; `grammar_child.py` starts
another one then. It imports nothing of ours, for it is run by its path.

It compiles as the workers do, with a vocabulary of bytes and the model's special tokens in the place of the real one:
what a grammar may name of a vocabulary is its special tokens and its numbers.
"""

import json
import os
import resource
import signal
import sys
from functools import lru_cache
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper, grammar_from

NUM_BYTES = 256
END = b"<|end of sequence|>"
ALL_BYTES = (1 << NUM_BYTES) - 1
NUM_STEPS = 16
NICENESS = 5  # streams go first


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(self, special_tokens: tuple[str, ...]) -> None:
        special = [END, *(token.encode() for token in special_tokens)]
        self.tokens = [*(bytes([byte]) for byte in range(NUM_BYTES)), *special]
        self.special_token_ids = list(range(NUM_BYTES, len(self.tokens)))
        self.eos_token_id = NUM_BYTES

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


@lru_cache(maxsize=8)
def _tokenizer(special_tokens: tuple[str, ...], vocab_size: int) -> LLTokenizer:
    vocabulary = _Vocabulary(special_tokens)
    num_tokens = max(vocab_size, len(vocabulary.tokens))
    return LLTokenizer(TokenizerWrapper(vocabulary), n_vocab=num_tokens, slices=[])


def compile_grammar(
    text: str, is_user_text: bool, special_tokens: tuple[str, ...], vocab_size: int, limits: dict[str, Any]
) -> tuple[str, str]:
    """The serialized grammar and "", or "" and why it cannot be used.

    `is_user_text`: a grammar in Lark or GBNF as a client wrote it; else it is serialized already.
    """
    try:
        grammar = _serialized(text) if is_user_text else text
    except (ValueError, RecursionError) as error:
        return "", str(error) or "it is nested too deeply."
    parser_limits = LLParserLimits(**limits, verbose_errors=False)
    matcher = LLMatcher(_tokenizer(special_tokens, vocab_size), grammar, log_level=0, limits=parser_limits)
    _walk(matcher)
    if matcher.is_error():
        reason = matcher.get_error().removesuffix("<non-verbose/>").strip()
        return "", "no text can match it." if reason.startswith("NoExtension") else reason
    return grammar, ""


def _walk(matcher: LLMatcher) -> None:
    """A few bytes of some text that matches: what is too costly at each step, or can begin with nothing, fails here."""
    for _ in range(NUM_STEPS):
        if matcher.is_error() or matcher.is_stopped():
            return
        mask = int.from_bytes(matcher.compute_bitmask(), "little") & ALL_BYTES
        if mask == 0:
            return
        matcher.consume_token((mask & -mask).bit_length() - 1)


def _serialized(text: str) -> str:
    """Lark's own text is wrapped, so that nothing in it can pass for llguidance's JSON."""
    lark = grammar_from("grammar", text)
    return json.dumps({"grammars": [{"lark_grammar": lark}]}, ensure_ascii=False)


def _answer(request: dict[str, Any], max_cpu_s: float) -> tuple[str, str]:
    signal.setitimer(signal.ITIMER_PROF, max_cpu_s)  # SIGPROF's default ends the process, also inside llguidance
    try:
        return compile_grammar(
            request["text"],
            request["is_user_text"],
            tuple(request["special_tokens"]),
            request["vocab_size"],
            request["limits"],
        )
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main(max_cpu_s: float, max_bytes: int) -> None:
    """Answers until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's business; the input's end ends this
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    for line in sys.stdin.buffer:
        grammar, reason = _answer(json.loads(line), max_cpu_s)
        sys.stdout.write(json.dumps([grammar, reason]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
