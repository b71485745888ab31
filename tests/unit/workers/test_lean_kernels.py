"""Compiled kernels of lean layers against what torch computes, bfloat16 to the last bit."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from workers.lean.elementwise_kernels import (
    Activation,
    add_norm_bfloat16,
    add_norm_float32,
    gate_bfloat16,
    gate_float32,
)
from workers.lean.jobs import ADD_NORM, GATE, Jobs
from workers.lean.openmp import run_kernel

DTYPES = [torch.float32, torch.bfloat16]


def normed(rows: torch.Tensor, weight: torch.Tensor, rounds_first: bool) -> torch.Tensor:
    wide = rows.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
    if rounds_first:
        wide = wide.to(rows.dtype).float()
    return (wide * weight).to(rows.dtype)


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    if found.dtype == torch.bfloat16:
        return torch.equal(found, expected)
    return torch.allclose(found, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rounds_first", [False, True])
@pytest.mark.parametrize("has_delta_norm", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.22])
def test_adds_and_norms_as_modules_do(
    dtype: torch.dtype, rounds_first: bool, has_delta_norm: bool, scale: float
) -> None:
    source = torch.Generator().manual_seed(5)
    hidden, delta = (torch.randn(7, 96, generator=source).to(dtype) for _ in range(2))
    weight, delta_weight = (1 + 0.3 * torch.randn(96, generator=source).to(dtype).float() for _ in range(2))
    added = normed(delta, delta_weight, rounds_first) if has_delta_norm else delta
    expected = hidden + (added if scale == 1.0 else added * scale)
    target = torch.empty_like(hidden)
    jobs = Jobs(ADD_NORM, 1)
    jobs.set_all(rows=7, width=96, hidden=hidden.data_ptr(), delta=delta.data_ptr(), delta_eps=1e-6, eps=1e-6)
    jobs.set_all(delta_weight=delta_weight.data_ptr() if has_delta_norm else 0, delta_scale=scale)
    jobs.set_all(weight=weight.data_ptr(), rounds_first=rounds_first, normed=target.data_ptr())
    kernel = add_norm_bfloat16 if dtype == torch.bfloat16 else add_norm_float32
    run_kernel(kernel(), jobs.address(0), torch.get_num_threads())
    assert same(hidden, expected)
    assert same(target, normed(expected, weight, rounds_first))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("activation", "function"),
    [(Activation.SILU, F.silu), (Activation.GELU_TANH, lambda rows: F.gelu(rows, approximate="tanh"))],
)
def test_gates_as_modules_do(
    dtype: torch.dtype, activation: Activation, function: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    rows = (4 * torch.randn(9, 160, generator=torch.Generator().manual_seed(6))).to(dtype)
    rows[0, :4] = torch.tensor([100.0, -100.0, float("nan"), 0.0])
    gate, up = rows.split(80, dim=-1)
    expected, found = function(gate) * up, torch.empty(9, 80, dtype=dtype)
    jobs = Jobs(GATE, 1)
    jobs.set_all(rows=9, width=80, activation=int(activation), gate_up=rows.data_ptr(), output=found.data_ptr())
    run_kernel((gate_bfloat16 if dtype == torch.bfloat16 else gate_float32)(), jobs.address(0), 1)
    assert torch.equal(found.isnan(), expected.isnan())
    torch.testing.assert_close(found.nan_to_num(), expected.nan_to_num(), rtol=8e-3, atol=1e-5)
