"""How long a model's sequences may be, when they end, and how it likes to be sampled: read from its files.

The files are the model's own JSON; nothing here needs torch.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipc.config import GenerationConfig
from ipc.errors import StartupError
from ipc.model_card import DefaultSampling

MAX_SANE_LENGTH = 1 << 24  # tokenizers say 10**30 for "no limit"


@dataclass(frozen=True)
class LengthLimit:
    """A bound on prompt plus output, and where it comes from."""

    tokens: int
    reason: str


def read_json(path: str, name: str) -> dict[str, Any]:
    """The object in a JSON file of the model's folder; empty when there is no such file."""
    file = Path(path) / name
    if not file.is_file():
        return {}
    content = json.loads(file.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def read_json_list(path: str, name: str) -> list[dict[str, Any]]:
    """The objects of the list in a JSON file of the model's folder; empty when there is no such file."""
    file = Path(path) / name
    if not file.is_file():
        return []
    content = json.loads(file.read_text(encoding="utf-8"))
    return [item for item in content if isinstance(item, dict)] if isinstance(content, list) else []


def length_limits(config: Any, tokenizer_config: dict[str, Any], position_offset: int) -> list[LengthLimit]:
    """All bounds the files state.

    `position_offset` positions of the table are never used (RoBERTa's way of counting).
    """
    limits: list[LengthLimit] = []
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        limits.append(LengthLimit(positions - position_offset, "max_position_embeddings"))
    said = tokenizer_config.get("model_max_length")
    if isinstance(said, int | float) and 0 < said < MAX_SANE_LENGTH:
        limits.append(LengthLimit(int(said), "the tokenizer's model_max_length"))
    chunk = getattr(config, "attention_chunk_size", None)
    if isinstance(chunk, int) and chunk > 0:
        limits.append(LengthLimit(chunk, "its attention_chunk_size, beyond which attention changes"))
    limits += _rope_limits(config)
    return limits


def _rope_limits(config: Any) -> list[LengthLimit]:
    """Rotary embeddings whose frequencies depend on the batch are served up to where they start to change."""
    parameters = getattr(config, "rope_parameters", None) or {}
    by_layer_type = [value for value in parameters.values() if isinstance(value, dict)] or [parameters]
    limits: list[LengthLimit] = []
    for rope in by_layer_type:
        if rope.get("rope_type") in ("dynamic", "longrope"):
            original = rope.get("original_max_position_embeddings") or config.max_position_embeddings
            limits.append(LengthLimit(int(original), f"rope type {rope['rope_type']} changes beyond it"))
    return limits


def choose_max_model_len(name: str, limits: list[LengthLimit], wanted: int) -> LengthLimit:
    """The smallest bound; the operator may only lower it (0: did not say). Raises StartupError."""
    limits = [limit for limit in limits if limit.tokens > 0]
    if not limits and wanted == 0:
        raise StartupError(f"model {name}: its configuration states no longest sequence", "say --max-model-len")
    if not limits:
        return LengthLimit(wanted, "asked for by --max-model-len")
    smallest = min(limits, key=lambda limit: limit.tokens)
    if wanted > smallest.tokens:
        raise StartupError(
            f"model {name}: --max-model-len {wanted} is more than its {smallest.tokens} tokens ({smallest.reason})",
            f"use --max-model-len {smallest.tokens} or less",
        )
    return LengthLimit(wanted, "asked for by --max-model-len") if wanted else smallest


def eos_token_ids(config: Any, path: str) -> tuple[int, ...]:
    """Every token that ends a text: what generation_config.json, config.json and the tokenizer say, together."""
    ids: set[int] = set()
    for said in (read_json(path, "generation_config.json").get("eos_token_id"), getattr(config, "eos_token_id", None)):
        ids |= {int(token) for token in (said if isinstance(said, list) else [said]) if token is not None}
    token = read_json(path, "tokenizer_config.json").get("eos_token")
    text = token.get("content") if isinstance(token, dict) else token
    for added in read_json(path, "tokenizer.json").get("added_tokens", []):
        if text is not None and added.get("content") == text:
            ids.add(int(added["id"]))
    return tuple(sorted(ids))


def default_sampling(path: str, source: GenerationConfig = "auto") -> DefaultSampling:
    """What generation_config.json says about sampling; nothing where the operator wants the API's own defaults."""
    if source == "vllm":
        return DefaultSampling()
    said = read_json(path, "generation_config.json")
    return DefaultSampling(
        temperature=said.get("temperature"),
        top_p=said.get("top_p"),
        top_k=said.get("top_k"),
        min_p=said.get("min_p"),
        repetition_penalty=said.get("repetition_penalty"),
    )
