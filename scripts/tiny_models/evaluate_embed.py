"""How well tiny-embed's vectors find what answers a question, about countries that it was not trained on, and whether
they do it better than counting common words.

Loads the files as any user would. Two numbers for each set of texts: how often a right text is closer to its question
than a nearly right one, and the area under the ROC curve over all pairs of a question and a text.
"""

from __future__ import annotations

import re
from collections import Counter
from math import log
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from embed_texts import Group, held_out_groups
from rerank_texts import Stage
from train_embed import CUT_WIDTHS, WIDTH, mean_states

NUM_GROUPS = 600
_BATCH = 200


class Figures(NamedTuple):
    """`ranked`: share of (right, wrong) of one question in the right order; `area`: under the ROC curve."""

    ranked: float
    area: float


def texts_of(groups: list[Group]) -> list[str]:
    """Questions, right texts, wrong texts of the first group, of the second, ..."""
    texts = [group.question for group in groups] + [group.right for group in groups]
    return texts + [text for group in groups for text in group.wrong]


def embed(folder: Path, dtype: torch.dtype, texts: list[str]) -> torch.Tensor:
    """[texts, WIDTH], not of length 1."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModel.from_pretrained(folder, dtype=dtype, add_pooling_layer=False).eval()
    rows = []
    for at in range(0, len(texts), _BATCH):
        batch = tokenizer(texts[at : at + _BATCH], padding=True, return_tensors="pt")
        with torch.inference_mode():
            rows.append(mean_states(model, batch["input_ids"], batch["attention_mask"]))
    return torch.cat(rows)


def word_vectors(texts: list[str]) -> torch.Tensor:
    """The baseline, [texts, words]: how often each word occurs, rare words counted more (tf-idf)."""
    counts = [Counter(re.findall(r"\w+", text.lower())) for text in texts]
    occurrences = Counter(word for count in counts for word in count)
    column = {word: number for number, word in enumerate(occurrences)}
    vectors = torch.zeros(len(texts), len(column))
    for row, count in enumerate(counts):
        for word, times in count.items():
            vectors[row, column[word]] = times * (log((1 + len(texts)) / (1 + occurrences[word])) + 1)
    return vectors


def figures(vectors: torch.Tensor, num_groups: int) -> Figures:
    """Judges vectors of `texts_of` by their cosines."""
    unit = functional.normalize(vectors, dim=1)
    questions, texts = unit[:num_groups], unit[num_groups : 2 * num_groups]
    right = (questions * texts).sum(dim=1)
    wrong = (questions[:, None] * unit[2 * num_groups :].unflatten(0, (num_groups, -1))).sum(dim=2)
    return Figures(_share_above(right[:, None] - wrong), _share_above(right[:, None] - wrong.flatten()[None]))


def _share_above(difference: torch.Tensor) -> float:
    return float(((difference > 0).float() + 0.5 * (difference == 0).float()).mean())


def evaluate_embed(folder: Path, dtype: torch.dtype, seed: int = 7) -> bool:
    """Print the figures and say whether whole vectors beat the baseline everywhere."""
    rng = Random(seed)
    print(f"tiny-embed, held out, weights in {dtype}:   ranked right / area under the curve")
    beats = []
    for what, stage in (("one sentence", Stage.SENTENCES), ("longer texts", Stage.PASSAGES)):
        groups = held_out_groups(rng, NUM_GROUPS, stage)
        texts = texts_of(groups)
        words = figures(word_vectors(texts), len(groups))
        print(f"  {what:<14} common words (tf-idf)   {words.ranked:7.4f} {words.area:7.4f}")
        vectors = embed(folder, dtype, texts)
        for width in CUT_WIDTHS:
            found = figures(vectors[:, :width], len(groups))
            print(f"  {what:<14} {width:4d} numbers            {found.ranked:7.4f} {found.area:7.4f}")
            if width == WIDTH:
                beats.append(found.ranked > words.ranked and found.area > words.area)
    print(flush=True)
    return all(beats)
