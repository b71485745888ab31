"""The training loop that both tiny models share: batches in, a trained model out, progress on the way.

Knows the optimisers and the learning-rate schedule; knows nothing of texts, tokens or what a model is for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

Batch = TypeVar("Batch")

NUM_THREADS = 2  # fixed: the order of floating-point sums, and so the weights, hang on it


class Optimiser:
    """Muon for the matrices inside the layers, AdamW for embeddings, norms, biases and the head: about twice as fast
    as AdamW alone."""

    def __init__(self, model: nn.Module, muon_rate: float, adam_rate: float) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            inside_layer = parameter.ndim == 2 and ".layer" in name
            (matrices if inside_layer else others).append(parameter)
        self._parts: list[tuple[torch.optim.Optimizer, float]] = [
            (torch.optim.Muon(matrices, lr=muon_rate, momentum=0.95, weight_decay=0.01, ns_steps=4), muon_rate),
            (torch.optim.AdamW(others, lr=adam_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True), adam_rate),
        ]

    def step(self, factor: float) -> None:
        """Apply the gradients at `factor` times the full learning rates, and clear them."""
        for optimiser, rate in self._parts:
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)


def rate_factor(step: int, num_steps: int) -> float:
    """A short warm-up, then a cosine down to a fiftieth."""
    warm_up = max(1, num_steps // 30)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, num_steps - warm_up)))


def train(
    model: nn.Module,
    batches: Iterable[Batch],
    num_steps: int,
    loss_of: Callable[[Batch], torch.Tensor],
    optimiser: Optimiser,
    what: str,
) -> None:
    """Train `model` in place on `num_steps` batches, with the forward pass in bfloat16, and print a line every
    hundred steps."""
    model.train()
    started = time.monotonic()
    recent = 0.0
    for step, batch in enumerate(batches):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step(rate_factor(step, num_steps))
        recent += loss.item()
        if (step + 1) % 100 == 0 or step + 1 == num_steps:
            seconds = time.monotonic() - started
            print(
                f"{what}: step {step + 1}/{num_steps}, loss {recent / (step % 100 + 1):.4f}, {seconds:.0f} s",
                flush=True,
            )
            recent = 0.0
    model.eval()


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write both to the folder `out`; the weights are rounded to bfloat16, in `model` too."""
    model.bfloat16().save_pretrained(out)
    tokenizer.save_pretrained(out)
    # Transformers 5 writes a class name of its own, which version 4 does not know.
    settings = out / "tokenizer_config.json"
    settings.write_text(settings.read_text().replace('"TokenizersBackend"', '"PreTrainedTokenizerFast"'))
    (out / "model.safetensors").chmod(0o644)  # safetensors leaves it to its owner alone
