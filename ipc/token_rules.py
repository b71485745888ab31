"""What a stream's next token may be, beyond its sampling parameters: penalties, biases, bans and a grammar.

Made by the frontend, applied by the workers; the scheduler carries the encoded record without looking into it. A worker
keeps nothing of a stream that it could not make again from the rules and the stream's tokens.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ipc.errors import ProtocolError

Penalty = Annotated[float, Meta(ge=-10, le=10)]
TokenIds = Annotated[bytes, Meta(max_length=4 << 20)]  # int32 column


class TokenRules(Struct, frozen=True, array_like=True):
    """Everything at its default asks for nothing. Token ids are inside the model's vocabulary: the frontend checks."""

    repetition_penalty: Annotated[float, Meta(gt=0, le=100)] = 1.0  # over prompt and output, as transformers does
    presence_penalty: Penalty = 0.0  # over output, as OpenAI documents it
    frequency_penalty: Penalty = 0.0  # over output
    min_tokens: Annotated[int, Meta(ge=0)] = 0  # output tokens before one of `stop_ids` may be drawn
    stop_ids: TokenIds = b""  # int32: end-of-sequence and stop token ids
    bias_ids: TokenIds = b""  # int32, each once
    bias_values: TokenIds = b""  # float32, as many: added to the logits
    allowed_ids: TokenIds = b""  # int32: no other token may be drawn; empty: every one may
    bad_words: tuple[bytes, ...] = ()  # int32 columns: the last token of each may not follow the others
    grammar: str = ""  # llguidance's serialized grammar (JSON text) that the output must match; empty: none
    grammar_after: TokenIds = b""  # int32: the grammar begins after the output's first occurrence of this sequence


ARENA_BYTES = 32 << 20  # the arena's room for the rules of the streams that run
MAX_BLOB_BYTES = 4 << 20
NO_RULES = TokenRules()
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TokenRules)


def encode_rules(rules: TokenRules) -> bytes:
    """What SubmitGenerate carries: empty when nothing is asked for."""
    return b"" if rules == NO_RULES else _encoder.encode(rules)


def decode_rules(blob: bytes | memoryview) -> TokenRules:
    """The inverse, for a blob that is not empty. Raises ProtocolError."""
    try:
        return _decoder.decode(blob)
    except (msgspec.DecodeError, ValueError) as error:
        raise ProtocolError(f"cannot decode token rules: {error}") from error
