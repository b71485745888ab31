"""Rows through the kernel that walks oneDNN's packed weights."""

import pytest
import torch
import torch.nn.functional as F

from workers.linear import packed_product
from workers.linear.interface import KernelLayer, LinearShape
from workers.linear.mkldnn_blob import blob_obstacle
from workers.linear.packed import PackedKind
from workers.linear.packed_product import MOST_ROWS, MOST_ROWS_BESIDE_TILES, PackedProduct, is_possible

pytestmark = pytest.mark.skipif(
    bool(blob_obstacle()) or not is_possible(64, 32), reason="oneDNN packs in another order on this CPU"
)
SHAPES = ((64, 32), (192, 96), (256, 320), (128, 1088))  # outputs, inputs
COUNTS = (*range(1, 37), 64, 65, 100, 127, 128, 129, 192, MOST_ROWS)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_rows", COUNTS)
@pytest.mark.parametrize("with_bias", [False, True])
def test_equals_the_plain_product(shape: tuple[int, int], num_rows: int, with_bias: bool) -> None:
    torch.manual_seed(1)
    weight, rows = torch.randn(shape).bfloat16(), torch.randn(num_rows, shape[1]).bfloat16()
    bias = torch.randn(shape[0]).bfloat16() if with_bias else None
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    layer = PackedProduct(int(torch.ops.mkldnn.data_ptr(packed)), *shape, bias)
    exact = F.linear(rows.double(), weight.double(), None if bias is None else bias.double())
    for _ in range(2):  # the job's counter starts anew with each call
        result = layer.multiply(rows)
        assert result.dtype is torch.bfloat16
        assert float((result.double() - exact).abs().max()) <= 0.004 * float(exact.abs().max())


def test_a_broken_row_breaks_no_other() -> None:
    weight, rows = torch.randn(64, 32).bfloat16(), torch.randn(2, 32).bfloat16()
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    layer = PackedProduct(int(torch.ops.mkldnn.data_ptr(packed)), 64, 32, None)
    whole = layer.multiply(rows)
    rows[0, 3] = float("nan")
    broken = layer.multiply(rows)
    assert broken[0].isnan().all()
    assert torch.equal(broken[1], whole[1])


@pytest.mark.parametrize(("out_features", "in_features"), [(65, 32), (64, 33), (1, 32)])
def test_other_shapes_stay_onednn_s(out_features: int, in_features: int) -> None:
    assert not is_possible(out_features, in_features)


@pytest.mark.parametrize(("has_tiles", "most"), [(False, MOST_ROWS), (True, MOST_ROWS_BESIDE_TILES)])
def test_many_rows_stay_onednn_s_where_it_has_tiles(
    has_tiles: bool, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_product, "has_tiles", lambda: has_tiles)
    shape = LinearShape(32, 64, torch.bfloat16)
    weight, room = torch.randn(64, 32).bfloat16(), memoryview(bytearray(PackedKind().num_bytes(shape)))
    layer = PackedKind().open(room, PackedKind().pack(weight, room), shape, None)
    assert isinstance(layer, KernelLayer)
    rows = torch.randn(most + 1, 32).bfloat16()
    assert layer.kernel_steps(most, rows.data_ptr(), rows.data_ptr()) is not None
    assert layer.kernel_steps(most + 1, rows.data_ptr(), rows.data_ptr()) is None
    torch.testing.assert_close(layer(rows), F.linear(rows, weight), atol=0.05, rtol=0.02)
