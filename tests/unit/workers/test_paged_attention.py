"""The fast back end against the plain reference, over shapes, windows, soft-caps, sinks and types."""

import numpy as np
import pytest
import torch

from ipc.step_layout import StepKind, StepShape
from tests.parity.plan_driver import make_columns
from workers.batch import attention_plan
from workers.paged_attention.choose import choose_backend, make_backend
from workers.paged_attention.interface import AttentionBackend, AttentionPlan, LayerArguments, LayerPages
from workers.paged_attention.reference import ReferenceAttention
from workers.rows import token_positions, token_rows

NUM_PAGES = 60


def make_plan(rows: list[tuple[int, int]], block_size: int, seed: int = 0) -> tuple[AttentionPlan, int]:
    """The plan of rows (start, num_new) on scattered pages, and the number of tokens."""
    num_tokens = sum(num_new for _, num_new in rows)
    width = max(-(-(start + num_new) // block_size) for start, num_new in rows)
    columns = make_columns(StepShape(StepKind.GENERATE, len(rows), num_tokens, width))
    columns.start[:] = [start for start, _ in rows]
    columns.num_new[:] = [num_new for _, num_new in rows]
    pages = np.random.default_rng(seed).permutation(NUM_PAGES)
    used = 0
    for row, (start, num_new) in enumerate(rows):
        count = -(-(start + num_new) // block_size)
        columns.block_tables[row, :count] = pages[used : used + count]
        columns.block_tables[row, count:] = -1
        used += count
    return attention_plan(columns, block_size, token_rows(columns.num_new), token_positions(columns)), num_tokens


def run(
    backend: AttentionBackend,
    plan: AttentionPlan,
    num_tokens: int,
    arguments: LayerArguments,
    shape: tuple[int, int, int, int],
    dtype: torch.dtype,
) -> tuple[torch.Tensor, LayerPages]:
    """Attend over pages and inputs that depend on the shape only; shape: heads, KV heads, key dim, value dim."""
    heads, kv_heads, key_dim, value_dim = shape
    source = torch.Generator().manual_seed(1)

    def normal(*dims: int) -> torch.Tensor:
        return torch.randn(*dims, generator=source).to(dtype)

    pages = LayerPages(
        normal(NUM_PAGES, kv_heads, plan.block_size, key_dim), normal(NUM_PAGES, kv_heads, plan.block_size, value_dim)
    )
    query = normal(heads, num_tokens, key_dim).transpose(0, 1)  # strided, as models give it
    key = normal(kv_heads, num_tokens, key_dim).transpose(0, 1)
    value = normal(kv_heads, num_tokens, value_dim).transpose(0, 1)
    return backend.attend(pages, query, key, value, arguments, plan).clone(), pages


MIXED = [(0, 7), (37, 1), (12, 5), (0, 1), (99, 1), (16, 16)]
DECODE = [(37, 1), (0, 1), (99, 1), (15, 1), (16, 1)]
PREFILL = [(0, 20), (33, 9)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [MIXED, DECODE, PREFILL], ids=["mixed", "decode", "prefill"])
@pytest.mark.parametrize(
    ("shape", "window", "softcap", "has_sinks"),
    [
        ((4, 4, 16, 16), 0, 0.0, False),
        ((8, 2, 24, 24), 0, 0.0, False),
        ((6, 1, 64, 64), 10, 0.0, False),
        ((4, 2, 32, 16), 0, 0.0, False),
        ((4, 2, 16, 16), 18, 5.0, False),
        ((4, 2, 16, 16), 6, 0.0, True),
    ],
    ids=["plain", "grouped", "window", "two_widths", "softcap", "sinks"],
)
def test_equals_the_reference(
    shape: tuple[int, int, int, int],
    window: int,
    softcap: float,
    has_sinks: bool,
    rows: list[tuple[int, int]],
    dtype: torch.dtype,
) -> None:
    plan, num_tokens = make_plan(rows, block_size=16)
    sinks = torch.linspace(-1, 1, shape[0]).to(dtype) if has_sinks else None
    arguments = LayerArguments(shape[2] ** -0.5, window, softcap, sinks)
    expected, expected_pages = run(ReferenceAttention(), plan, num_tokens, arguments, shape, dtype)
    found, pages = run(make_backend("paged"), plan, num_tokens, arguments, shape, dtype)
    tolerance = 2e-6 if dtype is torch.float32 else 2e-2
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
    assert torch.equal(pages.keys, expected_pages.keys)
    assert torch.equal(pages.values, expected_pages.values)


@pytest.mark.parametrize("block_size", [1, 3, 32])
def test_any_block_size(block_size: int) -> None:
    rows = [(7, 1), (0, 5), (4, 3)]
    plan, num_tokens = make_plan(rows, block_size)
    arguments = LayerArguments(0.25, sliding_window=4)
    expected, _ = run(ReferenceAttention(), plan, num_tokens, arguments, (4, 2, 16, 16), torch.float32)
    found, _ = run(make_backend("paged"), plan, num_tokens, arguments, (4, 2, 16, 16), torch.float32)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-6)


def test_a_row_does_not_depend_on_the_others() -> None:
    """Batch invariance: pages and inputs of a row are the same alone and with others."""
    backend = make_backend("paged")
    pages = LayerPages(torch.randn(NUM_PAGES, 2, 16, 16), torch.randn(NUM_PAGES, 2, 16, 16))
    query, key, value = torch.randn(5, 4, 16), torch.randn(5, 2, 16), torch.randn(5, 2, 16)
    arguments = LayerArguments(0.25)
    plan, _ = make_plan(DECODE, 16)
    together = backend.attend(pages, query, key, value, arguments, plan).clone()
    for row in range(5):
        alone = AttentionPlan(
            16,
            plan.token_page[row : row + 1],
            plan.token_offset[row : row + 1],
            torch.zeros(1, dtype=torch.int64),
            plan.single_lengths[row : row + 1],
            plan.single_tables[row : row + 1],
            (),
            singles_are_all=True,
        )
        parts = (query[row : row + 1], key[row : row + 1], value[row : row + 1])
        assert torch.equal(backend.attend(pages, *parts, arguments, alone)[0], together[row])


def test_nan_stays_in_its_row() -> None:
    backend = make_backend("paged")
    pages = LayerPages(torch.zeros(NUM_PAGES, 2, 16, 16), torch.zeros(NUM_PAGES, 2, 16, 16))
    plan, _ = make_plan(DECODE, 16)
    query = torch.ones(5, 4, 16)
    query[2] = float("nan")
    output = backend.attend(pages, query, torch.ones(5, 2, 16), torch.ones(5, 2, 16), LayerArguments(0.25), plan)
    assert output[2].isnan().all()
    assert output[[0, 1, 3, 4]].isfinite().all()


def test_choice_says_why() -> None:
    assert choose_backend("auto", "bfloat16", []).name == "paged"
    assert choose_backend("reference", "float32", []).name == "reference"
    half = choose_backend("auto", "float16", [])
    assert half.name == "reference"
    assert "float16" in half.reason
    assert choose_backend("auto", "float32", ["numba is missing"]).reason == "numba is missing"
