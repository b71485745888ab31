"""Train tiny-embed: a small BERT whose mean state says what a text is about, by telling right texts from others.

Contrastive: each question of a batch is to be closer to its own text than to all other texts of the batch, its own
nearly right ones among them; whole vectors and their beginnings alike, so that they can be cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from embed_texts import Group, draw_groups
from rerank_texts import Stage
from train_rerank import train_tokenizer
from training import Optimiser, save, train

NUM_STEPS = 400
GROUPS_A_BATCH = 80
MAX_LENGTH = 256
WIDTH = 256
CUT_WIDTHS = (64, 128, WIDTH)  # what vectors may be cut to
TEMPERATURE = 0.05
SEED = 20240603


class Batch(NamedTuple):
    """Token ids and masks [texts, longest] of questions, then right texts, then wrong ones; `is_fair`
    [groups, texts that are no question]: false for another group's text that says the same fact."""

    ids: torch.Tensor
    mask: torch.Tensor
    is_fair: torch.Tensor


def build_model(tokenizer: PreTrainedTokenizerFast) -> BertModel:
    """An untrained BERT of about two million weights. Small layers around large embeddings: the vector is to keep the
    words, and weigh them."""
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=MAX_LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.05,
    )
    config.matryoshka_dimensions = list(CUT_WIDTHS)
    model = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        model.embeddings.position_embeddings.weight.mul_(0.3)
    return model


def encode(tokenizer: PreTrainedTokenizerFast, groups: list[Group]) -> Batch:
    """A batch of these groups."""
    texts = [group.question for group in groups] + [group.right for group in groups]
    texts += [text for group in groups for text in group.wrong]
    encoded = tokenizer(texts, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
    num_wrong = len(texts) - 2 * len(groups)
    same = torch.tensor([[one.fact == other.fact for other in groups] for one in groups])
    fair = ~same | torch.eye(len(groups), dtype=torch.bool)
    all_fair = torch.cat([fair, torch.ones(len(groups), num_wrong, dtype=torch.bool)], dim=1)
    return Batch(encoded["input_ids"], encoded["attention_mask"], all_fair)


def stages_at(progress: float) -> tuple[Stage, ...]:
    """Which groups to train with when `progress`, 0 to 1, of the training is done."""
    return (Stage.SENTENCES,) if progress < 0.6 else (Stage.SENTENCES, Stage.SENTENCES, Stage.PASSAGES)


def stream_batches(tokenizer: PreTrainedTokenizerFast, rng: Random, num_steps: int) -> Iterator[Batch]:
    """`num_steps` batches; no group comes twice."""
    for step in range(num_steps):
        yield encode(tokenizer, draw_groups(rng, GROUPS_A_BATCH, stages_at(step / num_steps)))


def mean_states(model: BertModel, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """float32 [texts, WIDTH]."""
    states: torch.Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
    weights = mask[..., None].float()
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


def contrastive_loss(vectors: torch.Tensor, is_fair: torch.Tensor) -> torch.Tensor:
    """The mean over all widths; from questions to texts, and from right texts to questions."""
    count = len(is_fair)
    answers = torch.arange(count)
    losses = []
    for width in CUT_WIDTHS:
        unit = functional.normalize(vectors[:, :width], dim=1)
        logits = (unit[:count] @ unit[count:].T / TEMPERATURE).masked_fill(~is_fair, -100.0)
        back = logits[:, :count].T
        losses.append(functional.cross_entropy(logits, answers) + 0.5 * functional.cross_entropy(back, answers))
    return torch.stack(losses).mean()


def write_sentence_files(out: Path, max_length: int) -> None:
    """What sentence-transformers reads, in the form that all its versions know."""
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds)
    ]
    flags = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    pooling = {"word_embedding_dimension": WIDTH} | {f"pooling_mode_{flag}": flag == "mean_tokens" for flag in flags}
    general: dict[str, Any] = {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    for path in ("1_Pooling", "2_Normalize"):
        (out / path).mkdir(exist_ok=True)
    for name, content in (
        ("modules.json", modules),
        ("1_Pooling/config.json", pooling | {"include_prompt": True}),
        ("2_Normalize/config.json", {}),
        ("sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False}),
        ("config_sentence_transformers.json", general),
    ):
        (out / name).write_text(json.dumps(content, indent=2) + "\n")


def train_embed(out: Path) -> None:
    """Train from nothing and write the model, its tokenizer and its sentence-transformers files to `out`, the weights
    in bfloat16."""
    rng = Random(SEED)
    torch.manual_seed(SEED)
    tokenizer = train_tokenizer(
        text for group in draw_groups(rng, 10000, (Stage.SENTENCES,)) for text in (group.question, group.right)
    )
    model = build_model(tokenizer)
    print(f"tiny-embed: {model.num_parameters():,} weights, {len(tokenizer)} tokens", flush=True)

    def loss_of(batch: Batch) -> torch.Tensor:
        return contrastive_loss(mean_states(model, batch.ids, batch.mask), batch.is_fair)

    batches = stream_batches(tokenizer, rng, NUM_STEPS)
    train(model, batches, NUM_STEPS, loss_of, Optimiser(model, muon_rate=0.02, adam_rate=0.003), "tiny-embed")
    save(model, tokenizer, out)
    write_sentence_files(out, MAX_LENGTH)
