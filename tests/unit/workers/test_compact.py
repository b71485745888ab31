"""Weights in 12 bits: the same products as in 16, whatever the weights are."""

import logging
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workers.linear.compact import CompactKind
from workers.linear.compact_weight import compact_bytes
from workers.linear.interface import LinearLayer, LinearShape
from workers.linear.packed import PackedKind
from workers.linear.packed_product import MOST_ROWS
from workers.linear.row_tile import COMPACT

OUTPUTS, INPUTS = 192, 608  # three blocks of two whole chunks and a part of one
KIND = CompactKind()
pytestmark = pytest.mark.skipif(
    KIND.obstacle(LinearShape(INPUTS, OUTPUTS, torch.bfloat16)) != "", reason="this CPU has no such products"
)


def trained_like() -> torch.Tensor:
    return torch.randn(OUTPUTS, INPUTS, generator=torch.Generator().manual_seed(1)).mul_(0.02).bfloat16()


def layer_of(
    weight: torch.Tensor, bias: torch.Tensor | None = None, without: str = "packed"
) -> tuple[LinearLayer, bytes, Any]:
    """The layer, its metadata and the memory it lies on; of the weight's two forms one is overwritten with NaN."""
    shape = LinearShape(weight.shape[1], weight.shape[0], weight.dtype)
    size = KIND.num_bytes(shape)
    room = np.full(size + 128, 255, np.uint8)  # what is there already must not shine through
    start = -room.ctypes.data % 64
    target = memoryview(room[start : start + size])  # type: ignore[arg-type]
    metadata = KIND.pack(weight, target)
    assert (room[start + size :] == 255).all()
    packed = PackedKind().num_bytes(shape)
    if without == "packed":
        target[:packed] = b"\xff" * packed
    elif without == "compact":
        target[packed:] = b"\xff" * (size - packed)
    return KIND.open(target.toreadonly(), metadata, shape, bias), metadata, room


def kept_exactly(weight: torch.Tensor) -> bool:
    """Each weight comes back as it was: rows of a one and zeros bring one column each, and nothing is rounded."""
    layer, metadata, _room = layer_of(weight)
    assert metadata[:1] == b"\1"
    ones = torch.eye(weight.shape[1]).bfloat16()
    found = torch.cat([layer(rows) for rows in ones.split(COMPACT.most_rows)]).T
    return torch.equal(found.nan_to_num(7.0), weight.nan_to_num(7.0))


@pytest.mark.parametrize("num_rows", range(1, COMPACT.most_rows + 1))
@pytest.mark.parametrize("with_bias", [False, True])
def test_equals_the_plain_product(num_rows: int, with_bias: bool) -> None:
    weight, rows = trained_like(), torch.randn(num_rows, INPUTS).bfloat16()
    bias = torch.randn(OUTPUTS).bfloat16() if with_bias else None
    layer, metadata, _room = layer_of(weight, bias)
    exact = F.linear(rows.double(), weight.double(), None if bias is None else bias.double())
    assert metadata[:1] == b"\1"
    for _ in range(2):
        assert float((layer(rows).double() - exact).abs().max()) <= 0.004 * float(exact.abs().max())


@pytest.mark.parametrize("num_rows", [COMPACT.most_rows + 1, 36, MOST_ROWS, MOST_ROWS + 1])
def test_more_rows_go_through_the_packed_weight(num_rows: int) -> None:
    weight, rows = trained_like(), torch.randn(num_rows, INPUTS).bfloat16()
    layer, _, _room = layer_of(weight, without="compact")
    torch.testing.assert_close(layer(rows), F.linear(rows, weight), atol=0.03, rtol=0.03)


def test_no_weight_is_changed() -> None:
    assert kept_exactly(trained_like())


def test_rare_exponents_are_corrected() -> None:
    """Huge and tiny numbers and zeros, in every block and chunk, upper and lower bytes anywhere in a line."""
    weight = trained_like()
    rare = torch.tensor([3e8, -3e-30, 0.0, -0.0, -7.5, 2.0**-20]).bfloat16()
    some = weight.view(-1)[::1171]
    some[:] = rare.repeat(len(some))[: len(some)]
    assert kept_exactly(weight)


def test_half_the_weights_may_be_zero() -> None:
    weight = trained_like()
    weight[:, ::2] = 0
    assert kept_exactly(weight)


def test_a_broken_weight_breaks_its_output_alone() -> None:
    weight = trained_like()
    weight[70, 300] = float("nan")
    weight[5, 1] = float("inf")
    layer, metadata, _room = layer_of(weight)
    found = layer(torch.ones(3, INPUTS).bfloat16())
    assert metadata[:1] == b"\1"
    assert found[:, 70].isnan().all()
    assert found[:, 5].isinf().all()
    assert int(found.isfinite().sum()) == 3 * (OUTPUTS - 2)


def test_weights_of_any_exponent_stay_packed(caplog: pytest.LogCaptureFixture) -> None:
    exponents = torch.randint(1, 254, (OUTPUTS, INPUTS), generator=torch.Generator().manual_seed(2))
    weight = (exponents << 7).to(torch.uint16).view(torch.bfloat16)
    with caplog.at_level(logging.INFO, "zerolane.workers.linear"):
        layer, metadata, _room = layer_of(weight, without="compact")
    assert metadata[:1] == b"\0"
    assert "no compact copy" in caplog.text
    rows = torch.zeros(1, INPUTS).bfloat16()
    rows[0, 7] = 1
    assert torch.equal(layer(rows)[0], weight[:, 7])


def test_a_copy_takes_three_quarters_more() -> None:
    assert compact_bytes(3072, 1024) < 0.78 * 2 * 3072 * 1024


@pytest.mark.parametrize(("shape", "why"), [((64, 33), "kernel"), ((65, 32), "kernel")])
def test_other_shapes_are_not_compact(shape: tuple[int, int], why: str) -> None:
    assert why in KIND.obstacle(LinearShape(shape[1], shape[0], torch.bfloat16))
    assert "bfloat16" in KIND.obstacle(LinearShape(64, 64, torch.float32))
