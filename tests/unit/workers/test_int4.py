"""int4 layers against the product with what their codes stand for, and with the weight as it was."""

import mmap

import pytest
import torch
import torch.nn.functional as F

from ipc.errors import ProtocolError
from workers.linear.int4 import Int4Kind, int4_bytes, quantize_groups
from workers.linear.interface import LinearLayer, LinearShape

_MAPPED: list[memoryview] = []  # as long as layers are used
KIND = Int4Kind()
OBSTACLE = KIND.obstacle(LinearShape(32, 64, torch.bfloat16))
pytestmark = pytest.mark.skipif(OBSTACLE != "", reason=OBSTACLE)
CLOSE = 0.015  # to the product with rounded weights: only rows are rounded, to 255 steps
CLOSE_TO_FULL = 0.11  # random weights, the worst there are: sixteen steps for each 32


def weight_of(out_features: int, in_features: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(out_features * 1000 + in_features)
    return torch.randn(out_features, in_features, generator=generator).mul_(in_features**-0.5).to(dtype)


def rows_of(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape))).to(dtype)


def layer_of(weight: torch.Tensor, bias: torch.Tensor | None = None) -> LinearLayer:
    """Packed and opened on read-only memory."""
    shape = LinearShape(weight.shape[1], weight.shape[0], weight.dtype)
    memory = memoryview(mmap.mmap(-1, KIND.num_bytes(shape)))
    _MAPPED.append(memory)
    return KIND.open(memory.toreadonly(), KIND.pack(weight, memory), shape, bias)


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """What the weight's codes stand for."""
    codes, scales = quantize_groups(weight.float().reshape(-1, 32))
    return ((codes.float() - 8) * scales.float()[:, None]).view(weight.shape)


def assert_close(found: torch.Tensor, wanted: torch.Tensor, bound: float = CLOSE) -> None:
    assert (found.float() - wanted.float()).norm() <= bound * wanted.float().norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("out_features", "in_features"), [(256, 128), (100, 96), (65, 32)])
def test_every_number_of_rows(dtype: torch.dtype, out_features: int, in_features: int) -> None:
    weight = weight_of(out_features, in_features, dtype)
    bias = weight_of(1, out_features, dtype)[0]
    layer = layer_of(weight, bias)
    for count in (1, 2, 3, 4, 5, 17, 70):
        rows = rows_of(count, in_features, dtype=dtype)
        found = layer(rows)
        assert found.dtype is dtype
        assert found.shape == (count, out_features)
        assert_close(found, F.linear(rows.float(), rounded(weight), bias.float()))
        assert_close(found, F.linear(rows, weight, bias), CLOSE_TO_FULL)


def test_rows_of_any_shape_and_order() -> None:
    weight = weight_of(96, 64, torch.bfloat16)
    layer, rows = layer_of(weight), rows_of(64, 5, 3).transpose(0, 2)
    assert_close(layer(rows), F.linear(rows.float(), rounded(weight)))
    assert layer(rows[:0]).shape == (0, 5, 96)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_broken_row_harms_no_other(broken: float) -> None:
    layer, rows = layer_of(weight_of(96, 64, torch.bfloat16)), rows_of(7, 64)
    sound = layer(rows)
    rows[1, 7] = broken
    found = layer(rows)
    assert found[1].isnan().all()
    assert torch.equal(found[2:], sound[2:])
    assert torch.equal(found[0], sound[0])


def test_an_outlier_coarsens_its_group_alone() -> None:
    weight = weight_of(64, 64, torch.float32)
    sound = rounded(weight)
    weight[3, 5] = 50.0
    assert torch.equal(rounded(weight)[3, 32:], sound[3, 32:])
    assert torch.equal(rounded(weight)[4:], sound[4:])
    assert rounded(weight)[3, 5] == pytest.approx(50.0, rel=0.04)


def test_zeros_stay_zeros() -> None:
    weight = torch.zeros(64, 32)
    assert (layer_of(weight)(rows_of(3, 32, dtype=torch.float32)) == 0).all()


def test_it_takes_four_and_a_half_bits_a_weight() -> None:
    assert int4_bytes(1024, 1024) * 8 == 1024 * 1024 * 4.5


def test_obstacles() -> None:
    assert "by 32" in KIND.obstacle(LinearShape(48, 64, torch.bfloat16))
    assert "float16" in KIND.obstacle(LinearShape(64, 64, torch.half))


def test_room_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ProtocolError, match="takes"):
        KIND.pack(weight_of(64, 64, torch.bfloat16), memoryview(bytearray(64)))
