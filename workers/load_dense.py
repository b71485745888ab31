"""Reads the weights of an embed model's layers after pooling. Only the loader uses this."""

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ipc.errors import StartupError
from ipc.model_card import ModelCard
from workers.pooling import DenseTail
from workers.sentence_files import DenseLayer, SentenceFiles, weights_file


def load_dense(card: ModelCard, tail: DenseTail, files: SentenceFiles, allow_pickle: bool) -> None:
    """Fill `tail` from the files of its layers. Raises StartupError."""
    for module, layer in zip(tail.layers, files.dense, strict=True):
        try:
            module.load_state_dict(_tensors(card, layer, allow_pickle))
        except (OSError, SafetensorError, RuntimeError) as error:  # torch's way to say that shapes do not fit
            reason = str(error).replace(card.path, "its folder").partition("\n")[0]
            raise StartupError(
                f"model {card.name}: the weights of its layer {layer.folder} cannot be read: {reason}",
                "check that the download is complete",
            ) from error


def _tensors(card: ModelCard, layer: DenseLayer, allow_pickle: bool) -> dict[str, torch.Tensor]:
    file = weights_file(card.path, layer)
    if file.suffix == ".safetensors":
        return load_file(file)
    if not allow_pickle:
        raise StartupError(
            f"model {card.name}: the weights of its layer {layer.folder} are a pickle file, or missing",
            "convert them to safetensors, or use --allow-pickle-weights if you trust the model",
        )
    found: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return found
