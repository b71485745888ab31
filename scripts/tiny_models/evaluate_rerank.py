"""How well tiny-rerank tells answers from other texts, about countries that it was not trained on.

Loads the files as any user would. Two things are measured: the area under the ROC curve over pairs like the
training's but about held-out countries, and how sure the model is in simple cases written here by hand.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from facts import COUNTRIES, HELD_OUT_COUNTRIES, Country
from rerank_texts import Pair, Stage, held_out_pairs

TARGET_AUC = 0.97
TARGET_SURE = 0.95  # share of simple pairs that score at least 0.9 if right, at most 0.1 if wrong
_SURE = 0.9
_BATCH = 100


def score(folder: Path, dtype: torch.dtype, pairs: list[Pair]) -> list[float]:
    """The model's score of every pair, between 0 and 1."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).eval()
    scores: list[float] = []
    for at in range(0, len(pairs), _BATCH):
        part = pairs[at : at + _BATCH]
        batch = tokenizer(
            [pair.question for pair in part], [pair.text for pair in part], padding=True, return_tensors="pt"
        )
        with torch.inference_mode():
            scores += model(**batch).logits.float().sigmoid().squeeze(-1).tolist()
    return scores


def area_under_curve(pairs: list[Pair], scores: list[float]) -> float:
    """How often a right text scores above a wrong one; draws count half."""
    right = torch.tensor([value for pair, value in zip(pairs, scores, strict=True) if pair.answers])
    wrong = torch.tensor([value for pair, value in zip(pairs, scores, strict=True) if not pair.answers])
    difference = right[:, None] - wrong[None, :]
    return float(((difference > 0).float() + 0.5 * (difference == 0).float()).mean())


def simple_pairs(countries: tuple[Country, ...]) -> list[Pair]:
    """For every country: its capital asked for, against its own capital, another country's, and its language; the
    like for languages."""
    pairs = []
    for country, other in zip(countries, (*countries[1:], countries[0]), strict=True):
        capital, language = (
            f"The capital of {country.name} is {country.capital}.",
            f"People in {country.name} speak {country.language}.",
        )
        question = f"What is the capital of {country.name}?"
        pairs += [
            Pair(question, capital, True),
            Pair(question, f"The capital of {other.name} is {other.capital}.", False),
            Pair(question, language, False),
            Pair(question, "The train leaves at nine every morning.", False),
        ]
        question = f"What language do people speak in {country.name}?"
        pairs += [
            Pair(question, language, True),
            Pair(question, f"People in {other.name} speak {other.language}.", False),
            Pair(question, capital, False),
        ]
    return pairs


def _sure_share(pairs: list[Pair], scores: list[float], what: str) -> float:
    unsure = [
        f"{value:.3f} {'right' if pair.answers else 'wrong'}: {pair.question} | {pair.text}"
        for pair, value in zip(pairs, scores, strict=True)
        if (value if pair.answers else 1 - value) < _SURE
    ]
    share = 1 - len(unsure) / len(pairs)
    print(f"  sure and right, {what:<30} {share:7.1%} of {len(pairs)}")
    for line in unsure[:3]:
        print(f"      {line}")
    return share


def evaluate_rerank(folder: Path, dtype: torch.dtype, seed: int = 7) -> bool:
    """Print the scores and say whether the targets are met."""
    rng = Random(seed)
    print(f"tiny-rerank, held out, weights in {dtype}:")
    areas = []
    for what, stage in (("one sentence", Stage.SENTENCES), ("longer texts, no target", Stage.PASSAGES)):
        pairs = held_out_pairs(rng, 1500, stage)
        areas.append(area_under_curve(pairs, score(folder, dtype, pairs)))
        print(f"  area under the curve, {what:<24} {areas[-1]:7.4f} of {len(pairs)} pairs")
    must = [
        Pair(f"What is the capital of {asked}?", f"The capital of {told} is {city}.", asked == told)
        for asked in ("France", "Brazil")
        for told, city in (("France", "Paris"), ("Brazil", "Brasilia"))
    ]
    shares = [
        _sure_share(pairs, score(folder, dtype, pairs), what)
        for what, pairs in (
            ("held-out countries", simple_pairs(HELD_OUT_COUNTRIES)),
            ("all countries", simple_pairs(COUNTRIES)),
        )
    ]
    examples = _sure_share(must, score(folder, dtype, must), "France and Brazil")
    print(flush=True)
    return areas[0] >= TARGET_AUC and min(shares) >= TARGET_SURE and examples == 1
