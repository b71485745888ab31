"""Packed linear layers give what plain ones do, for any number of rows."""

import pytest
import torch
import torch.nn.functional as F

from workers.linear.interface import LinearShape
from workers.linear.mkldnn_blob import blob_obstacle, blob_of, tensor_on
from workers.linear.packed import LARGE_WEIGHT, PackedKind, PackedLinear

TOLERANCE = {torch.bfloat16: 0.03, torch.float32: 1e-4}
SHAPE = (48, 80)
pytestmark = pytest.mark.skipif(blob_obstacle() != "", reason=f"nothing is packed here: {blob_obstacle()}")


def tensors(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [80, 48] and bias [80]."""
    source = torch.Generator().manual_seed(3)
    return torch.randn(80, 48, generator=source).to(dtype), torch.randn(80, generator=source).to(dtype)


def layer(dtype: torch.dtype, with_bias: bool = True, num_bytes: int = 0) -> PackedLinear:
    weight, bias = tensors(dtype)
    shape = LinearShape(*SHAPE, dtype)
    target = memoryview(bytearray(PackedKind().num_bytes(shape)))
    metadata = PackedKind().pack(weight, target)
    return PackedLinear(tensor_on(target, metadata[1:]), shape, bias if with_bias else None, num_bytes)


@pytest.mark.parametrize("num_bytes", [0, LARGE_WEIGHT])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_equals_plain_for_any_number_of_rows(dtype: torch.dtype, num_bytes: int) -> None:
    weight, bias = tensors(dtype)
    for with_bias in (False, True):
        packed = layer(dtype, with_bias, num_bytes)
        for shape in ((0,), (1,), (2,), (3,), (4,), (17,), (1, 2), (2, 3)):
            rows = torch.randn(*shape, 48).to(dtype)
            expected = F.linear(rows, weight, bias if with_bias else None)
            found = packed(rows)
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            torch.testing.assert_close(found, expected, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


def test_rows_may_lie_apart() -> None:
    weight, bias = tensors(torch.bfloat16)
    for count in (2, 9):
        rows = torch.randn(count, 100).bfloat16()[:, 7:55]
        found = layer(torch.bfloat16, num_bytes=LARGE_WEIGHT)(rows)
        torch.testing.assert_close(found, F.linear(rows, weight, bias), atol=0.03, rtol=0.03)


def test_one_small_batch_leaves_nothing_in_the_next() -> None:
    packed = layer(torch.bfloat16, num_bytes=LARGE_WEIGHT)
    rows = torch.randn(3, 48).bfloat16()
    first = packed(rows)
    kept = first.clone()
    assert torch.equal(packed(rows[:1]), first[:1])
    assert torch.equal(first, kept)  # results are new tensors


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_that_of_the_product(approximate: str) -> None:
    weight, bias = tensors(torch.float32)
    rows = torch.randn(5, 48)
    expected = F.gelu(F.linear(rows, weight, bias), approximate=approximate)
    torch.testing.assert_close(layer(torch.float32).gelu(rows, approximate), expected, atol=1e-3, rtol=1e-3)


def test_types_it_does_not_pack_are_an_obstacle() -> None:
    assert "float64" in PackedKind().obstacle(LinearShape(48, 80, torch.float64))


def test_the_size_known_before_is_that_of_the_packed_weight() -> None:
    weight, _ = tensors(torch.bfloat16)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    assert len(blob_of(packed)[0]) == PackedKind().num_bytes(LinearShape(*SHAPE, torch.bfloat16))
