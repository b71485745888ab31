"""What is written to a weights segment comes back: values, types, sharing, places."""

import pytest
import torch
from torch import nn

from ipc.errors import ProtocolError, StartupError
from workers.load_weights import plan_bytes, write_weights
from workers.pool import map_weights
from workers.weights_manifest import read_manifest


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 3)
        self.second = nn.Linear(3, 5, bias=False).bfloat16()
        self.tied = nn.Linear(5, 3)
        self.tied.weight = self.first.weight
        self.register_buffer("steps", torch.arange(7), persistent=False)
        self.register_buffer("strided", torch.arange(6.0).view(2, 3).t())
        self.scale = torch.tensor(2.5)  # neither parameter nor buffer


def test_everything_comes_back() -> None:
    model = Model()
    wanted = {
        "first.weight": model.first.weight.detach().clone(),
        "second.weight": model.second.weight.detach().clone(),
    }
    segment = memoryview(bytearray(plan_bytes(model)))
    heard: list[tuple[int, int]] = []
    write_weights(model, segment, lambda done, total: heard.append((done, total)))
    mapped = {entry.name: (entry.place, tensor) for entry, tensor in map_weights(segment.toreadonly())}
    for name, tensor in wanted.items():
        assert torch.equal(mapped[name][1], tensor)
        assert mapped[name][1].dtype is tensor.dtype
    assert mapped["tied.weight"][1] is mapped["first.weight"][1]  # stored once
    assert mapped["steps"][0] == "buffer"
    assert mapped["steps"][1].tolist() == list(range(7))
    assert mapped["strided"][1].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert mapped["scale"][0] == "attribute"
    assert float(mapped["scale"][1]) == 2.5
    assert heard[-1][0] == heard[-1][1]


def test_tensors_start_on_cache_lines() -> None:
    model = Model()
    segment = memoryview(bytearray(plan_bytes(model)))
    write_weights(model, segment, lambda done, total: None)
    manifest, data_start = read_manifest(segment)
    assert all((data_start + entry.offset) % 64 == 0 for entry in manifest.tensors)


def test_a_segment_that_is_too_small_is_refused() -> None:
    model = Model()
    with pytest.raises(StartupError, match="bytes"):
        write_weights(model, memoryview(bytearray(300)), lambda done, total: None)


def test_an_empty_segment_is_refused() -> None:
    with pytest.raises(ProtocolError, match="manifest"):
        read_manifest(memoryview(bytearray(4096)))
