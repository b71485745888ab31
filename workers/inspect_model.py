"""First half of loading: what a model is, and how much memory its weights take. Nothing of the weights is read yet."""

import logging
from typing import Any

import torch
from msgspec.structs import replace

from ipc.config import CompactWeights, LoaderConfig, ModelSpec
from ipc.errors import StartupError
from ipc.memory_available import memory_available
from ipc.model_card import ComputeDevice, ModelCard
from workers.architecture_rules import (
    architecture_of,
    default_pooling,
    is_padded_encoder,
    label_activation,
    refuse_unsupported,
    task_of,
)
from workers.dtype_choice import choose_dtype, choose_gpu_dtype, cpu_has_bfloat16
from workers.encoder import PACKED, PADDED
from workers.lean_encoder.choose import is_lean_encoder
from workers.linear.choose import choose_compact, choose_linear, most_bytes
from workers.load_weights import num_parameters
from workers.model import build_on_meta, class_for, read_config
from workers.model_limits import default_sampling, eos_token_ids
from workers.sentence_files import embedding_of, is_embedder, read_sentence_files, vector_width

_logger = logging.getLogger("zerolane.workers.inspect_model")


def inspect_model(
    index: int, spec: ModelSpec, path: str, config: LoaderConfig, device: ComputeDevice = "cpu", taken: int = 0
) -> ModelCard:
    """The card of the model in folder `path`, without what only its weights can tell. Raises StartupError.

    `taken`: bytes of memory that are free now and other models will take.
    """
    model_config = _read_config(spec, path, config.trust_remote_code)
    architecture = architecture_of(spec.name, model_config)
    task = task_of(spec.name, architecture, config.task, is_embedder(path))
    cls, options = class_for(task, architecture, model_config, path, config.trust_remote_code)
    supports_backend = bool(cls._supports_attention_backend)
    refuse_unsupported(spec.name, architecture, task, model_config, supports_backend)
    if device == "cuda":
        dtype = choose_gpu_dtype(config.dtype, _checkpoint_dtype(model_config))
    else:
        may_be_lean = device == "cpu" and task != "generate" and not config.batch_invariant
        is_lean = may_be_lean and is_lean_encoder(cls, model_config, options)
        dtype = choose_dtype(config.dtype, _checkpoint_dtype(model_config), cpu_has_bfloat16(), is_lean)
    _logger.info("type of %s: %s, because %s", spec.name, dtype.dtype, dtype.reason)
    linear = choose_linear(config.quantization, config.batch_invariant, device, dtype.dtype)
    card = ModelCard(
        index=index,
        name=spec.name,
        path=path,
        task=task,
        architecture=architecture,
        dtype=dtype.dtype,
        vocab_size=model_config.get_text_config().vocab_size,
        max_model_len=0,
        eos_token_ids=eos_token_ids(model_config, path) if task == "generate" else (),
        default_sampling=default_sampling(path, config.generation_config),
        num_labels=model_config.num_labels if task == "score" else 0,
        labels=_label_names(model_config) if task == "score" else (),
        label_activation=label_activation(model_config) if task == "score" else "sigmoid",
        trust_remote_code=config.trust_remote_code,
        block_size=config.block_size,
        device=device,
        linear=linear.kind,
        linear_reason=linear.reason,
    )
    if task == "embed":
        card = _with_embedding(card, model_config)
    if task != "generate":
        card = _with_encoder_backend(card, is_padded_encoder(supports_backend))
    return _with_sizes(card, config.compact_weights, memory_available() - taken)


def _label_names(config: Any) -> tuple[str, ...]:
    """The names of the labels in order; LABEL_0, ... where config.json has none, which is transformers' way."""
    names: dict[int, str] = getattr(config, "id2label", None) or {}
    return tuple(str(names.get(label, f"LABEL_{label}")) for label in range(config.num_labels))


def _with_embedding(card: ModelCard, config: Any) -> ModelCard:
    files = read_sentence_files(card.name, card.path)
    pooling = files.pooling or (default_pooling(card.architecture, config),)
    text_config = config.get_text_config()
    width = vector_width(card.name, files, pooling, text_config.hidden_size)
    source = "its own files say so" if files.is_said else "no sentence-transformers files say how, and this is usual"
    last = ", then of length 1" if files.normalize else ""
    _logger.info("%s: vectors of %d numbers by %s%s: %s", card.name, width, "+".join(pooling), last, source)
    stated = getattr(config, "matryoshka_dimensions", None) or ()
    dimensions = tuple(sorted(size for size in stated if isinstance(size, int) and 0 < size <= width))
    return replace(card, num_labels=width, embedding=embedding_of(files, pooling, dimensions))


def _with_encoder_backend(card: ModelCard, padded: bool) -> ModelCard:
    if padded:
        why = f"{card.architecture} has an attention of its own"
        return replace(card, attention_backend=PADDED, attention_reason=why)
    return replace(
        card, attention_backend=PACKED, attention_reason="sequences of a step run in one row, without padding"
    )


def _with_sizes(card: ModelCard, compact_weights: CompactWeights, free: int) -> ModelCard:
    meta = build_on_meta(card, None)
    card = choose_compact(card, meta, compact_weights, free)
    output = meta.get_output_embeddings() if card.task == "generate" else None
    vocab_size = card.vocab_size if output is None else int(output.weight.shape[0])
    return replace(
        card, vocab_size=vocab_size, weights_bytes=most_bytes(card, meta), num_parameters=num_parameters(meta)
    )


def _read_config(spec: ModelSpec, path: str, trust_remote_code: bool) -> Any:
    try:
        return read_config(path, trust_remote_code)
    except (ValueError, KeyError, OSError) as error:  # transformers' ways to say that it does not know the model
        reason = str(error).partition("\n")[0].replace(path, "its folder")
        raise StartupError(
            f"model {spec.name}: its configuration cannot be read: {reason}",
            "install a transformers version that knows it, or --trust-remote-code if you trust the model's own code",
        ) from error


def _checkpoint_dtype(config: Any) -> str:
    """The type the configuration says the weights are stored in; float32 where it says nothing."""
    dtype = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    if isinstance(dtype, torch.dtype):
        return str(dtype).removeprefix("torch.")
    return dtype if isinstance(dtype, str) else "float32"
