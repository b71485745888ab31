"""What a model is for, by its architecture, its files and the operator's word."""

from types import SimpleNamespace
from typing import Literal

import pytest

from ipc.errors import StartupError
from ipc.model_card import Task
from workers.architecture_rules import default_pooling, label_activation, task_of

Wanted = Literal["auto", "generate", "score", "embed"]


@pytest.mark.parametrize(
    ("architecture", "wanted", "is_embedder", "task"),
    [
        ("LlamaForCausalLM", "auto", False, "generate"),
        ("GPT2LMHeadModel", "auto", False, "generate"),
        ("BertForSequenceClassification", "auto", False, "score"),
        ("BertModel", "auto", False, "embed"),
        ("ModernBertModel", "embed", False, "embed"),
        ("Qwen3ForCausalLM", "auto", True, "embed"),
        ("Qwen3ForCausalLM", "generate", True, "generate"),
        ("Qwen3ForCausalLM", "embed", False, "embed"),
        ("MPNetForMaskedLM", "auto", True, "embed"),
        ("MPNetForMaskedLM", "embed", False, "embed"),
    ],
)
def test_tasks(architecture: str, wanted: Wanted, is_embedder: bool, task: Task) -> None:
    assert task_of("m", architecture, wanted, is_embedder) == task


@pytest.mark.parametrize(
    ("architecture", "wanted", "words"),
    [
        ("BertForMaskedLM", "auto", "BertForMaskedLM is neither"),
        ("BertModel", "score", "for embed, not for score"),
        ("LlamaForCausalLM", "score", "for generate, not for score"),
        ("BertForSequenceClassification", "generate", "for score, not for generate"),
    ],
)
def test_refusals(architecture: str, wanted: Wanted, words: str) -> None:
    with pytest.raises(StartupError, match=words):
        task_of("m", architecture, wanted, is_embedder=False)


def test_pooling_where_no_file_says_it() -> None:
    assert default_pooling("Qwen3ForCausalLM", SimpleNamespace()) == "lasttoken"
    assert default_pooling("Qwen3ForCausalLM", SimpleNamespace(is_causal=False)) == "mean"
    assert default_pooling("BertModel", SimpleNamespace(is_decoder=False)) == "mean"


def test_label_activations() -> None:
    assert label_activation(SimpleNamespace(num_labels=1)) == "sigmoid"
    assert label_activation(SimpleNamespace(num_labels=3, problem_type=None)) == "softmax"
    assert label_activation(SimpleNamespace(num_labels=3, problem_type="multi_label_classification")) == "sigmoid"
    assert label_activation(SimpleNamespace(num_labels=1, problem_type="regression")) == "none"
