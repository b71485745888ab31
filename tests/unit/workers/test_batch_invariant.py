"""Cutting and filling up steps, the search for heights that agree, and attention that knows positions only."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from ipc.errors import StartupError
from ipc.model_card import ModelCard
from ipc.step_layout import RowFlag, StepColumns, StepKind, StepShape
from tests.parity.plan_driver import make_columns
from tests.unit.workers.test_paged_attention import NUM_PAGES
from workers.batch import attention_plan
from workers.batch_invariant import (
    BASE_HEIGHT,
    OTHER_HEIGHTS,
    agreeing_heights,
    check_supported,
    fitting_height,
    split_step,
)
from workers.paged_attention.choose import make_backend
from workers.paged_attention.interface import LayerArguments, LayerPages
from workers.prompt_logprobs import told_tokens
from workers.rows import token_positions, token_rows

VOCAB, MAX_MODEL_LEN, WIDTH = 100, 512, 48
CARD = ModelCard(
    index=0,
    name="dense",
    path="dense",
    task="generate",
    architecture="LlamaForCausalLM",
    dtype="float32",
    vocab_size=VOCAB,
    max_model_len=MAX_MODEL_LEN,
    attention_backend="reference",
)


def step(rows: list[tuple[int, int]], tells_prompt: bool = False) -> StepColumns:
    """Rows (start, num_new), all to be sampled; token ids count up."""
    num_tokens = sum(num_new for _, num_new in rows)
    columns = make_columns(StepShape(StepKind.GENERATE, len(rows), num_tokens, 1, has_prompt_logprobs=tells_prompt))
    columns.start[:] = [start for start, _ in rows]
    columns.num_new[:] = [num_new for _, num_new in rows]
    columns.flags[:] = RowFlag.SAMPLE
    columns.token_ids[:] = np.arange(len(columns.token_ids))
    return columns


def test_a_step_is_cut_without_losing_or_moving_a_token() -> None:
    columns = step([(0, 5), (9, 1), (3, 12), (7, 1)])
    parts = split_step(columns, 8)
    assert [part.num_new.tolist() for part in parts] == [[5, 1, 2, 0], [0, 0, 8, 0], [0, 0, 2, 1]]
    assert np.concatenate([part.token_ids for part in parts]).tolist() == columns.token_ids.tolist()
    positions = np.concatenate([token_positions(part) for part in parts])
    assert positions.tolist() == token_positions(columns).tolist()
    sampled = [np.flatnonzero(part.flags & RowFlag.SAMPLE).tolist() for part in parts]
    assert sampled == [[0, 1], [], [2, 3]]


def test_the_parts_of_a_step_tell_of_the_same_tokens() -> None:
    """A prompt's log-probabilities: the token after a part's last one is the first of the row's next part."""
    columns = step([(0, 5), (9, 1), (3, 12), (7, 1)], tells_prompt=True)
    columns.flags[[0, 2, 3]] |= np.uint32(RowFlag.PROMPT_LOGPROBS)
    columns.next_token[:] = [77, 0, -1, 88]
    (whole,) = told_tokens(columns, 64)
    begin = 0
    tokens: list[int] = []
    following: list[int] = []
    for part in split_step(columns, 8):
        for told in told_tokens(part, 3):
            tokens += (told.tokens + begin).tolist()
            following += told.following.tolist()
            part.prompt_rank[told.tokens] = told.following
        begin += len(part.token_ids)
    assert tokens == whole.tokens.tolist() == [0, 1, 2, 3, 4, *range(6, 17), 18]
    assert following == whole.following.tolist() == [1, 2, 3, 4, 77, *range(7, 18), 88]
    assert columns.prompt_rank[whole.tokens].tolist() == following


def test_a_step_that_fits_stays_whole() -> None:
    (part,) = split_step(step([(0, 3), (5, 1)]), 64)
    assert part.num_new.tolist() == [3, 1]
    assert part.flags.tolist() == [RowFlag.SAMPLE, RowFlag.SAMPLE]


def test_the_next_height_is_taken() -> None:
    assert [fitting_height(count, (4, 16, 64)) for count in (1, 4, 5, 16, 17, 64)] == [4, 4, 16, 16, 64, 64]


