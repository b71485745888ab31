"""bfloat16 products change neither what a reranker's scores say nor where an embedder's vectors point."""

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tokenizers import Tokenizer

from benchmarks.encoder_shapes import EncoderShape, make_encoder, random_texts
from benchmarks.score_sides.figures import largest_difference, least_cosine, order_violations
from ipc.config import DType
from ipc.model_card import ModelCard
from ipc.step_layout import StepKind, StepShape
from tests.parity.in_process import open_encoder
from tests.parity.plan_driver import make_columns
from workers.dtype_choice import cpu_has_bfloat16
from zerolane import tiny

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU has no bfloat16 products"),
]
TINY = Path(tiny.__file__).parent if tiny.__file__ else Path(tiny.__path__[0])
SMALL = EncoderShape("small", num_layers=3, hidden_size=128, num_heads=2, ffn_size=256, vocab_size=1000, max_tokens=256)
QUERIES = ["what is the capital of France", "a river in Africa", "which animals live in the sea", "how to bake bread"]
DOCUMENTS = [
    "Paris is the capital and the largest city of France.",
    "The Nile flows through eleven countries of Africa.",
    "Whales and dolphins are animals that live in the sea and breathe air.",
    "Mix flour, water, salt and yeast, let it rest for some hours, then bake it in a hot oven.",
    "Berlin is the capital of Germany; it lies on the river Spree.",
    "The train was late again, and nobody said why.",
    "Lake Victoria is the largest lake of Africa.",
]


def run(folder: Path, dtype: DType, texts: list[tuple[str, ...]]) -> tuple[ModelCard, npt.NDArray[np.float64]]:
    """The model's own numbers [texts, labels] of single texts, or of pairs."""
    card, encoder = open_encoder(folder, dtype)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    encoded = [tokenizer.encode(text[0], text[1] if len(text) > 1 else None) for text in texts]
    ids = list(itertools.chain.from_iterable(one.ids for one in encoded))
    columns = make_columns(StepShape(StepKind.SCORE, len(texts), len(ids), num_labels=card.num_labels))
    columns.num_new[:] = [len(one.ids) for one in encoded]
    columns.token_ids[:] = ids
    columns.token_type_ids[:] = list(itertools.chain.from_iterable(one.type_ids for one in encoded))
    encoder.run(columns)
    return card, columns.scores.astype(np.float64)


def sigmoid(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    scores: npt.NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return scores


@pytest.mark.parametrize("name", ["tiny-rerank", "random"])
def test_scores(name: str, tmp_path: Path) -> None:
    folder = make_encoder(SMALL, "rerank", tmp_path) if name == "random" else TINY / name
    if name == "random":
        texts = random_texts(folder, [8] * 4 + [30, 5, 80, 41, 12, 60, 22, 100], 1)
        pairs = list(itertools.product(texts[:4], texts[4:]))
    else:
        pairs = list(itertools.product(QUERIES, DOCUMENTS))
    exact_card, exact = run(folder, "float32", list(pairs))
    card, rounded = run(folder, "auto", list(pairs))
    assert (exact_card.dtype, card.dtype, card.layers) == ("float32", "bfloat16", "lean")
    first, second = sigmoid(rounded).tolist(), sigmoid(exact).tolist()
    assert largest_difference(first, second) < 5e-3
    assert order_violations(first, second, 5e-3) == 0


def test_vectors() -> None:
    texts: list[tuple[str, ...]] = [(text,) for text in QUERIES + DOCUMENTS]
    _, exact = run(TINY / "tiny-embed", "float32", texts)
    card, rounded = run(TINY / "tiny-embed", "auto", texts)
    assert (card.dtype, card.layers) == ("bfloat16", "lean")
    assert least_cosine(rounded.tolist(), exact.tolist()) > 0.9999
