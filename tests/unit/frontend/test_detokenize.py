"""Deltas together are the full decoding, and none ends inside a character."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from frontend.detokenize import ByteLevelDetokenizer, Detokenizer, ShownBytes, StreamDetokenizer, TokenBytes

CORPUS = ["hello world", "héllo wörld 日本語 テスト", "привет мир", "emoji 😀 ok", "don't   stop  \n\n"] * 5
REPLACEMENT = "\ufffd"
some_text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|end|>"],
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens(["<tool call>", "日本"])
    return tokenizer


def metaspace() -> Tokenizer:
    """As Llama 2's: pieces with a visible space, and bytes for what has no piece."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁helowrdnt'sp", "▁h", "▁w", "he"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    merges = [("▁", "h"), ("▁", "w"), ("h", "e")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=120, show_progress=False, special_tokens=["[UNK]", "[CLS]"])
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


TOKENIZERS = {"byte level": byte_level(), "metaspace": metaspace(), "word piece": word_piece()}


def detokenizer(name: str, shown: frozenset[str] | None = frozenset(), after: tuple[int, ...] = ()) -> Detokenizer:
    tokenizer = TOKENIZERS[name]
    token_bytes = TokenBytes(tokenizer)
    if name == "byte level":
        return ByteLevelDetokenizer(ShownBytes(token_bytes, shown))
    spelled = {index: text for index, text in token_bytes.special.items() if shown is None or text in shown}
    return StreamDetokenizer(tokenizer, spelled, after)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None)
@given(text=some_text)
def test_deltas_are_the_full_decoding(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    token_ids = tokenizer.encode(text).ids
    stream = detokenizer(name)
    deltas = [stream.push(token_id) for token_id in token_ids]
    if REPLACEMENT not in text:
        assert not any(REPLACEMENT in delta for delta in deltas)
    full = tokenizer.decode(token_ids, skip_special_tokens=True)
    # a real U+FFFD at the very end looks like an unfinished character to all but the byte-level way
    assert "".join(deltas) == (full if name == "byte level" else full.rstrip(REPLACEMENT)) or REPLACEMENT in text


@settings(deadline=None)
@given(token_ids=st.lists(st.integers(0, 340), max_size=40))
def test_byte_level_is_exact_for_any_tokens(token_ids: list[int]) -> None:
    """Also for bytes that are no text; only an unfinished character at the end is missing."""
    tokenizer = TOKENIZERS["byte level"]
    stream = detokenizer("byte level")
    text = "".join(stream.push(token_id) for token_id in token_ids)
    full = tokenizer.decode(token_ids, skip_special_tokens=True)
    assert full.removeprefix(text) in ("", REPLACEMENT)
    assert full.startswith(text)


@settings(max_examples=300, deadline=None)
@given(token_ids=st.lists(st.integers(0, 280), max_size=60))
def test_any_tokens_are_survived(token_ids: list[int]) -> None:
    """Models with random weights say bytes that are no text: nothing is raised, and text goes on coming."""
    stream = detokenizer("metaspace")
    for token_id in token_ids:
        stream.push(token_id)
    hello = TOKENIZERS["metaspace"].encode(" hello hello hello").ids
    assert "hello hello" in "".join(stream.push(token_id) for token_id in hello)


def test_bytes_that_never_become_text_are_not_held_for_ever() -> None:
    stream = detokenizer("metaspace")
    continuation = TOKENIZERS["metaspace"].token_to_id("<0x80>")
    assert continuation is not None
    assert len("".join(stream.push(continuation) for _ in range(100))) > 80


def test_special_and_unknown_tokens_show_nothing() -> None:
    for name, tokenizer in TOKENIZERS.items():
        stream = detokenizer(name)
        assert stream.push(tokenizer.get_vocab_size() + 5) == ""
        special = next(index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special)
        assert stream.push(special) == ""


def test_added_tokens_are_plain_text() -> None:
    stream = detokenizer("byte level")
    tokenizer = TOKENIZERS["byte level"]
    assert "".join(stream.push(token_id) for token_id in tokenizer.encode("a<tool call>日本").ids) == "a<tool call>日本"


def test_special_tokens_that_are_part_of_the_text() -> None:
    """All of them, or those that a parser must see; the text around them is as without."""
    for name, special in (("byte level", "<|end|>"), ("metaspace", "</s>")):
        tokenizer = TOKENIZERS[name]
        special_id = tokenizer.token_to_id(special)
        assert special_id is not None
        token_ids = [*tokenizer.encode("hello").ids, special_id, *tokenizer.encode(" world").ids]
        for shown, text in ((None, f"hello{special} world"), ({special}, f"hello{special} world"), ({"x"}, None)):
            stream = detokenizer(name, None if shown is None else frozenset(shown))
            assert "".join(stream.push(token_id) for token_id in token_ids) == (text or "hello world")


def test_an_unfinished_character_before_a_special_token_comes_first() -> None:
    stream = detokenizer("metaspace", None)
    byte, special = (TOKENIZERS["metaspace"].token_to_id(token) for token in ("<0xE6>", "</s>"))
    assert byte is not None
    assert special is not None
    assert stream.push(byte) == ""
    assert stream.push(special) == REPLACEMENT + "</s>"


def test_a_text_that_goes_on_keeps_its_space() -> None:
    """A piece that begins with a visible space is a word's beginning: only the first word of a text has no space."""
    tokenizer = TOKENIZERS["metaspace"]
    hello, world = tuple(tokenizer.encode("hello").ids), tokenizer.encode(" world").ids
    assert "".join(detokenizer("metaspace").push(token_id) for token_id in world) == "world"
    after = detokenizer("metaspace", after=hello)
    assert "".join(after.push(token_id) for token_id in world) == " world"


def test_a_beginning_inside_a_character_is_not_given_out_again() -> None:
    byte = TOKENIZERS["metaspace"].token_to_id("<0xE6>")
    assert byte is not None
    stream = detokenizer("metaspace", after=(*TOKENIZERS["metaspace"].encode("hello").ids, byte))
    text = "".join(stream.push(token_id) for token_id in TOKENIZERS["metaspace"].encode(" world").ids)
    assert "hello" not in text
    assert text.endswith("world")


def test_own_bytes_of_tokens() -> None:
    """A special token's are its spelling; part of a character is what it is."""
    whole = {"byte level": "h\u00e9llo <|end|>", "metaspace": "hello w</s>"}
    for name, text in whole.items():
        token_bytes, tokenizer = TokenBytes(TOKENIZERS[name]), TOKENIZERS[name]
        assert b"".join(token_bytes[token_id] for token_id in tokenizer.encode(text).ids).lstrip() == text.encode()
        assert token_bytes[tokenizer.get_vocab_size() + 5] == b""
    byte = TOKENIZERS["metaspace"].token_to_id("<0xE6>")
    assert byte is not None
    assert TokenBytes(TOKENIZERS["metaspace"])[byte] == b"\xe6"
