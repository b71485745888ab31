"""The fake models' tokenizer: a token is a byte, token 256 ends a sequence and stands between the texts of a pair."""

import codecs
from collections.abc import Sequence

from frontend.tokenize import PairTokens, split_budget
from ipc.fake_card import FAKE_EOS

# ChatML, so that a fake chat reads like a real one; it mentions <tool_call> to make tool calls testable.
BYTE_CHAT_TEMPLATE = (
    "{% if tools %}<|tools|>{{ tools | tojson }} answer with <tool_call></tool_call>\n{% endif %}"
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}"
    "\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class ByteDetokenizer:
    """Bytes to text, unfinished characters held back."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        return self._decoder.decode(bytes([token_id])) if token_id < FAKE_EOS else ""


class ByteTokenizer:
    """Follows `tokenize.Tokenizer`."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """There are no special tokens to add: `add_special_tokens` changes nothing."""
        return list(text.encode())

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairTokens]:
        return [PairTokens([*first.encode(), FAKE_EOS, *second.encode()], []) for first, second in pairs]

    def encode_pair_truncated(self, pair: tuple[str, str], max_tokens: int) -> PairTokens:
        first, second = (text.encode() for text in pair)
        num_first, num_second = split_budget(len(first), len(second), max(0, max_tokens - 1))
        return PairTokens([*first[:num_first], FAKE_EOS, *second[:num_second]], [])

    def detokenizer(self) -> ByteDetokenizer:
        return ByteDetokenizer()
