"""Special tokens around texts and pairs are put where the tokenizer itself puts them."""

import pytest
from tokenizers import Tokenizer, processors

from frontend.special_layout import pair_layout, single_layout
from tests.support import small_tokenizers

TEXTS = [("the capital", "of France is Paris"), ("", "ok"), ("stop", "")]


def processed(single: str, pair: str) -> Tokenizer:
    backend = small_tokenizers.wordpiece()
    special = [("[CLS]", 1), ("[SEP]", 2)]
    backend.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=special)
    return backend


@pytest.mark.parametrize(
    "backend",
    [
        processed("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
        processed("$A", "$A $B"),
        processed("$A [SEP]", "$A [SEP] [SEP] $B"),
        small_tokenizers.byte_level(),
    ],
)
def test_as_the_library(backend: Tokenizer) -> None:
    single, pair = single_layout(backend), pair_layout(backend)
    assert single is not None
    assert pair is not None
    for first, second in TEXTS:
        own = [backend.encode(text, add_special_tokens=False).ids for text in (first, second)]
        assert single.ids(own[0]) == backend.encode(first).ids
        joined = backend.encode(first, second)
        assert pair.ids(*own) == joined.ids
        assert pair.type_ids(len(own[0]), len(own[1])) == joined.type_ids
        assert pair.num_tokens == backend.num_special_tokens_to_add(is_pair=True)


def test_other_orders_are_not_known() -> None:
    assert pair_layout(processed("$A", "$B [SEP] $A")) is None