class RowsModel:
    """Stands for a model: a matrix product of rows that depend on token and position, and a fault to be found."""

    def __init__(self, fault: Callable[[torch.Tensor], None]) -> None:
        source = torch.Generator().manual_seed(0)
        self._tokens = torch.randn(VOCAB, WIDTH, generator=source)
        self._positions = torch.randn(MAX_MODEL_LEN, WIDTH, generator=source)
        self._head = torch.randn(VOCAB, WIDTH, generator=source)
        self._fault = fault

    def forward(self, token_ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        rows = self._tokens[token_ids] + self._positions[positions]
        self._fault(rows)
        return torch.cat([row[None] @ self._head.T for row in rows])  # each alone: no fault of its own

    def heights(self) -> tuple[int, ...]:
        return agreeing_heights("rows", self.forward, VOCAB, MAX_MODEL_LEN)


def one_bit_more(numbers: torch.Tensor) -> None:
    numbers.copy_(torch.nextafter(numbers, torch.full_like(numbers, torch.inf)))


def test_without_a_fault_all_heights_agree() -> None:
    assert RowsModel(lambda rows: None).heights() == tuple(sorted((BASE_HEIGHT, *OTHER_HEIGHTS)))


def test_a_height_of_other_bits_is_left_out() -> None:
    def fault(rows: torch.Tensor) -> None:
        if len(rows) == 32:
            one_bit_more(rows[-3:])

    assert 32 not in RowsModel(fault).heights()
    assert 64 in RowsModel(fault).heights()


def last_place(rows: torch.Tensor) -> None:
    one_bit_more(rows[-1:])


def neighbours(rows: torch.Tensor) -> None:
    rows.add_(rows.mean(dim=0), alpha=1e-6)


@pytest.mark.parametrize("fault", [last_place, neighbours])
def test_a_model_that_looks_at_places_or_neighbours_is_refused(fault: Callable[[torch.Tensor], None]) -> None:
    with pytest.raises(StartupError, match="neighbours"):
        RowsModel(fault).heights()


class Settings:
    """What a transformers configuration says."""

    def __init__(self, **values: int | None) -> None:
        self._values = values

    def to_dict(self) -> dict[str, int | None]:
        return self._values


@pytest.mark.parametrize("key", ["num_experts", "num_local_experts", "n_routed_experts"])
def test_mixtures_of_experts_are_refused(key: str) -> None:
    with pytest.raises(StartupError, match="mixture of experts"):
        check_supported(CARD, Settings(**{key: 8}))
    check_supported(CARD, Settings(**{key: None}, hidden_size=64))
    check_supported(CARD, Settings(**{key: 1}, num_experts_per_tok=2))


@pytest.mark.parametrize("changes", [{"device": "cuda"}, {"attention_backend": "varlen"}])
def test_what_nobody_vouches_for_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(StartupError, match="cannot be batch-invariant"):
        check_supported(replace(CARD, **changes), Settings())


def attend_in_chunks(backend: str, cuts: list[int], block_size: int, arguments: LayerArguments) -> torch.Tensor:
    """One sequence of cuts[-1] tokens, a step for each chunk, on pages full of NaN; gives [tokens, heads, dim]."""
    source = torch.Generator().manual_seed(1)
    length = cuts[-1]
    query = torch.randn(length, 4, 24, generator=source)
    key, value = torch.randn(length, 2, 24, generator=source), torch.randn(length, 2, 24, generator=source)
    pages = LayerPages(*(torch.full((NUM_PAGES, 2, block_size, 24), torch.nan) for _ in range(2)))
    attention = make_backend(backend, batch_invariant=True)
    outputs = []
    for start, end in zip([0, *cuts], cuts, strict=False):
        columns = make_columns(StepShape(StepKind.GENERATE, 1, end - start, NUM_PAGES))
        columns.start[:], columns.num_new[:] = start, end - start
        columns.block_tables[:] = np.random.default_rng(0).permutation(NUM_PAGES)
        rows, positions = token_rows(columns.num_new), token_positions(columns)
        plan = attention_plan(columns, block_size, rows, positions, 1 if backend == "reference" else length)
        part = slice(start, end)
        outputs.append(attention.attend(pages, query[part], key[part], value[part], arguments, plan).clone())
    return torch.cat(outputs)


@pytest.mark.parametrize("backend", ["reference", "paged"])
@pytest.mark.parametrize("block_size", [3, 16])
@pytest.mark.parametrize("window", [0, 20])
def test_attention_does_not_depend_on_how_a_prompt_is_cut(backend: str, block_size: int, window: int) -> None:
    arguments = LayerArguments(0.2, window, 0.0, torch.tensor([0.5, -0.5, 1.0, 0.0]))
    at_once = attend_in_chunks(backend, [130], block_size, arguments)
    assert at_once.isfinite().all()
    for cuts in ([1, 2, 3, 40, 41, 130], [16, 32, 64, 128, 130], [7, 77, 129, 130], [*range(1, 131)]):
        assert torch.equal(attend_in_chunks(backend, cuts, block_size, arguments), at_once)
