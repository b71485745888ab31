"""Vectors equal sentence-transformers' encode, float32, for small random models of many architectures."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from ipc.model_card import ModelCard
from ipc.step_layout import StepKind, StepShape
from tests.parity.in_process import open_encoder
from tests.parity.plan_driver import make_columns
from tests.parity.small_models import VOCAB, save_embedder
from tests.parity.test_scorers import save_tokenizer
from workers.encoder import Encoder

pytestmark = pytest.mark.parity
NUM_TEXTS = 60
MAX_LENGTH = 90
PROMPT = "w7 w8 w9 "

# name -> architecture, pooling, rest of the model
MODELS: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    "bert mean": ("bert", "mean", ("normalize",)),
    "xlm-roberta cls": ("xlm_roberta", "cls", ("normalize",)),
    "modernbert several": ("modernbert", ("cls", "max", "mean_sqrt_len_tokens"), ()),
    "mpnet mean": ("mpnet_padded", "mean", ("normalize",)),
    "deberta weighted": ("deberta_padded", "weightedmean", ()),
    "distilbert dense": ("distilbert", "mean", ("dense", "dense", "normalize")),
    "qwen3 last token": ("qwen3", "lasttoken", ("prompt", "normalize")),
    "llama both sides": ("llama_both_sides", "mean", ("normalize",)),
    "gemma3 both sides": ("gemma3_both_sides", "mean", ("dense", "normalize")),
}


def save_sentence_model(name: str, folder: Path) -> None:
    """As sentence-transformers writes it."""
    architecture, pooling, rest = MODELS[name]
    plain = folder / "plain"
    save_embedder(architecture, plain)
    save_tokenizer(plain, max_length=150, uses_types="bert" in architecture and architecture != "distilbert")
    transformer = Transformer(str(plain), max_seq_length=MAX_LENGTH)
    modules: list[torch.nn.Module] = [transformer, Pooling(64, pooling)]
    torch.manual_seed(3)
    width = 64
    for kind in rest:
        if kind == "dense":
            modules.append(
                Dense(width, 48, activation_function=torch.nn.Tanh() if width == 64 else torch.nn.Identity())
            )
            width = 48
        elif kind == "normalize":
            modules.append(Normalize())
    prompts = {"query": PROMPT} if "prompt" in rest else None
    model = SentenceTransformer(modules=modules, device="cpu", prompts=prompts)
    model.save(str(folder))


def make_texts(seed: int = 5) -> list[str]:
    """Texts of mixed length, short ones most; some are too long."""
    source = random.Random(seed)
    lengths = [int(2 ** source.uniform(0, 6.8)) for _ in range(NUM_TEXTS)]
    return [" ".join(f"w{source.randrange(5, VOCAB)}" for _ in range(length)) for length in lengths]


def embed(card: ModelCard, encoder: Encoder, texts: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
    """What the worker answers, in steps of up to 23 texts."""
    rows: list[npt.NDArray[np.float32]] = []
    for begin in range(0, len(texts), 23):
        part = texts[begin : begin + 23]
        columns = make_columns(StepShape(StepKind.SCORE, len(part), sum(map(len, part)), num_labels=card.num_labels))
        columns.num_new[:] = [len(one) for one in part]
        columns.token_ids[:] = np.concatenate(part)
        encoder.run(columns)
        assert not columns.row_status.any()
        rows.append(columns.scores.copy())
    return np.concatenate(rows)


@pytest.mark.parametrize("name", list(MODELS))
def test_equals_sentence_transformers(name: str, tmp_path: Path) -> None:
    save_sentence_model(name, tmp_path)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    rest = MODELS[name][2]
    texts = make_texts()
    prompt = PROMPT if "prompt" in rest else ""
    expected = theirs.encode(texts, prompt=prompt or None, batch_size=16, show_progress_bar=False)

    card, encoder = open_encoder(tmp_path, "float32")
    assert (card.task, card.num_labels, card.max_model_len) == ("embed", expected.shape[1], MAX_LENGTH)
    assert card.attention_backend == ("padded" if "padded" in MODELS[name][0] else "packed")
    assert card.embedding is not None
    assert card.embedding.normalize == ("normalize" in rest)
    assert card.embedding.query_prompt == prompt
    ids = theirs.tokenizer([prompt + text for text in texts], truncation=True, max_length=MAX_LENGTH)["input_ids"]
    ours = embed(card, encoder, ids)
    if "normalize" in rest:
        ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    assert np.ptp(expected) > 0.1  # the model tells texts apart
    np.testing.assert_allclose(ours, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("architecture", "pooling"), [("bert", "mean"), ("qwen3", "lasttoken")])
def test_a_model_without_files_is_served_as_sentence_transformers_would(
    architecture: str, pooling: str, tmp_path: Path
) -> None:
    save_embedder(architecture, tmp_path)
    save_tokenizer(tmp_path, max_length=150, uses_types=False)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    texts = make_texts()
    expected = theirs.encode(texts, batch_size=16, normalize_embeddings=True, show_progress_bar=False)
    card, encoder = open_encoder(tmp_path, "float32", task="embed")
    assert card.embedding is not None
    assert (card.embedding.pooling, card.embedding.normalize) == (pooling, True)
    ours = embed(card, encoder, theirs.tokenizer(texts, truncation=True, max_length=150)["input_ids"])
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    np.testing.assert_allclose(ours, expected, atol=1e-5, rtol=0)


def test_bfloat16_is_near(tmp_path: Path) -> None:
    save_sentence_model("bert mean", tmp_path)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    texts = make_texts()
    expected = theirs.encode(texts, show_progress_bar=False)
    card, encoder = open_encoder(tmp_path, "bfloat16")
    ours = embed(card, encoder, theirs.tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"])
    assert card.dtype == "bfloat16"
    assert ((ours / np.linalg.norm(ours, axis=1, keepdims=True)) * expected).sum(axis=1).min() > 0.99
