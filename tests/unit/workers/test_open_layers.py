"""Linear layers of a weights segment: packed once, opened where they lie, in place of the model's modules."""

import os

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ipc.errors import StartupError
from workers.linear.mkldnn_blob import blob_obstacle
from workers.linear.open_layers import OpenedLinear, open_layers
from workers.linear.plan import PlannedLayer, linear_plan
from workers.load_weights import plan_bytes, write_weights
from workers.model import hang_weights
from workers.pool import map_weights

pytestmark = pytest.mark.skipif(blob_obstacle() != "", reason=f"nothing is packed here: {blob_obstacle()}")
GROUP = ("q", "k")


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(96, 64)
        self.q, self.k = nn.Linear(64, 64), nn.Linear(64, 64, bias=False)
        self.out = nn.Linear(128, 64)
        self.same = nn.Linear(128, 64)
        self.same.weight, self.same.bias = self.out.weight, self.out.bias
        self.head = nn.Linear(64, 96, bias=False)
        self.head.weight = self.embedding.weight
        self.label = nn.Linear(64, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = self.embedding(ids)
        return self.head(self.out(torch.cat([self.q(rows), self.k(rows)], -1)))  # type: ignore[no-any-return]


def on_meta() -> Model:
    with torch.device("meta"):
        return Model().bfloat16()


def plan_of(model: Model, groups: list[tuple[str, ...]]) -> list[PlannedLayer]:
    return linear_plan(model, ["packed"], groups)


def written(model: Model, groups: list[tuple[str, ...]]) -> memoryview:
    """A segment as planned on the meta device."""
    meta = on_meta()
    segment = memoryview(bytearray(plan_bytes(meta, plan_of(meta, groups))))
    write_weights(model, segment, lambda done, total: None, plan_of(model, groups))
    return segment.toreadonly()


@torch.inference_mode()
def test_a_model_runs_on_what_was_written() -> None:
    model, ids = Model().bfloat16(), torch.arange(7)
    expected = model(ids)
    segment = written(model, [])
    other = on_meta()
    hang_weights(other, map_weights(segment), open_layers(segment))  # type: ignore[arg-type]  # any module will do
    assert isinstance(other.out, OpenedLinear)
    assert type(other.label) is nn.Linear
    torch.testing.assert_close(other(ids), expected, atol=0.05, rtol=0.05)


def test_opening_starts_no_thread() -> None:
    segment = written(Model().bfloat16(), [GROUP])
    threads = len(os.listdir("/proc/self/task"))
    open_layers(segment)
    assert len(os.listdir("/proc/self/task")) == threads


@torch.inference_mode()
def test_a_group_is_one_layer_and_its_modules_stay_empty() -> None:
    model, rows = Model().bfloat16(), torch.randn(5, 64).bfloat16()
    expected = torch.cat([model.q(rows), model.k(rows)], -1)
    segment = written(model, [GROUP])
    other, layers = on_meta(), open_layers(segment)
    hang_weights(other, map_weights(segment), layers)  # type: ignore[arg-type]
    torch.testing.assert_close(layers[GROUP](rows), expected, atol=0.03, rtol=0.03)
    assert other.q.weight.device.type == "meta"


def test_packed_weights_are_stored_once_and_tied_embeddings_beside_them() -> None:
    segment = written(Model().bfloat16(), [])
    layers = open_layers(segment)
    assert layers["out",] is layers["same",]
    names = {entry.name for entry, _ in map_weights(segment)}
    assert names == {"embedding.weight", "label.weight", "label.bias"}


def test_memory_is_given_up_while_writing_but_not_before_its_last_use() -> None:
    model = Model().bfloat16()
    tied = model.embedding.weight.detach().clone()
    segment = written(model, [])
    assert all(parameter.numel() == 0 for parameter in model.parameters())
    rows = torch.randn(4, 64).bfloat16()
    found = open_layers(segment)["head",](rows)
    torch.testing.assert_close(found, F.linear(rows, tied), atol=0.05, rtol=0.05)


def test_a_model_that_does_not_fit_its_configuration_is_refused() -> None:
    meta = on_meta()
    segment = memoryview(bytearray(plan_bytes(meta, plan_of(meta, []))))
    model = Model()  # float32: twice as large
    with pytest.raises(StartupError, match=r"config\.json|computed from its configuration"):
        write_weights(model, segment, lambda done, total: None, plan_of(model, []))
