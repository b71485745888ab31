"""Weights of the layers after pooling: read from safetensors, or from old pickle files where that is allowed."""

from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import save_file

from ipc.errors import StartupError
from ipc.fake_card import fake_card
from workers.load_dense import load_dense
from workers.pooling import DenseTail, pool
from workers.sentence_files import DenseLayer, SentenceFiles

LAYERS = (DenseLayer("2_Dense", 3, 2, True, "ReLU"), DenseLayer("3_Dense", 2, 2, False, "Identity", use_residual=True))
FILES = SentenceFiles(is_said=True, dense=LAYERS)
FIRST = {"linear.weight": torch.tensor([[1.0, 0, 0], [0, 1, 0]]), "linear.bias": torch.tensor([0.5, -9.0])}
SECOND = {"linear.weight": torch.tensor([[0.0, 1], [2, 0]])}


def save(folder: Path, as_pickle: bool = False) -> None:
    for layer, tensors in zip(LAYERS, (FIRST, SECOND), strict=True):
        place = folder / layer.folder
        place.mkdir()
        if as_pickle:
            torch.save(tensors, place / "pytorch_model.bin")
        else:
            save_file(tensors, place / "model.safetensors")


def load(folder: Path, allow_pickle: bool = False) -> DenseTail:
    tail = DenseTail(LAYERS)
    load_dense(replace(fake_card(0, "m", "fake:embed", 0, 16, 0), path=str(folder)), tail, FILES, allow_pickle)
    return tail


@pytest.mark.parametrize("as_pickle", [False, True])
def test_layers_run_one_after_the_other(tmp_path: Path, as_pickle: bool) -> None:
    save(tmp_path, as_pickle)
    tail = load(tmp_path, allow_pickle=as_pickle)
    with torch.inference_mode():  # relu(1.5, -7) = (1.5, 0); (0, 3) + (1.5, 0)
        assert tail(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[1.5, 3.0]]


def test_pickle_files_are_refused(tmp_path: Path) -> None:
    save(tmp_path, as_pickle=True)
    with pytest.raises(StartupError, match="pickle"):
        load(tmp_path)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    save(tmp_path)
    save_file({"linear.weight": torch.zeros(5, 5)}, tmp_path / "2_Dense" / "model.safetensors")
    with pytest.raises(StartupError, match="2_Dense cannot be read"):
        load(tmp_path)
    (tmp_path / "2_Dense" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(StartupError, match="2_Dense cannot be read"):
        load(tmp_path)


def test_an_unknown_activation() -> None:
    with pytest.raises(StartupError, match="Dance"):
        DenseTail([DenseLayer("2_Dense", 3, 2, True, "Dance")])


def test_pooling_is_of_each_text_alone() -> None:
    states = torch.tensor([[1.0], [3.0], [10.0]])
    modes = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
    first, second = pool(states, [2, 1], modes)
    torch.testing.assert_close(first, torch.tensor([1.0, 3.0, 2.0, 4.0 / 2**0.5, 7.0 / 3.0, 3.0]))
    torch.testing.assert_close(second, torch.tensor([10.0] * 6))
