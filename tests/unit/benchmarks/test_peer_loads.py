"""Cells and their requests: the same lengths and other words every time."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

import zerolane
from benchmarks.peers.loads import MIXED_PROMPTS, NUM_DOCUMENTS, Cell, make_order, parse_cells, spread, warm_up_order
from benchmarks.peers.words import one_token_words

WORDS = [f" word{number}" for number in range(500)]


def test_cells_are_named_by_shape_load_and_streams() -> None:
    cells = parse_cells(["qwen3:1,8", "gqa/mixed:32"])
    assert [cell.name for cell in cells] == ["qwen3/equal:1", "qwen3/equal:8", "gqa/mixed:32"]


@pytest.mark.parametrize("text", ["gpt5:1", "qwen3", "qwen3/long:1", "qwen3:", "qwen3:many"])
def test_what_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not SHAPE|invalid literal"):
        parse_cells([text])


def test_prompts_have_the_length_they_claim_and_are_new_for_every_seed() -> None:
    cell = Cell("qwen3", "mixed", 8)
    first, same, other = (make_order(cell, WORDS, seed) for seed in (1, 1, 2))
    assert first == same
    assert [r.num_tokens for r in first.requests] == [r.num_tokens for r in other.requests]
    assert not {r.text for r in first.requests} & {r.text for r in other.requests}
    assert all(len(r.text.split()) == r.num_tokens for r in first.requests)
    lengths = sorted(r.num_tokens for r in first.requests)
    assert (lengths[0], lengths[-1]) == MIXED_PROMPTS
    assert max(lengths) + first.output_tokens == cell.most_tokens


def test_few_streams_get_several_waves() -> None:
    assert [Cell("qwen3", "equal", n).num_requests for n in (1, 8, 32)] == [4, 16, 32]


def test_a_warm_up_fills_the_streams_once() -> None:
    order = warm_up_order(Cell("qwen3", "equal", 8), WORDS, 1)
    assert len(order.requests) == 8
    assert order.output_tokens < 64


def test_scoring_asks_for_many_documents_of_a_query() -> None:
    order = make_order(Cell("rerank", "mixed", 1), WORDS, 1)
    assert order.kind == "score"
    lengths = [len(document.split()) for document in order.requests[0].documents]
    assert (len(lengths), min(lengths), max(lengths)) == (NUM_DOCUMENTS, 10, 400)


def test_a_spread_of_lengths_reaches_both_ends() -> None:
    assert sorted(spread((10, 40), 4)) == [10, 20, 30, 40]
    assert spread((10, 40), 4) == spread((10, 40), 4)
    assert spread((10, 40), 1) == [10]


def test_single_token_words_come_back_as_one_token() -> None:
    model = Path(zerolane.__file__).parent / "tiny" / "tiny-chat"
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    words = one_token_words(model)
    assert len(words) > 50
    assert len(tokenizer.encode("".join(words[:50]), add_special_tokens=False).ids) == 50
