"""Loads a model folder and opens it as a worker would, without any process."""

import mmap
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from ipc.config import AttentionChoice, CompactWeights, DType, LoaderConfig, ModelSpec, Quantization
from ipc.kv_layout import kv_regions
from ipc.model_card import ComputeDevice, ModelCard
from workers.compute_threads import use_threads
from workers.decoder import Decoder
from workers.encoder import Encoder
from workers.inspect_model import inspect_model
from workers.load_model import load_model


def load_card(
    folder: Path,
    backend: AttentionChoice,
    dtype: DType,
    task: Literal["auto", "embed"] = "auto",
    *,
    batch_invariant: bool = False,
    device: ComputeDevice = "cpu",
    quantization: Quantization = "none",
    compact_weights: CompactWeights = "auto",
) -> tuple[ModelCard, mmap.mmap]:
    """The card without pages, and what its weights segment holds: whole pages of memory, as a segment is."""
    config = LoaderConfig(
        models=[ModelSpec("small", str(folder))],
        dtype=dtype,
        attention_backend=backend,
        block_size=16,
        task=task,
        batch_invariant=batch_invariant,
        quantization=quantization,
        compact_weights=compact_weights,
    )
    card = inspect_model(0, config.models[0], str(folder), config, device)
    weights = mmap.mmap(-1, card.weights_bytes)
    return load_model(card, memoryview(weights), config, lambda done, total: None), weights


def open_decoder(
    folder: Path,
    backend: AttentionChoice = "auto",
    dtype: DType = "auto",
    num_pages: int = 700,
    batch_invariant: bool = False,
    quantization: Quantization = "none",
    compact_weights: CompactWeights = "auto",
) -> tuple[ModelCard, Decoder]:
    """The decoder in `folder`, its weights read-only, its KV pages full of what must never be read."""
    card, weights = load_card(
        folder,
        backend,
        dtype,
        batch_invariant=batch_invariant,
        quantization=quantization,
        compact_weights=compact_weights,
    )
    card = replace(card, num_pages=num_pages)
    kv = bytearray(b"\xff") * kv_regions(card)[1]  # NaN in every floating-point type
    decoder = Decoder(card, memoryview(weights).toreadonly(), max_num_seqs=32, batch_invariant=batch_invariant)
    decoder.use_pool(0, memoryview(kv))
    use_threads(1)
    return card, decoder


def open_encoder(
    folder: Path, dtype: DType = "auto", batch_invariant: bool = False, task: Literal["auto", "embed"] = "auto"
) -> tuple[ModelCard, Encoder]:
    """The score or embed model in `folder`."""
    card, weights = load_card(folder, "auto", dtype, task, batch_invariant=batch_invariant)
    return card, Encoder(card, memoryview(weights).toreadonly(), batch_invariant)
