"""Up to three dozen rows through the kernel that walks oneDNN's packed weights."""

import pytest
import torch
import torch.nn.functional as F

from workers.linear.few_rows import FewRows, is_possible
from workers.linear.interface import MOST_FEW_ROWS
from workers.linear.mkldnn_blob import blob_obstacle

pytestmark = pytest.mark.skipif(
    bool(blob_obstacle()) or not is_possible(64, 32), reason="oneDNN packs in another order on this CPU"
)
SHAPES = ((64, 32), (192, 96), (256, 320))  # outputs, inputs


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_rows", range(1, MOST_FEW_ROWS + 1))
@pytest.mark.parametrize("with_bias", [False, True])
def test_equals_the_plain_product(shape: tuple[int, int], num_rows: int, with_bias: bool) -> None:
    torch.manual_seed(1)
    weight, rows = torch.randn(shape).bfloat16(), torch.randn(num_rows, shape[1]).bfloat16()
    bias = torch.randn(shape[0]).bfloat16() if with_bias else None
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    layer = FewRows(int(torch.ops.mkldnn.data_ptr(packed)), *shape, bias)
    exact = F.linear(rows.double(), weight.double(), None if bias is None else bias.double())
    for _ in range(2):  # the job's counter starts anew with each call
        result = layer.multiply(rows)
        assert result.dtype is torch.bfloat16
        assert float((result.double() - exact).abs().max()) <= 0.004 * float(exact.abs().max())


def test_a_broken_row_breaks_no_other() -> None:
    weight, rows = torch.randn(64, 32).bfloat16(), torch.randn(2, 32).bfloat16()
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    layer = FewRows(int(torch.ops.mkldnn.data_ptr(packed)), 64, 32, None)
    whole = layer.multiply(rows)
    rows[0, 3] = float("nan")
    broken = layer.multiply(rows)
    assert broken[0].isnan().all()
    assert torch.equal(broken[1], whole[1])


@pytest.mark.parametrize(("out_features", "in_features"), [(65, 32), (64, 33), (1, 32)])
def test_other_shapes_stay_onednn_s(out_features: int, in_features: int) -> None:
    assert not is_possible(out_features, in_features)
