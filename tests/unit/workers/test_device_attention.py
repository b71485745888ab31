"""The back ends of other devices against the plain reference, on the CPU; and that they stay on one device.

torch's paged kernel runs on CUDA only: a stand-in does what its documentation says, so that what we hand it is tried.
"""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from ipc.model_card import KvLayer, ModelCard
from tests.unit.workers.test_paged_attention import DECODE, MIXED, NUM_PAGES, PREFILL, make_plan, run
from workers.paged_attention.gathered import GatheredAttention
from workers.paged_attention.interface import AttentionBackend, LayerArguments, LayerPages
from workers.paged_attention.reference import ReferenceAttention, attend_row
from workers.paged_attention.varlen import VarlenAttention, varlen_obstacle
from workers.to_device import plan_on

CPU = torch.device("cpu")


def documented_varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor | None,
    max_q: int,
    max_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
    seqused_k: torch.Tensor,
    block_table: torch.Tensor,
) -> torch.Tensor:
    """What the documentation of torch 2.13 says varlen_attn computes: pages [pages, size, KV heads, dim]."""
    assert cu_seq_k is None
    assert enable_gqa == (query.shape[1] != key.shape[2])
    assert (cu_seq_q.dtype, seqused_k.dtype, block_table.dtype) == (torch.int32,) * 3
    left, right = window_size
    assert right == 0
    bounds = cu_seq_q.tolist()
    assert max_q == max(end - begin for begin, end in itertools.pairwise(bounds))
    assert max_k >= int(seqused_k.max())
    parts = []
    for row, (begin, end) in enumerate(itertools.pairwise(bounds)):
        length, num_new = int(seqused_k[row]), end - begin
        table = block_table[row, : -(-length // key.shape[1])].long()
        keys, values = (pages[table].flatten(0, 1)[:length].transpose(0, 1) for pages in (key, value))
        last = torch.arange(length - num_new, length)[:, None]  # aligned to the end of the positions
        mask = torch.arange(length) <= last
        if left >= 0:
            mask &= torch.arange(length) >= last - left
        parts.append(attend_row(query[begin:end], keys, values, mask, LayerArguments(scale)))
    return torch.cat(parts)


def refusing_varlen(*_args: Any, **_kwargs: Any) -> torch.Tensor:
    raise RuntimeError("Paged KV cache block size must be divisible by 256\nsomewhere in a kernel")


BACKENDS: dict[str, Callable[[], AttentionBackend]] = {
    "gathered": GatheredAttention,
    "varlen": lambda: VarlenAttention(documented_varlen),
}
SHAPES = [
    ((4, 4, 16, 16), 0, 0.0, False),
    ((8, 2, 24, 24), 0, 0.0, False),
    ((6, 1, 64, 64), 10, 0.0, False),
    ((4, 2, 32, 16), 0, 0.0, False),
    ((4, 2, 16, 16), 18, 5.0, False),
    ((4, 2, 16, 16), 6, 0.0, True),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [MIXED, DECODE, PREFILL], ids=["mixed", "decode", "prefill"])
@pytest.mark.parametrize(
    ("shape", "window", "softcap", "has_sinks"),
    SHAPES,
    ids=["plain", "grouped", "window", "two_widths", "softcap", "sinks"],
)
@pytest.mark.parametrize("name", BACKENDS)
def test_equals_the_reference(
    name: str,
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
    found, pages = run(BACKENDS[name](), plan, num_tokens, arguments, shape, dtype)
    tolerance = 2e-6 if dtype is torch.float32 else 2e-2
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
    assert torch.equal(pages.keys, expected_pages.keys)
    assert torch.equal(pages.values, expected_pages.values)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_plan_of_its_own_for_every_step(name: str) -> None:
    """What a back end keeps between the layers of a step must not reach the next one."""
    backend: AttentionBackend = BACKENDS[name]()
    for rows in (MIXED, DECODE, PREFILL):
        plan, num_tokens = make_plan(rows, block_size=16)
        expected, _ = run(ReferenceAttention(), plan, num_tokens, LayerArguments(0.25), (4, 2, 16, 16), torch.float32)
        found, _ = run(backend, plan, num_tokens, LayerArguments(0.25), (4, 2, 16, 16), torch.float32)
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("name", BACKENDS)
def test_what_a_page_holds_behind_its_row_does_not_matter(name: str) -> None:
    plan, num_tokens = make_plan([(0, 3), (0, 1), (2, 1)], block_size=16)
    pages = LayerPages(torch.full((NUM_PAGES, 2, 16, 8), float("nan")), torch.full((NUM_PAGES, 2, 16, 8), float("nan")))
    for page, offset in ((int(plan.single_tables[1, 0]), 0), (int(plan.single_tables[1, 0]), 1)):
        pages.keys[page, :, offset] = pages.values[page, :, offset] = 1.0
    ones = torch.ones(num_tokens, 2, 8)
    output = BACKENDS[name]().attend(pages, torch.ones(num_tokens, 4, 8), ones, ones, LayerArguments(0.25), plan)
    assert torch.equal(output, torch.ones(num_tokens, 4, 8))


@pytest.mark.parametrize("name", ["gathered", "reference"])
@pytest.mark.parametrize("arguments", [LayerArguments(0.25, 20), LayerArguments(0.25, 20, 5.0, torch.zeros(4))])
def test_makes_nothing_on_the_cpu_when_all_is_elsewhere(name: str, arguments: LayerArguments) -> None:
    """The meta device computes nothing, but refuses operands of two devices as CUDA does.

    The reference reads its plan on the host, the other one where the step is computed.
    """
    meta = torch.device("meta")
    plan, num_tokens = make_plan(MIXED, block_size=16)
    if arguments.sinks is not None:
        arguments = LayerArguments(0.25, 20, 5.0, arguments.sinks.to(meta))
    pages = LayerPages(torch.empty(NUM_PAGES, 2, 16, 8, device=meta), torch.empty(NUM_PAGES, 2, 16, 8, device=meta))
    query, key = torch.empty(num_tokens, 4, 8, device=meta), torch.empty(num_tokens, 2, 8, device=meta)
    backend: AttentionBackend = GatheredAttention() if name == "gathered" else ReferenceAttention()
    there = plan_on(plan, meta) if name == "gathered" else plan
    output = backend.attend(pages, query, key, key, arguments, there)
    assert (output.device, output.shape) == (meta, (num_tokens, 4, 8))


def _card(dtype: str = "float32") -> ModelCard:
    return ModelCard(
        index=0,
        name="small",
        path="nowhere",
        task="generate",
        architecture="LlamaForCausalLM",
        dtype=dtype,
        vocab_size=10,
        max_model_len=64,
        kv_layers=(KvLayer(2, 16, 16), KvLayer(1, 16, 16)),
    )


def test_the_paged_kernel_is_tried_before_it_is_chosen() -> None:
    assert varlen_obstacle(_card(), CPU, documented_varlen) == ""
    assert varlen_obstacle(_card("bfloat16"), CPU, documented_varlen) == ""
    assert "divisible by 256" in varlen_obstacle(_card(), CPU, refusing_varlen)
    assert "\n" not in varlen_obstacle(_card(), CPU, refusing_varlen)

    def wrong(query: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return documented_varlen(query, *args, **kwargs) + 0.1

    assert "something else than the reference" in varlen_obstacle(_card(), CPU, wrong)


def test_without_a_gpu_torch_says_so() -> None:
    assert "varlen_attn" in varlen_obstacle(_card(), CPU)
