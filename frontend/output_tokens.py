"""Tokens of a prompt or an output with what the model thought of them: the raw material of every form of logprobs."""

from typing import NamedTuple


class OutputToken(NamedTuple):
    """One token. Log-probabilities are log-softmax of the model's own logits: temperature, penalties and grammars have
    no part in them."""

    token_id: int
    text: bytes  # its own bytes, which need not be whole characters; a special token's are its spelling
    logprob: float | None  # None: nobody knows one (a prompt's first token)
    rank: int  # 1: the likeliest; 0 without a logprob
    top: list[tuple[int, float]]  # (token id, logprob) of the likeliest tokens, likeliest first
    offset: int = 0  # characters of its text (the prompt's or the choice's) that were complete before it
