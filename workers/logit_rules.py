"""Applies streams' rules to their rows' logits, all but the grammar.

In this order: tokens that are not allowed, bad words and, before `min_tokens`, the tokens that would end the stream are
made impossible; biases are added; the repetition penalty divides or multiplies (a token of prompt or output, once);
presence and frequency penalties are subtracted (a token of the output). All are what transformers' processors do, the
last two what OpenAI documents. Then come the grammar's mask (`grammar_masks.py`) and the sampler's own filters.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workers.rules_of_rows import RuledRow, StreamRules, TokenIds

Logits = npt.NDArray[np.float32]


def apply_rules(logits: Logits, places: Sequence[int], rows: Sequence[RuledRow]) -> None:
    """Change logits [n, vocab] in place: row `rows[i]` is at `places[i]`. One whose rules cannot be used breaks."""
    usable: list[tuple[int, RuledRow, StreamRules]] = []
    for place, row in zip(places, rows, strict=True):
        if row.rules is None:
            logits[place] = np.nan
            continue
        usable.append((place, row, row.rules))
        _forbid(logits[place], row.tokens, len(row.output), row.rules)
        logits[place, row.rules.bias_ids] += row.rules.bias_values
    repeating = [(place, row.tokens, rules) for place, row, rules in usable if rules.given.repetition_penalty != 1]
    if repeating:
        _penalize_repetition(logits, repeating)
    counting = [
        (place, row.output, rules)
        for place, row, rules in usable
        if rules.given.presence_penalty != 0 or rules.given.frequency_penalty != 0
    ]
    if counting:
        _penalize_presence(logits, counting)


def _forbid(logits: Logits, tokens: TokenIds, num_output: int, rules: StreamRules) -> None:
    """Of one row [vocab]."""
    if len(rules.allowed_ids) > 0:
        kept = logits[rules.allowed_ids]
        logits[:] = -np.inf
        logits[rules.allowed_ids] = kept
    logits[rules.bad_tokens] = -np.inf
    for words in rules.bad_words:
        before = tokens[1 - words.shape[1] :]
        if len(before) == words.shape[1] - 1:
            begun = (words[:, :-1] == before).all(axis=1)
            logits[words[begun, -1]] = -np.inf
    if num_output < rules.given.min_tokens:
        logits[rules.stop_ids] = -np.inf


def _penalize_repetition(logits: Logits, rows: Sequence[tuple[int, TokenIds, StreamRules]]) -> None:
    places, tokens = _flat(rows)
    lengths = [len(tokens) for _, tokens, _ in rows]
    penalty = np.repeat(np.array([rules.given.repetition_penalty for _, _, rules in rows], np.float32), lengths)
    found = logits[places, tokens]
    logits[places, tokens] = np.where(found < 0, found * penalty, found / penalty)  # a token twice: the same number


def _penalize_presence(logits: Logits, rows: Sequence[tuple[int, TokenIds, StreamRules]]) -> None:
    """Presence and frequency."""
    places, tokens = _flat(rows)
    found, counts = np.unique(places * logits.shape[1] + tokens, return_counts=True)
    presence, frequency = np.zeros((2, len(logits)), np.float32)
    for place, _, rules in rows:
        presence[place], frequency[place] = rules.given.presence_penalty, rules.given.frequency_penalty
    places, tokens = np.divmod(found, logits.shape[1])
    logits[places, tokens] -= presence[places] + frequency[places] * counts.astype(np.float32)


def _flat(rows: Sequence[tuple[int, TokenIds, StreamRules]]) -> tuple[npt.NDArray[np.int64], TokenIds]:
    """The place of each token, and the token, of all rows one after the other."""
    lengths = [len(tokens) for _, tokens, _ in rows]
    places = np.repeat(np.array([place for place, _, _ in rows], np.int64), lengths)
    return places, np.concatenate([tokens for _, tokens, _ in rows])
