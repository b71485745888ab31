"""Which linear layers are kept in which way."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from workers.linear.mkldnn_blob import blob_obstacle
from workers.linear.plan import bias_of, linear_plan, weight_of

pytestmark = pytest.mark.skipif(blob_obstacle() != "", reason=f"nothing is packed here: {blob_obstacle()}")
QKV = ("q", "k", "v")


class Special(nn.Linear):
    """Does more than multiply, for all we know."""


class Model(nn.Module):
    _keep_in_fp32_modules: ClassVar[list[str]] = ["wide"]

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(128, 128), nn.Linear(128, 64, bias=False), nn.Linear(128, 64)
        self.wide = nn.Linear(128, 128)
        self.special = Special(128, 128)
        self.in_float64 = nn.Linear(128, 128, dtype=torch.float64)
        self.again = self.q
        self.label = nn.Linear(128, 1)


def names(groups: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    with torch.device("meta"):
        model = Model()
    return [layer.names for layer in linear_plan(model, ["packed"], groups)]


def test_exact_linear_layers_that_are_large_enough() -> None:
    assert names([]) == [("q",), ("k",), ("v",), ("again",)]


def test_groups_come_together_and_what_is_in_none_stays_plain() -> None:
    assert names([QKV]) == [QKV]  # a head beside them is computed by whoever runs the groups, in its own way


@pytest.mark.parametrize("group", [("q", "special"), ("q", "wide"), ("q", "missing")])
def test_a_group_of_what_cannot_be_together_is_apart(group: tuple[str, ...]) -> None:
    assert names([group])[0] == ("q",)


def test_nothing_is_wanted() -> None:
    assert linear_plan(Model(), [], [QKV]) == []


def test_weights_below_one_another_and_zeros_where_there_is_no_bias() -> None:
    model = Model()
    modules = [model.q, model.k, model.v]
    bias = bias_of(modules)
    assert bias is not None
    assert weight_of(modules).shape == (256, 128)
    assert torch.equal(weight_of(modules)[128:192], model.k.weight)
    assert torch.equal(bias[:128], model.q.bias)
    assert not bias[128:192].any()
    assert bias_of([model.k]) is None
    assert weight_of([model.k]) is model.k.weight
