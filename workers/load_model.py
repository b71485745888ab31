"""Second half of loading: weights into their segment, and what one real forward tells about the model."""

import logging
from typing import Any

from msgspec.structs import replace
from transformers import PreTrainedModel

from ipc.config import LoaderConfig
from ipc.errors import StartupError
from ipc.model_card import ModelCard
from workers.encoder_positions import position_offset
from workers.lean.choose import choose_layers
from workers.lean_encoder.choose import with_encoder_layers
from workers.linear.choose import checked_plan
from workers.load_dense import load_dense
from workers.load_weights import ProgressFunction, write_weights
from workers.model import add_dense_tail, class_for, read_config
from workers.model_limits import LengthLimit, choose_max_model_len, length_limits, read_json
from workers.model_probe import DecoderFacts, probe_decoder, probe_encoder
from workers.paged_attention.choose import choose_backend, choose_device_backend, kernel_obstacles
from workers.pool import torch_dtype
from workers.sentence_files import SentenceFiles, read_sentence_files

_logger = logging.getLogger("zerolane.workers.load_model")


def load_model(card: ModelCard, segment: memoryview, config: LoaderConfig, on_progress: ProgressFunction) -> ModelCard:
    """Fill the card's weights segment; returns the card complete but for its pages. Raises StartupError."""
    files = read_sentence_files(card.name, card.path) if card.task == "embed" else SentenceFiles()
    model = _from_checkpoint(card, config)
    if card.task == "embed":
        load_dense(card, add_dense_tail(model, files), files, config.allow_pickle_weights)
    model.eval()
    limits = _limits(card, model, files)
    if card.task == "generate":
        facts = probe_decoder(card.name, model)
        limits += _unannounced_windows(model.config.get_text_config(), facts)
        card = _with_decoder_facts(card, facts, config)
        layers = choose_layers(card, model, facts, config.batch_invariant)
        _logger.info("layers of %s: %s, because %s", card.name, layers.name, layers.reason)
        card = replace(card, layers=layers.name, layers_reason=layers.reason)
    else:
        card = with_encoder_layers(card, model, probe_encoder(card, model), config.batch_invariant)
    limit = choose_max_model_len(card.name, limits, config.max_model_len)
    _logger.info("%s takes up to %d tokens: %s", card.name, limit.tokens, limit.reason)
    card, plan = checked_plan(card, model, lambda: _probe(card, model))
    write_weights(model, segment, on_progress, plan)
    return replace(card, max_model_len=limit.tokens)


def _probe(card: ModelCard, model: PreTrainedModel) -> None:
    """Let the model's modules compute a little."""
    if card.task == "generate":
        probe_decoder(card.name, model)
    else:
        probe_encoder(card, model)


def _from_checkpoint(card: ModelCard, config: LoaderConfig) -> PreTrainedModel:
    """The model with its weights in private memory, read by transformers (which knows renamed and merged weights)."""
    model_config = read_config(card.path, card.trust_remote_code)
    cls, options = class_for(card.task, card.architecture, model_config, card.path, card.trust_remote_code)
    if not config.allow_pickle_weights:
        options["use_safetensors"] = True
    try:
        loaded: Any = cls.from_pretrained(
            card.path,
            config=model_config,
            dtype=torch_dtype(card.dtype),
            local_files_only=True,
            attn_implementation="eager",
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:  # transformers' ways to say that files do not fit
        reason = str(error).partition("\n")[0].replace(card.path, "its folder")
        raise StartupError(
            f"model {card.name}: its weights cannot be read: {reason}", "check that the download is complete"
        ) from error
    model: PreTrainedModel = loaded[0]
    missing = sorted(loaded[1]["missing_keys"])
    if missing:
        raise StartupError(
            f"model {card.name}: its weights lack {missing[0]} ({len(missing)} tensors missing)",
            "the checkpoint is not one of this architecture, or the download is not complete",
        )
    return model


def _limits(card: ModelCard, model: PreTrainedModel, files: SentenceFiles) -> list[LengthLimit]:
    is_encoder = card.task != "generate"
    offset = position_offset(model.base_model) if is_encoder else 0
    # Chat models' tokenizers often state a length long outdated; encoders' state the one they were trained with, but
    # the word of a sentence-transformers file is newer.
    says_more = is_encoder and files.max_seq_length is None
    tokenizer_config = read_json(card.path, "tokenizer_config.json") if says_more else {}
    limits = length_limits(model.config.get_text_config(), tokenizer_config, offset)
    if files.max_seq_length is not None:
        limits.append(LengthLimit(files.max_seq_length, "max_seq_length of its sentence-transformers files"))
    return limits


def _unannounced_windows(config: Any, facts: DecoderFacts) -> list[LengthLimit]:
    """Layers the configuration calls sliding but that do not tell their attention: right up to the window's length."""
    layer_types: list[str] = getattr(config, "layer_types", None) or []
    window = getattr(config, "sliding_window", None)
    if not isinstance(window, int) or window < 1:
        return []
    silent = [kind for kind, said in zip(layer_types, facts.windows, strict=False) if "sliding" in kind and said == 0]
    return [LengthLimit(window, "its sliding window, which its attention is not told about")] if silent else []


def _with_decoder_facts(card: ModelCard, facts: DecoderFacts, config: LoaderConfig) -> ModelCard:
    card = replace(card, kv_layers=facts.kv_layers)
    if card.device == "cpu":
        backend = choose_backend(config.attention_backend, card.dtype, kernel_obstacles())
    else:
        backend = choose_device_backend(config.attention_backend, card)
    _logger.info("attention of %s: %s, because %s", card.name, backend.name, backend.reason)
    return replace(
        card,
        sliding_window=0 if 0 in facts.windows else max(facts.windows),
        attention_backend=backend.name,
        attention_reason=backend.reason,
    )
