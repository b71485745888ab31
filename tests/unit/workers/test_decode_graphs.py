"""Decode steps through graphs against the same steps without; replays are made by hand, there is no GPU here."""

import logging

import numpy as np
import pytest
import torch

from ipc.model_card import KvLayer, ModelCard
from tests.support.graphs_by_hand import GraphsByHand
from tests.unit.workers.test_device_attention import documented_varlen
from tests.unit.workers.test_paged_attention import MIXED, make_plan
from workers.batch import GenerateBatch
from workers.decode_graphs import DecodeGraphs, graphs_for
from workers.paged_attention.interface import AttentionPlan, LayerArguments, LayerPages
from workers.paged_attention.varlen import VarlenAttention

CPU = torch.device("cpu")
BLOCK_SIZE, NUM_PAGES, DIM, VOCAB = 4, 12, 8, 20
HEIGHTS = (1, 2, 4)
CARD = ModelCard(
    index=0,
    name="small",
    path="nowhere",
    task="generate",
    architecture="LlamaForCausalLM",
    dtype="float32",
    vocab_size=VOCAB,
    max_model_len=5 * BLOCK_SIZE,
    block_size=BLOCK_SIZE,
    kv_layers=(KvLayer(1, DIM, DIM),),
)


class OneLayer:
    """Embedding, one layer of attention, logits. Notes where its inputs lay."""

    def __init__(self) -> None:
        source = torch.Generator().manual_seed(0)
        self._embedding = torch.randn(VOCAB, DIM, generator=source)
        self._places = torch.randn(CARD.max_model_len, DIM, generator=source)
        self._backend = VarlenAttention(documented_varlen)
        self.heights: list[int] = []

    def __call__(self, batch: GenerateBatch, pages: list[LayerPages]) -> torch.Tensor:
        self.heights.append(batch.token_ids.shape[1])
        hidden = (self._embedding[batch.token_ids[0]] + self._places[batch.position_ids[0]])[:, None]
        arguments = LayerArguments(DIM**-0.5)
        attended = self._backend.attend(pages[0], hidden, hidden, hidden, arguments, batch.attention)
        return attended[batch.sample_tokens, 0] @ self._embedding.T


def new_pages() -> list[LayerPages]:
    return [LayerPages(torch.zeros(NUM_PAGES, 1, BLOCK_SIZE, DIM), torch.zeros(NUM_PAGES, 1, BLOCK_SIZE, DIM))]


def decode_step(positions: list[int], sampled: list[int] | None = None) -> GenerateBatch:
    """Row i decodes at positions[i] on pages 3i, 3i + 1, ..."""
    count = len(positions)
    place = torch.tensor(positions)
    width = max(positions) // BLOCK_SIZE + 1
    tables = (3 * torch.arange(count)[:, None] + torch.arange(width)).to(torch.int32)
    rows = np.arange(count) if sampled is None else np.array(sampled)
    plan = AttentionPlan(
        block_size=BLOCK_SIZE,
        token_page=(3 * torch.arange(count) + place // BLOCK_SIZE),
        token_offset=place % BLOCK_SIZE,
        single_tokens=torch.arange(count),
        single_lengths=(place + 1).to(torch.int32),
        single_tables=tables,
        prefill_rows=(),
        singles_are_all=True,
    )
    tokens = (7 * place + torch.arange(count)) % VOCAB
    return GenerateBatch(tokens[None], place[None], plan, rows, torch.from_numpy(rows))


STEPS = [[0], [1], [0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3], [4, 4], [3, 3, 3, 0], [5]]


def test_graphs_give_what_plain_steps_give_and_touch_nothing_else() -> None:
    maker = GraphsByHand()
    graphs = DecodeGraphs(OneLayer(), CARD, CPU, maker, HEIGHTS)
    plain, pages, expected_pages = OneLayer(), new_pages(), new_pages()
    for positions in STEPS:
        step = decode_step(positions)
        found, expected = graphs.logits(step, pages), plain(step, expected_pages)
        assert found is not None
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(pages[0].keys, expected_pages[0].keys)
    assert maker.num_captured == maker.num_run == len(HEIGHTS)  # one for each height, then replays only


def test_widths_of_their_own_for_attention_that_copies_whole_tables() -> None:
    maker = GraphsByHand()
    graphs = DecodeGraphs(OneLayer(), CARD, CPU, maker, heights=(2,), widths=(1, 2))
    plain, pages, expected_pages = OneLayer(), new_pages(), new_pages()
    for positions in ([0, 0], [1, 1], [4, 1], [5]):
        found = graphs.logits(decode_step(positions), pages)
        assert found is not None
        torch.testing.assert_close(found, plain(decode_step(positions), expected_pages))
    assert maker.num_captured == 2
    assert graphs.logits(decode_step([8]), pages) is None  # wider than any


def test_a_cpu_has_none() -> None:
    assert graphs_for(CARD, CPU, OneLayer()) is None


def test_rows_that_are_not_sampled_are_left_out() -> None:
    graphs = DecodeGraphs(OneLayer(), CARD, CPU, GraphsByHand(), HEIGHTS)
    for _ in range(2):
        found = graphs.logits(decode_step([0, 0, 0], sampled=[0, 2]), new_pages())
        torch.testing.assert_close(found, OneLayer()(decode_step([0, 0, 0], sampled=[0, 2]), new_pages()))


def test_a_graph_belongs_to_its_pages() -> None:
    maker, first, second = GraphsByHand(), new_pages(), new_pages()
    graphs = DecodeGraphs(OneLayer(), CARD, CPU, maker, HEIGHTS)
    graphs.logits(decode_step([0]), first)
    graphs.logits(decode_step([0]), second)
    assert maker.num_captured == 2
    assert torch.equal(first[0].keys, second[0].keys)
    graphs.logits(decode_step([1]), first)
    assert maker.num_captured == 2
    assert not torch.equal(first[0].keys, second[0].keys)
    graphs.forget()
    graphs.logits(decode_step([1]), first)
    assert maker.num_captured == 3


def test_other_steps_are_the_callers() -> None:
    layer = OneLayer()
    graphs = DecodeGraphs(layer, CARD, CPU, GraphsByHand(), HEIGHTS)
    plan, num_tokens = make_plan(MIXED, BLOCK_SIZE)
    tokens = torch.zeros(1, num_tokens, dtype=torch.int64)
    mixed = GenerateBatch(tokens, tokens, plan, np.arange(1), torch.arange(1))
    assert graphs.logits(mixed, new_pages()) is None
    assert graphs.logits(decode_step([0] * 5), new_pages()) is None  # taller than any graph
    assert layer.heights == []


@pytest.mark.parametrize(
    ("maker", "said"),
    [(GraphsByHand(refuses=True), "cannot be recorded: operation not"), (GraphsByHand(error=0.5), "something else")],
)
def test_what_cannot_be_recorded_or_comes_out_wrong_ends_the_graphs_and_no_step(
    maker: GraphsByHand, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    graphs, pages = DecodeGraphs(OneLayer(), CARD, CPU, maker, HEIGHTS), new_pages()
    with caplog.at_level(logging.WARNING):
        found = graphs.logits(decode_step([0, 0]), pages)
    assert found is not None
    torch.testing.assert_close(found, OneLayer()(decode_step([0, 0]), new_pages()))
    assert said in graphs.obstacle
    assert said in caplog.text
    assert graphs.logits(decode_step([1, 1]), pages) is None
