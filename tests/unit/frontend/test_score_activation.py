"""What becomes of logits: fields that agree or contradict, and what models' files say."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from frontend.byte_tokenizer import ByteTokenizer
from frontend.schema_score import PairFields
from frontend.score_activation import model_activation, score_activation
from frontend.text_model import TextModel
from ipc.errors import RequestError
from ipc.fake_card import fake_card
from ipc.model_card import LabelActivation, ModelCard

CARD = fake_card(0, "r", "fake:score", 10, 16, 0)


def model(card: ModelCard = CARD, usual: LabelActivation = "sigmoid") -> TextModel:
    return TextModel(card, ByteTokenizer(), None, score_activation=usual)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "sigmoid"),
        ({"use_activation": True}, "sigmoid"),
        ({"use_activation": False}, "none"),
        ({"activation": "raw"}, "none"),
        ({"activation": "none", "use_activation": False}, "none"),
        ({"activation": "sigmoid", "use_activation": True}, "sigmoid"),
        ({"activation": False, "softmax": False}, "none"),
        ({"softmax": True}, "sigmoid"),
    ],
)
def test_one_label(fields: dict[str, Any], expected: str) -> None:
    assert score_activation(PairFields(**fields), model()) == expected


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"activation": "softmax"}, "activation"),
        ({"activation": "sigmoid", "use_activation": False}, "activation"),
        ({"softmax": True, "activation": "raw"}, "softmax"),
    ],
)
def test_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        score_activation(PairFields(**fields), model())
    assert caught.value.param == param


def test_several_labels() -> None:
    three = model(replace(CARD, num_labels=3), "none")
    assert score_activation(PairFields(), three) == "none"
    assert score_activation(PairFields(softmax=True), three) == "softmax"
    assert score_activation(PairFields(activation="softmax"), three) == "softmax"


def test_embed_models_compare_vectors() -> None:
    embed = model(replace(CARD, task="embed", num_labels=8))
    assert score_activation(PairFields(use_activation=False), embed) == "none"
    assert score_activation(PairFields(use_activation=True), embed) == "none"
    with pytest.raises(RequestError):
        score_activation(PairFields(activation="sigmoid"), embed)


@pytest.mark.parametrize(
    ("files", "num_labels", "expected"),
    [
        ({}, 1, "sigmoid"),
        ({}, 3, "none"),
        ({"config.json": {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}}, 1, "none"),
        (
            {"config.json": {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}},
            3,
            "sigmoid",
        ),
        ({"config_sentence_transformers.json": {"activation_fn": "torch.nn.modules.linear.Identity"}}, 1, "none"),
        ({"config.json": {"sentence_transformers": {"activation_fn": "torch.nn.Softmax"}}}, 1, "sigmoid"),
        ({"config.json": {"sentence_transformers": {"activation_fn": "mine.Own"}}}, 1, "sigmoid"),
        ({"config.json": []}, 1, "sigmoid"),
    ],
)
def test_model_files(tmp_path: Path, files: dict[str, Any], num_labels: int, expected: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert model_activation(replace(CARD, path=str(tmp_path), num_labels=num_labels)) == expected
