"""Score parity with sentence-transformers' CrossEncoder, float32, for small random models of many architectures."""

import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ipc.step_layout import StepKind, StepShape
from tests.parity.in_process import open_encoder
from tests.parity.plan_driver import make_columns
from tests.parity.small_models import SCORERS, VOCAB, save_scorer

pytestmark = pytest.mark.parity
NUM_PAIRS = 200
PAIRS_A_STEP = 23


def save_tokenizer(folder: Path, max_length: int, uses_types: bool) -> PreTrainedTokenizerFast:
    """A word tokenizer for words w5 ... , with the pair template of BERT."""
    vocab = {"[CLS]": 3, "[SEP]": 4, "[PAD]": 1} | {f"w{i}": i for i in range(5, VOCAB)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="w5"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    second = 1 if uses_types else 0
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair=f"[CLS] $A [SEP] $B:{second} [SEP]:{second}",
        special_tokens=[("[CLS]", 3), ("[SEP]", 4)],
    )
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if uses_types else [])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        model_max_length=max_length,
        model_input_names=names,
    )
    fast.save_pretrained(folder)
    return fast


def make_pairs(seed: int = 5) -> list[tuple[str, str]]:
    """Pairs of mixed length, short ones most."""
    source = random.Random(seed)

    def text() -> str:
        return " ".join(f"w{source.randrange(5, VOCAB)}" for _ in range(int(2 ** source.uniform(0, 6))))

    return [(text(), text()) for _ in range(NUM_PAIRS)]


@pytest.mark.parametrize("name", list(SCORERS))
def test_equals_cross_encoder(name: str, tmp_path: Path) -> None:
    save_scorer(name, tmp_path)
    uses_types = name in ("bert", "electra", "deberta_padded")
    tokenizer = save_tokenizer(tmp_path, max_length=150, uses_types=uses_types)
    pairs = make_pairs()
    theirs = CrossEncoder(str(tmp_path), device="cpu", max_length=150)
    expected = theirs.predict(pairs, batch_size=16, activation_fn=torch.nn.Identity(), show_progress_bar=False)

    card, encoder = open_encoder(tmp_path, "float32")
    assert card.attention_backend == ("padded" if "padded" in name else "packed")
    assert card.max_model_len == 150
    encoded = tokenizer([a for a, _ in pairs], [b for _, b in pairs], truncation=True, max_length=150)
    scores: list[npt.NDArray[np.float32]] = []
    for begin in range(0, NUM_PAIRS, PAIRS_A_STEP):
        ids = encoded["input_ids"][begin : begin + PAIRS_A_STEP]
        types = encoded.get("token_type_ids")
        shape = StepShape(StepKind.SCORE, len(ids), sum(map(len, ids)), num_labels=1)
        columns = make_columns(shape)
        columns.num_new[:] = [len(one) for one in ids]
        columns.token_ids[:] = np.concatenate(ids)
        if types is not None:
            columns.token_type_ids[:] = np.concatenate(types[begin : begin + PAIRS_A_STEP])
        encoder.run(columns)
        assert not columns.row_status.any()
        scores.append(columns.scores[:, 0].copy())
    assert np.ptp(expected) > 0.1  # the model tells pairs apart
    np.testing.assert_allclose(np.concatenate(scores), np.asarray(expected).reshape(-1), atol=1e-5, rtol=0)
