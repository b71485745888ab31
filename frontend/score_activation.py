"""What a score request's logits are made into, by the request's fields and the model's own files.

The rule for a model that says nothing is sentence-transformers': the sigmoid of a single label, and several labels' raw
logits. Embed models have no logits: their similarities are never changed.
"""

import json
import logging
from pathlib import Path
from typing import Any

from frontend.schema_score import PairFields
from frontend.text_model import TextModel
from ipc.errors import ErrorCode, RequestError
from ipc.model_card import LabelActivation, ModelCard

_BY_CLASS: dict[str, LabelActivation] = {"Sigmoid": "sigmoid", "Identity": "none", "Softmax": "softmax"}
_NAMED: dict[str, LabelActivation] = {"none": "none", "raw": "none", "sigmoid": "sigmoid", "softmax": "softmax"}

log = logging.getLogger("zerolane.frontend.score_activation")


def score_activation(fields: PairFields, model: TextModel) -> LabelActivation:
    """What the request wants. Raises RequestError for fields that contradict each other or cannot be of use."""
    card = model.card
    usual: LabelActivation = "none" if card.task == "embed" else model.score_activation
    wishes: dict[str, LabelActivation] = {}
    for name in ("use_activation", "activation", "softmax"):
        value = getattr(fields, name)
        if isinstance(value, bool):
            wishes[name] = _by_switch(name, value, usual, card.num_labels)
        elif value is not None:
            wishes[name] = _NAMED[value]
    if len(set(wishes.values())) > 1:
        name = list(wishes)[-1]
        message = f"'{name}' says something else than '{next(iter(wishes))}'."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, name)
    wanted = next(iter(wishes.values()), usual)
    if wanted == "softmax" and card.num_labels == 1:
        message = f"The model '{card.name}' has one label: its softmax is always 1. Use 'sigmoid' or 'none'."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "activation")
    if card.task == "embed" and wanted != "none":
        message = f"The model '{card.name}' compares vectors; there are no logits to apply a {wanted} to."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "activation")
    return wanted


def _by_switch(name: str, value: bool, usual: LabelActivation, num_labels: int) -> LabelActivation:
    """`softmax: true` is vLLM's old way to say use_activation; of several labels it means the softmax."""
    if not value:
        return "none"
    return "softmax" if name == "softmax" and num_labels > 1 else usual


def model_activation(card: ModelCard) -> LabelActivation:
    """What the model's files say, read at the start."""
    if card.task != "score":
        return "none"
    usual: LabelActivation = "sigmoid" if card.num_labels == 1 else "none"
    if card.is_fake:
        return usual
    config = _read(card, "config.json")
    named = (
        _read(card, "config_sentence_transformers.json").get("activation_fn")
        or _dictionary(config.get("sentence_transformers")).get("activation_fn")
        or config.get("sbert_ce_default_activation_function")
    )
    if named is None:
        return usual
    known = _BY_CLASS.get(str(named).rpartition(".")[2])
    if known is None or (known == "softmax" and card.num_labels == 1):
        fields = {"model": card.name, "activation": str(named), "used": usual}
        log.warning("the model's activation function is not known", extra={"fields": fields})
        return usual
    return known


def _read(card: ModelCard, name: str) -> dict[str, Any]:
    """A JSON file of the model; empty when there is none, or it holds something else."""
    try:
        return _dictionary(json.loads((Path(card.path) / name).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
