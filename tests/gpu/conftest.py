"""Tests that need a GPU. Without one they are skipped, with the reason torch gives."""

import pytest
import torch

from tests.support.running_server import start_server

__all__ = ["start_server"]


def _why_not() -> str:
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    return "" if torch.cuda.is_available() else f"torch {torch.__version__} finds no GPU it can use"


@pytest.fixture(autouse=True)
def _needs_a_gpu() -> None:
    if reason := _why_not():
        pytest.skip(reason)
