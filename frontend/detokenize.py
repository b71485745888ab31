"""Token ids to text, one token at a time: no delta ever ends inside a character.

Two ways. Byte-level vocabularies (GPT-2's scheme, most models today) map every token to bytes, so an incremental UTF-8
decoder is exact and holds back at most three bytes. All others go through the tokenizers library's `DecodeStream`.
An unfinished character at the end of a stream is dropped, streaming or not.
"""

import codecs
import re
from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from tokenizers import Tokenizer, decoders
from tokenizers.decoders import DecodeStream

# A character has at most four bytes, so at most four tokens: what is undecided for longer is not text at all.
MAX_UNDECIDED_TOKENS = 8
REPLACEMENT = "\ufffd"

_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
NONE_SHOWN: frozenset[str] = frozenset()


class Detokenizer(Protocol):
    """Belongs to one stream."""

    def push(self, token_id: int) -> str:
        """The text this token completes; often one token's text, sometimes nothing."""


class TokenBytes:
    """The own bytes of each token, looked up when first met. One for all streams of a model."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.special = {
            index: token.content for index, token in tokenizer.get_added_tokens_decoder().items() if token.special
        }
        self.is_byte_level = isinstance(tokenizer.decoder, decoders.ByteLevel)
        self._known: dict[int, bytes] = {}

    def __getitem__(self, token_id: int) -> bytes:
        """A special token's are its spelling; ids without a token (padding rows of the output layer) have none."""
        found = self._known.get(token_id)
        if found is None:
            found = self._known[token_id] = self._bytes_of(token_id)
        return found

    def _bytes_of(self, token_id: int) -> bytes:
        token = self._tokenizer.id_to_token(token_id)
        if token is None:
            return b""
        if token_id in self.special:
            return token.encode()
        return _byte_level_bytes(token) if self.is_byte_level else _piece_bytes(token)


def _byte_level_bytes(token: str) -> bytes:
    try:
        return bytes(_BYTE_OF_CHAR[char] for char in token)
    except KeyError:  # an added token, spelled as plain text
        return token.encode()


def _piece_bytes(token: str) -> bytes:
    """SentencePiece's spelling: a visible space, and bytes by their numbers."""
    byte = _BYTE_PIECE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace("▁", " ").encode()


def whole_text(part: bytes) -> str | None:
    """What these bytes say wherever they stand between characters; None: that depends on their neighbours."""
    try:
        return part.decode()
    except UnicodeDecodeError:
        return None


class ShownBytes:
    """What each token of a byte-level vocabulary adds to a text that hides some special tokens."""

    def __init__(self, token_bytes: TokenBytes, shown: Set[str] | None = NONE_SHOWN) -> None:
        """`shown`: the special tokens that are part of the text; None: all."""
        self._token_bytes = token_bytes
        hidden = [index for index, text in token_bytes.special.items() if shown is not None and text not in shown]
        self._known: dict[int, bytes] = dict.fromkeys(hidden, b"")
        self.whole: dict[int, str] = {}  # tokens met before that are whole characters by themselves, nearly all

    def __getitem__(self, token_id: int) -> bytes:
        found = self._known.get(token_id)
        if found is None:
            found = self._known[token_id] = self._token_bytes[token_id]
            if (text := whole_text(found)) is not None:
                self.whole[token_id] = text
        return found


class ByteLevelDetokenizer:
    """Exact: the deltas together are the bytes of all tokens, decoded as one text with U+FFFD for what is no UTF-8."""

    def __init__(self, shown: ShownBytes) -> None:
        self._shown = shown
        self._whole = shown.whole
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_inside = False  # a character is not complete

    def push(self, token_id: int) -> str:
        if not self._is_inside and (text := self._whole.get(token_id)) is not None:
            return text
        text = self._decoder.decode(self._shown[token_id])
        self._is_inside = bool(self._decoder.getstate()[0])
        return text


class StreamDetokenizer:
    """Any other decoder of the tokenizers library: Metaspace with byte fallback, WordPiece, Unigram."""

    def __init__(self, tokenizer: Tokenizer, shown: Mapping[int, str] | None = None, after: Sequence[int] = ()) -> None:
        """`shown`: the special tokens that are part of the text, with their spelling. `after`: the tokens before the
        first one; they decide whether a text that goes on begins with a space."""
        self._tokenizer = tokenizer
        self._shown = shown or {}
        self._stream = DecodeStream(ids=self._beginning(after), skip_special_tokens=True)
        self._undecided: list[int] = []

    def push(self, token_id: int) -> str:
        special = self._shown.get(token_id)
        if special is not None:
            return (self._give_up() if self._undecided else "") + special
        self._undecided.append(token_id)
        try:
            text = self._stream.step(self._tokenizer, token_id)
        except Exception:  # noqa: BLE001 - the library raises plain Exception("Invalid prefix encountered ...")
            return self._give_up()
        if text:
            self._undecided.clear()
            return text
        if len(self._undecided) >= MAX_UNDECIDED_TOKENS:
            return self._give_up()
        return ""

    def _give_up(self) -> str:
        """Bytes that are no text: they are given out as U+FFFD and decoding starts again after them."""
        text = self._tokenizer.decode(self._undecided, skip_special_tokens=True)
        self._stream = DecodeStream(ids=self._undecided, skip_special_tokens=True)
        self._undecided = []
        return text

    def _beginning(self, after: Sequence[int]) -> list[int]:
        """The library would give these tokens out again if their own text ended inside a character."""
        beginning = list(after[-MAX_UNDECIDED_TOKENS:])
        text = self._tokenizer.decode(beginning, skip_special_tokens=True)
        return [] if text.endswith(REPLACEMENT) else beginning


def _byte_of_char() -> dict[str, int]:
    """GPT-2's table: each byte is spelled by a printable character; the others are moved to U+0100 and above."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    moved = (byte for byte in range(256) if chr(byte) not in table)
    table.update({chr(0x100 + place): byte for place, byte in enumerate(list(moved))})
    return table


_BYTE_OF_CHAR = _byte_of_char()
