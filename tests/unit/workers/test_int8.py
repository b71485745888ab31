"""int8 layers against the product with the weight as it was; rows that are broken harm no others."""

import mmap

import pytest
import torch
import torch.nn.functional as F

from ipc.errors import ProtocolError
from workers.linear import int8
from workers.linear.int8 import Int8Kind
from workers.linear.int8_layout import layer_bytes, machine_obstacle
from workers.linear.interface import LinearLayer, LinearShape

pytestmark = pytest.mark.skipif(machine_obstacle() != "", reason=machine_obstacle())
_MAPPED: list[memoryview] = []  # as long as layers are used
KIND = Int8Kind()
CLOSE = 0.015  # of the outputs' size: rounding of weights and rows to 255 steps each
TYPES = [torch.bfloat16, torch.float32]


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


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert found.dtype is wanted.dtype
    assert found.shape == wanted.shape
    assert (found.float() - wanted.float()).norm() <= CLOSE * wanted.float().norm()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("out_features", "in_features"), [(256, 128), (100, 132), (65, 64), (192, 68)])
def test_every_number_of_rows(dtype: torch.dtype, out_features: int, in_features: int) -> None:
    weight = weight_of(out_features, in_features, dtype)
    bias = weight_of(1, out_features, dtype)[0]
    with_bias, without = layer_of(weight, bias), layer_of(weight)
    for count in (1, 2, 3, 4, 5, 8, 17, 33, 70):
        rows = rows_of(count, in_features, dtype=dtype)
        assert_close(with_bias(rows), F.linear(rows, weight, bias))
        assert_close(without(rows), F.linear(rows, weight))


def test_no_rows_give_no_rows() -> None:
    assert layer_of(weight_of(96, 64, torch.bfloat16))(torch.empty(2, 0, 64).bfloat16()).shape == (2, 0, 96)


@pytest.mark.parametrize("count", [2, 34])
def test_rows_of_any_shape_and_order(count: int) -> None:
    weight = weight_of(96, 64, torch.bfloat16)
    layer, rows = layer_of(weight), rows_of(64, count, 3).transpose(0, 2)
    assert not rows.is_contiguous()
    assert_close(layer(rows), F.linear(rows, weight))
    assert_close(layer(rows[0, 0]), F.linear(rows[0, 0], weight))


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_a_broken_row_harms_no_other(count: int, broken: float) -> None:
    layer, rows = layer_of(weight_of(96, 64, torch.bfloat16)), rows_of(count, 64)
    sound = layer(rows)
    rows[1, 7] = broken
    found = layer(rows)
    assert found[1].isnan().all()
    assert torch.equal(found[[0, 2]], sound[[0, 2]])


@pytest.mark.parametrize("count", [4, 40])
def test_zero_tiny_and_huge_rows(count: int) -> None:
    weight = weight_of(96, 64, torch.float32)
    bias = torch.linspace(-1, 1, 96)
    rows = rows_of(count, 64, dtype=torch.float32)
    rows[0], rows[1] = 0.0, 1e-38
    rows[2] *= 1e30
    found = layer_of(weight, bias)(rows)
    assert torch.equal(found[0], bias)
    assert torch.equal(found[1], bias)
    assert_close(found[2], F.linear(rows[2], weight, bias))


def test_an_outlier_coarsens_its_row_alone() -> None:
    weight = weight_of(96, 64, torch.float32)
    layer, rows = layer_of(weight), rows_of(40, 64, dtype=torch.float32)
    sound = layer(rows)
    rows[3, 5] = 1e4
    found = layer(rows)
    assert torch.equal(found[:3], sound[:3])
    assert torch.equal(found[4:], sound[4:])
    assert_close(found[3], F.linear(rows[3], weight))


def test_outputs_of_nothing_but_zeros() -> None:
    weight = weight_of(96, 64, torch.bfloat16)
    weight[5] = 0
    layer = layer_of(weight)
    for count in (1, 40):
        assert (layer(rows_of(count, 64))[:, 5] == 0).all()


@pytest.mark.parametrize("count", [1, 3, 7, 40])
def test_both_products_agree(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN and our kernel add the same whole numbers; only roundings afterwards differ."""
    layer, rows = layer_of(weight_of(130, 64, torch.float32)), rows_of(count, 64, dtype=torch.float32)
    monkeypatch.setattr(int8, "MOST_FEW_ROWS", 1000)
    few = layer(rows)
    monkeypatch.setattr(int8, "MOST_FEW_ROWS", 0)
    assert torch.allclose(few, layer(rows), rtol=1e-6, atol=1e-7)


def test_a_result_is_not_memory_of_the_layer() -> None:
    layer, rows = layer_of(weight_of(96, 64, torch.bfloat16)), rows_of(2, 64)
    first = layer(rows)
    kept = first.clone()
    layer(rows + 1)
    assert torch.equal(first, kept)


def test_a_large_weight_is_quantized_in_parts() -> None:
    weight = weight_of(4096 + 70, 8, torch.bfloat16)
    rows = rows_of(40, 8)
    assert_close(layer_of(weight)(rows), F.linear(rows, weight))


def test_it_takes_half_of_bfloat16() -> None:
    assert layer_bytes(1024, 1024) == 1024 * 1024 + 2 * 4 * 1024


@pytest.mark.parametrize(
    ("shape", "said"), [(LinearShape(66, 64, torch.bfloat16), "by fours"), (LinearShape(64, 64, torch.half), "float16")]
)
def test_obstacles(shape: LinearShape, said: str) -> None:
    assert said in KIND.obstacle(shape)


def test_room_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ProtocolError, match="takes"):
        KIND.pack(weight_of(64, 64, torch.bfloat16), memoryview(bytearray(64)))
