"""The back ends of GPUs against the reference on the CPU, with the shapes and types of `test_device_attention.py`."""

import pytest
import torch

from tests.unit.workers.test_device_attention import SHAPES
from tests.unit.workers.test_paged_attention import MIXED, NUM_PAGES, make_plan
from workers.paged_attention.gathered import GatheredAttention
from workers.paged_attention.interface import AttentionBackend, LayerArguments, LayerPages
from workers.paged_attention.reference import ReferenceAttention
from workers.paged_attention.varlen import VarlenAttention, torch_varlen
from workers.to_device import plan_on

BLOCK_SIZE = 256  # the kernel may take no smaller pages


def _backend(name: str) -> AttentionBackend:
    if name == "gathered":
        return GatheredAttention()
    try:
        torch_varlen()
    except (ImportError, AttributeError) as error:
        pytest.skip(f"torch {torch.__version__}: {error}")
    return VarlenAttention()


@pytest.mark.parametrize("name", ["gathered", "varlen"])
@pytest.mark.parametrize(("shape", "window", "softcap", "has_sinks"), SHAPES)
def test_equals_the_reference(
    name: str, shape: tuple[int, int, int, int], window: int, softcap: float, has_sinks: bool
) -> None:
    heads, kv_heads, key_dim, value_dim = shape
    if name == "varlen" and key_dim != value_dim:
        pytest.skip("the kernel takes keys and values of one width")
    backend = _backend(name)
    plan, num_tokens = make_plan(MIXED, BLOCK_SIZE)
    source = torch.Generator().manual_seed(1)

    def random(*dims: int) -> torch.Tensor:
        return torch.randn(*dims, generator=source).to(torch.bfloat16)

    keys, values = random(NUM_PAGES, kv_heads, BLOCK_SIZE, key_dim), random(NUM_PAGES, kv_heads, BLOCK_SIZE, value_dim)
    inputs = (
        random(num_tokens, heads, key_dim),
        random(num_tokens, kv_heads, key_dim),
        random(num_tokens, kv_heads, value_dim),
    )
    sinks = torch.linspace(-1, 1, heads).to(torch.bfloat16) if has_sinks else None
    arguments = LayerArguments(key_dim**-0.5, window, softcap, sinks)
    there = LayerArguments(key_dim**-0.5, window, softcap, None if sinks is None else sinks.cuda())
    on_gpu = LayerPages(keys.cuda(), values.cuda())
    query, key, value = (tensor.cuda() for tensor in inputs)
    expected = ReferenceAttention().attend(LayerPages(keys, values), *inputs, arguments, plan)
    found = backend.attend(on_gpu, query, key, value, there, plan_on(plan, torch.device("cuda")))
    torch.testing.assert_close(found.cpu(), expected, atol=2e-2, rtol=2e-2)
    assert torch.equal(on_gpu.keys.cpu(), keys)
