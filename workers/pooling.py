"""From token states to one vector a text: pooling, then the model's dense layers. Knows no files and no steps."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from ipc.errors import StartupError
from workers.sentence_files import DenseLayer

_Mode = Callable[[torch.Tensor], torch.Tensor]


def _weighted_mean(states: torch.Tensor) -> torch.Tensor:
    weights = torch.arange(1, len(states) + 1, dtype=states.dtype, device=states.device)[:, None]
    return (states * weights).sum(dim=0) / weights.sum()


_MODES: dict[str, _Mode] = {  # of one text's states
    "max": lambda states: states.max(dim=0).values,
    "mean": lambda states: states.mean(dim=0),
    "mean_sqrt_len_tokens": lambda states: states.sum(dim=0) / len(states) ** 0.5,
    "weightedmean": _weighted_mean,  # later tokens count more
}


def pool(states: torch.Tensor, lengths: Sequence[int], modes: Sequence[str]) -> torch.Tensor:
    """float32 [sequences, width * modes] for packed states [tokens, width] of sequences of these lengths."""
    return torch.cat([_pool_by(mode, states, lengths) for mode in modes], dim=1)


def _pool_by(mode: str, states: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """float32 [sequences, width]."""
    counts = torch.tensor(lengths, device=states.device)
    if mode == "cls":
        return states[counts.cumsum(0) - counts].float()
    if mode == "lasttoken":
        return states[counts.cumsum(0) - 1].float()
    return torch.stack([_MODES[mode](part) for part in states.float().split(list(lengths))])


class DenseTail(nn.Module):
    """The model's layers after pooling, in float32 whatever the computing type: they are small, and last."""

    def __init__(self, layers: Sequence[DenseLayer]) -> None:
        """Its weights are not those of the model yet. Raises StartupError for an unknown activation."""
        super().__init__()
        self.layers = nn.ModuleList(_Dense(layer) for layer in layers)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[texts, out] for [texts, in]."""
        for layer in self.layers:
            vectors = layer(vectors)
        return vectors


class _Dense(nn.Module):
    def __init__(self, layer: DenseLayer) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.in_features, layer.out_features, layer.bias, dtype=torch.float32)
        self.use_residual = layer.use_residual
        if layer.use_residual and layer.in_features != layer.out_features:
            self.residual = nn.Linear(layer.in_features, layer.out_features, bias=False, dtype=torch.float32)
        self.activation = _activation(layer)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.activation(self.linear(vectors))
        if not self.use_residual:
            return output
        return output + (self.residual(vectors) if "residual" in self._modules else vectors)


def _activation(layer: DenseLayer) -> nn.Module:
    found = getattr(nn, layer.activation, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise StartupError(f"the activation {layer.activation} of the layer {layer.folder} is not one of torch.nn")
    module: nn.Module = found()
    return module
