"""When kernels are compiled: anew when anything they are made of changes, and before workers are forked."""

import ast
from pathlib import Path
from typing import Any

import pytest
import torch

import workers
from workers.linear import int4_kernels, int8_kernels, packed_product
from workers.linear.interface import LinearShape
from workers.linear.kinds import KINDS
from workers.paged_attention.kernel_cache import SHARED

WORKERS = Path(*workers.__path__)
UNCOMPILED = {"workers.lean.openmp"}  # runs kernels, is in none


def imported_by_kernels() -> set[str]:
    """Dotted names of our modules that files with kernels import."""
    found: set[str] = set()
    for path in WORKERS.rglob("*.py"):
        text = path.read_text()
        if "\n@kernel\n" in text:
            nodes = [node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)]
            found |= {node.module for node in nodes if node.module and node.module.startswith("workers.")}
    return found


def test_what_kernels_share_is_known() -> None:
    """numba looks at a kernel's own file only: a job record that had grown met a kernel of the old one."""
    shared = {f"workers.{name.removesuffix('.py').replace('/', '.')}" for name in SHARED}
    assert imported_by_kernels() - UNCOMPILED == shared


@pytest.mark.parametrize(
    ("kind", "kernels"),
    [
        ("packed", [packed_product._multiply]),
        ("compact", [packed_product._multiply]),
        ("int8", [int8_kernels.quantize_bfloat16, int8_kernels.multiply_bfloat16, int8_kernels.scale_bfloat16]),
        ("int4", [int8_kernels.quantize_bfloat16, int4_kernels.multiply_int4_bfloat16]),
    ],
)
def test_an_opened_layer_has_its_kernels(kind: str, kernels: list[Any]) -> None:
    """Where nothing can be kept on disk every worker compiled them for itself, some at a step of a stream."""
    shape = LinearShape(64, 64, torch.bfloat16)
    if KINDS[kind].obstacle(shape) or (kind in ("packed", "compact") and not packed_product.is_possible(64, 64)):
        pytest.skip("this machine has none of these")
    size = KINDS[kind].num_bytes(shape)
    room = torch.zeros(size + 64, dtype=torch.uint8)
    view = memoryview(room[-room.data_ptr() % 64 :][:size].numpy())  # type: ignore[arg-type]  # it has a buffer
    metadata = KINDS[kind].pack(torch.randn(64, 64).bfloat16(), view)
    for kernel in kernels:
        kernel.cache_clear()
    KINDS[kind].open(view, metadata, shape, None)
    assert [kernel.cache_info().currsize for kernel in kernels] == [1] * len(kernels)
