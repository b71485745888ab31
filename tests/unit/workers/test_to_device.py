"""When a step counts as computed, and what a GPU's failure means. There is no GPU here: torch's calls are replaced."""

import pytest
import torch

from workers import to_device
from workers.to_device import finished_on

GPU = torch.device("cuda", 0)


class Left(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def waited_for(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    devices: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", devices.append)

    def leave() -> None:
        raise Left

    monkeypatch.setattr(to_device, "leave_at_once", leave)
    return devices


def test_a_gpu_is_waited_for_and_a_cpu_is_not(waited_for: list[torch.device]) -> None:
    with finished_on(torch.device("cpu")):
        pass
    assert waited_for == []
    with finished_on(GPU):
        assert waited_for == []
    assert waited_for == [GPU]


def test_a_failed_gpu_ends_the_process(waited_for: list[torch.device]) -> None:
    with pytest.raises(Left), finished_on(GPU):
        raise torch.AcceleratorError("an illegal memory access was encountered")


def test_other_errors_are_the_steps(waited_for: list[torch.device]) -> None:
    with pytest.raises(ValueError, match="nonsense"), finished_on(GPU):
        raise ValueError("nonsense")
    assert waited_for == []
