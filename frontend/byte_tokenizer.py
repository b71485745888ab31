"""The fake models' tokenizer: a token is a byte, token 256 ends a sequence and stands between the texts of a pair."""

import codecs
from collections.abc import Sequence

from frontend.detokenize import NONE_SHOWN, Detokenizer
from frontend.encode_prefix import Side, cut_ids
from frontend.tokenize import PairTokens, TokenSpan
from ipc.fake_card import FAKE_EOS

# ChatML, so that a fake chat reads like a real one; it mentions <tool_call> to make tool calls testable.
BYTE_CHAT_TEMPLATE = (
    "{% if tools %}<|tools|>{{ tools | tojson }} answer with <tool_call></tool_call>\n{% endif %}"
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}"
    "{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


NUM_ASCII = 128  # of these bytes each is a character


class ByteDetokenizer:
    """Bytes to text, unfinished characters held back."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_inside = False  # a character is not complete

    def push(self, token_id: int) -> str:
        if token_id < NUM_ASCII and not self._is_inside:
            return chr(token_id)
        if token_id >= FAKE_EOS:
            return ""
        text = self._decoder.decode(bytes([token_id]))
        self._is_inside = bool(self._decoder.getstate()[0])
        return text


class ByteTokenizer:
    """Follows `tokenize.Tokenizer`."""

    special_tokens: tuple[str, ...] = ()  # the end of a sequence has no text

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """There are no special tokens to add: `add_special_tokens` changes nothing."""
        return list(text.encode())

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairTokens]:
        return [PairTokens([*first.encode(), FAKE_EOS, *second.encode()], []) for first, second in pairs]

    def encode_prefix(
        self, text: str, max_tokens: int, side: Side = "right", add_special_tokens: bool = False
    ) -> list[int]:
        """A character is at least one token."""
        part = text[:max_tokens] if side == "right" else text[max(0, len(text) - max_tokens) :]
        return cut_ids(list(part.encode()), max_tokens, side)

    def join_pair(self, first: Sequence[int], second: Sequence[int]) -> PairTokens:
        return PairTokens([*first, FAKE_EOS, *second], [])

    @property
    def num_pair_special(self) -> int:
        return 1

    def decode(self, token_ids: Sequence[int]) -> str:
        return bytes(token for token in token_ids if token < FAKE_EOS).decode("utf-8", "replace")

    def token_spelling(self, token_id: int) -> str:
        return chr(token_id) if token_id < FAKE_EOS else "<eos>"

    def encode_spans(self, text: str, add_special_tokens: bool) -> list[TokenSpan]:
        return [
            TokenSpan(token, chr(token), False, place, place + 1)
            for place, char in enumerate(text)
            for token in char.encode()
        ]

    def detokenizer(self, shown: frozenset[str] | None = NONE_SHOWN, after: Sequence[int] = ()) -> Detokenizer:
        return ByteDetokenizer()

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < FAKE_EOS else b""

    def token_id(self, token: str) -> int | None:
        return None
