"""What a request asks of the workers beyond sampling parameters: penalties, biases, bans, and when it may end."""

from collections.abc import Mapping, Sequence

import numpy as np

from frontend.request_rules import check_token_id, first_said, token_column
from frontend.schema_fields import GenerateFields
from frontend.text_model import TextModel
from frontend.tokenize import Tokenizer
from ipc.errors import ErrorCode, RequestError
from ipc.model_card import ModelCard
from ipc.token_rules import TokenRules


def worker_rules(fields: GenerateFields, model: TextModel, grammar: str = "", grammar_after: str = "") -> TokenRules:
    """`grammar`: what the output must match, from the end of the text `grammar_after` on if there is one. Tokenizes
    `bad_words`. Raises RequestError."""
    card = model.card
    bias_ids, bias_values = _bias(fields.logit_bias or {}, card)
    return TokenRules(
        repetition_penalty=first_said(fields.repetition_penalty, card.default_sampling.repetition_penalty, 1.0),
        presence_penalty=fields.presence_penalty or 0.0,
        frequency_penalty=fields.frequency_penalty or 0.0,
        min_tokens=fields.min_tokens or 0,
        stop_ids=token_column(_stop_ids(fields, card)) if fields.min_tokens else b"",
        bias_ids=bias_ids,
        bias_values=bias_values,
        allowed_ids=_allowed(fields.allowed_token_ids, card),
        bad_words=_bad_words(fields.bad_words or (), model.tokenizer),
        grammar=grammar,
        grammar_after=token_column(model.tokenizer.encode(grammar_after, False)) if grammar and grammar_after else b"",
    )


def _stop_ids(fields: GenerateFields, card: ModelCard) -> list[int]:
    eos = () if fields.ignore_eos else card.eos_token_ids
    return sorted({*eos, *(fields.stop_token_ids or ())})


def _bias(logit_bias: Mapping[str, float], card: ModelCard) -> tuple[bytes, bytes]:
    values: dict[int, float] = {}
    for key, value in logit_bias.items():
        if not (key.isascii() and key.isdigit()):
            message = f"The keys of 'logit_bias' are token ids, and {key!r} is none."
            raise RequestError(ErrorCode.INVALID_REQUEST, message, "logit_bias")
        check_token_id(int(key), card, "logit_bias")
        values[int(key)] = value  # "7" and "07" are the same token: the last one holds
    return token_column(list(values)), np.array(list(values.values()), "<f4").tobytes()


def _allowed(token_ids: Sequence[int] | None, card: ModelCard) -> bytes:
    if token_ids is None:
        return b""
    if not token_ids:
        message = "'allowed_token_ids' is an empty list: nothing could be generated."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "allowed_token_ids")
    check_token_id(max(token_ids), card, "allowed_token_ids")  # the schema refuses negative ones
    return token_column(sorted(set(token_ids)))


def _bad_words(words: Sequence[str], tokenizer: Tokenizer) -> tuple[bytes, ...]:
    """Each word as it is spelled at the beginning of a text, and as it is spelled after a space where that is another
    token."""
    spelled: list[list[int]] = []
    for number, word in enumerate(words):
        bare = tokenizer.encode(word.lstrip(), add_special_tokens=False)
        if not bare:
            param = f"bad_words[{number}]"
            raise RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' has no tokens.", param)
        spelled.append(bare)
        spaced = tokenizer.encode(" " + word.lstrip(), add_special_tokens=False)
        if spaced[0] != bare[0] and len(spaced) == len(bare):
            spelled.append(spaced)
    return tuple(token_column(token_ids) for token_ids in spelled)
