"""The first and last tokens of long texts are those of the whole, for tokenizers in the forms of the big families; and
they cost no more than their number."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

from frontend import encode_prefix
from frontend.encode_prefix import first_ids, last_ids
from frontend.safe_cuts import safe_cuts
from frontend.tokenize import CheckpointTokenizer
from tests.support import small_tokenizers

NUM_TEXTS = 40
WORDS = (
    "the capital of France it's don't 1234567 Paris. Das Haus Fluß; привет мир, 日本語のテキスト。 漢字漢字漢字漢字 "
    "한국어 😀 <|end|> </s> [SEP] ... !!! e\u0301te\u0301 ﬁne ²x x_y a\u200db \u0600 12:30 aaaaaaaaaaaaaaaaaaaa \u0d4e"
).split(" ")
GAPS = [" "] * 12 + ["  ", "   ", "\n", "\n\n", " \n ", "\t", "", "\u00a0", "\u3000"]


class Counting:
    """A tokenizer that counts the characters it is given."""

    def __init__(self, backend: Tokenizer) -> None:
        self._backend = backend
        self.num_chars = 0

    def encode(self, text: str, add_special_tokens: bool) -> Any:
        self.num_chars += len(text)
        return self._backend.encode(text, add_special_tokens=add_special_tokens)


@pytest.fixture(params=small_tokenizers.ALL)
def backend(request: pytest.FixtureRequest) -> Tokenizer:
    make: Callable[[], Tokenizer] = small_tokenizers.ALL[request.param]
    return make()


def random_text(rng: random.Random, num_words: int) -> str:
    return "".join(rng.choice(WORDS) + rng.choice(GAPS) for _ in range(num_words))


def test_equal_to_the_whole(backend: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode_prefix, "MIN_PART_CHARS", 64)
    monkeypatch.setattr(encode_prefix, "CHARS_PER_TOKEN", 2)
    cuts = safe_cuts(backend)
    assert cuts is not None
    assert cuts.at_start
    rng = random.Random(7)
    for _ in range(NUM_TEXTS):
        text = random_text(rng, rng.randint(50, 500))
        whole = backend.encode(text, add_special_tokens=False).ids
        for num in (1, rng.randint(2, 30), rng.randint(30, 90), 100_000):
            assert first_ids(backend, cuts, text, num) == whole[:num]
            assert last_ids(backend, cuts, text, num) == whole[-num:]


def test_the_cost_is_bounded(backend: Tokenizer) -> None:
    text = random_text(random.Random(8), 30_000)
    for find in (first_ids, last_ids):
        counting = Counting(backend)
        assert len(find(counting, safe_cuts(backend), text, 100)) == 100  # type: ignore[arg-type]
        assert counting.num_chars < 4000 < len(text) / 10


@pytest.mark.parametrize("unit", ["the capital of France, ", "日本語のテキスト。\n", "привет мир\n"])
def test_the_cost_of_other_scripts_is_bounded(backend: Tokenizer, unit: str) -> None:
    text = unit * 5000
    whole = backend.encode(text, add_special_tokens=False).ids
    for find, expected in ((first_ids, whole[:300]), (last_ids, whole[-300:])):
        counting = Counting(backend)
        assert find(counting, safe_cuts(backend), text, 300) == expected  # type: ignore[arg-type]
        assert counting.num_chars < 12_000 < len(text) / 4


def test_ideographs_without_any_blank() -> None:
    text = "日本語" * 30_000
    counting = Counting(small_tokenizers.wordpiece())
    found = first_ids(counting, safe_cuts(small_tokenizers.wordpiece()), text, 300)  # type: ignore[arg-type]
    assert len(found) == 300
    assert counting.num_chars < 4000


def test_words_without_spaces_are_tokenized_whole(backend: Tokenizer) -> None:
    text = "the" * 3000
    whole = backend.encode(text, add_special_tokens=False).ids
    assert first_ids(backend, safe_cuts(backend), text, 9) == whole[:9]
    assert last_ids(backend, safe_cuts(backend), text, 9) == whole[-9:]


def test_tokenizers_of_which_nothing_can_be_shown() -> None:
    lines = small_tokenizers.byte_level()
    lines.pre_tokenizer = pre_tokenizers.Split(Regex(".+"), "isolated")
    assert safe_cuts(lines) is None
    far = small_tokenizers.wordpiece()
    far.normalizer = normalizers.Replace(Regex(r"the.*Paris"), "x")
    assert safe_cuts(far) is None
    phrase = small_tokenizers.wordpiece()
    phrase.add_special_tokens(["the end"])
    assert safe_cuts(phrase) is None


def test_a_vocabulary_with_tokens_over_spaces() -> None:
    backend = small_tokenizers.whole_text_bpe()
    described = backend.to_str().replace('"vocab":{', '"vocab":{"capital▁of":9999,')
    known, crossed = safe_cuts(backend), safe_cuts(Tokenizer.from_str(described))
    assert known is not None
    assert known.pattern.search("a b")
    assert crossed is not None
    assert not crossed.pattern.search("a b")
    assert crossed.pattern.search("a\nb")


def test_special_tokens_are_inside_the_limit(backend: Tokenizer) -> None:
    tokenizer = CheckpointTokenizer(backend, has_type_ids=False)
    text = "the capital of France " * 200
    for add in (False, True):
        whole = tokenizer.encode(text, add)
        assert tokenizer.encode_prefix(text, 1_000_000, "right", add) == whole
        num_special = len(whole) - len(tokenizer.encode(text, False))
        cut = tokenizer.encode_prefix(text, 20, "left", add)
        assert len(cut) == 20
        own = tokenizer.encode(text, False)[num_special - 20 :] if add else whole[-20:]
        assert [one for one in cut if one in own] == own
        assert len(tokenizer.encode_prefix(text, 1, "right", add)) == 1
        assert tokenizer.encode_prefix(text, 0, "right", add) == []
