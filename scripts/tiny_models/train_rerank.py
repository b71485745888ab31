"""Train tiny-rerank: pairs to token batches, a small BERT that compares question and text, files on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from rerank_texts import Pair, Stage, draw_subject, pairs_about
from training import Optimiser, save, train

NUM_STEPS = 1100
PAIRS_A_BATCH = 96
VOCABULARY_SIZE = 3072  # the words of questions have one token each
MAX_LENGTH = 256
SEED = 20240602
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Batch(NamedTuple):
    """What BERT reads, each [pairs, longest], and what it should say, [pairs]."""

    ids: torch.Tensor
    segments: torch.Tensor
    mask: torch.Tensor
    answers: torch.Tensor


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer; names it has never seen fall into pieces, the same ones in question and
    text."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY_SIZE, special_tokens=list(SPECIAL_TOKENS), limit_alphabet=200, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> BertForSequenceClassification:
    """An untrained BERT of about a million weights, whose attention starts out looking for equal tokens.

    Query and key weights begin equal, so that a token attends to its like from the first step on. Matching names is
    the heart of the task, and a small encoder takes long to find it by itself.
    """
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=MAX_LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.05,
    )
    config.num_labels = 1
    model = BertForSequenceClassification(config)
    embeddings: Any = model.bert.embeddings
    layers: Any = model.bert.encoder.layer
    with torch.no_grad():
        embeddings.position_embeddings.weight.mul_(0.3)
        for layer in layers[:2]:
            attention = layer.attention.self
            torch.nn.init.orthogonal_(attention.query.weight)
            attention.query.weight.mul_(1.5)
            attention.key.weight.copy_(attention.query.weight)
    return model


def encode(tokenizer: PreTrainedTokenizerFast, pairs: list[Pair]) -> Batch:
    """A batch of these pairs."""
    encoded = tokenizer(
        [pair.question for pair in pairs], [pair.text for pair in pairs], padding=True, return_tensors="pt"
    )
    answers = torch.tensor([float(pair.answers) for pair in pairs])
    return Batch(encoded["input_ids"], encoded["token_type_ids"], encoded["attention_mask"], answers)


def draw_pairs(rng: Random, count: int, stages: tuple[Stage, ...]) -> list[Pair]:
    """`count` pairs for training, of these stages in equal shares of the questions."""
    pairs: list[Pair] = []
    while len(pairs) < count:
        pairs += pairs_about(rng, draw_subject(rng), rng.choice(stages))
    return pairs[:count]


def stages_at(progress: float) -> tuple[Stage, ...]:
    """Which pairs to train with when `progress`, 0 to 1, of the training is done: names first, longer texts last."""
    if progress < 0.08:
        return (Stage.NAMES,)
    if progress < 0.2:
        return (Stage.NAMES, Stage.SENTENCES)
    if progress < 0.7:
        return (Stage.SENTENCES,)
    return (Stage.SENTENCES, Stage.SENTENCES, Stage.PASSAGES)


def stream_batches(tokenizer: PreTrainedTokenizerFast, rng: Random, num_steps: int) -> Iterator[Batch]:
    """`num_steps` batches of pairs of about the same length; no pair comes twice."""
    made = 0
    while made < num_steps:
        pool = draw_pairs(rng, 8 * PAIRS_A_BATCH, stages_at(made / num_steps))
        pool.sort(key=lambda pair: len(pair.question) + len(pair.text))
        batches = [pool[at : at + PAIRS_A_BATCH] for at in range(0, len(pool), PAIRS_A_BATCH)]
        rng.shuffle(batches)
        for batch in batches[: num_steps - made]:
            made += 1
            yield encode(tokenizer, batch)


def train_rerank(out: Path) -> None:
    """Train from nothing and write the model and its tokenizer to `out`, the weights in bfloat16."""
    rng = Random(SEED)
    torch.manual_seed(SEED)
    tokenizer = train_tokenizer(
        text for pair in draw_pairs(rng, 20000, (Stage.SENTENCES,)) for text in (pair.question, pair.text)
    )
    model = build_model(tokenizer)
    print(f"tiny-rerank: {model.num_parameters():,} weights, {len(tokenizer)} tokens", flush=True)

    def loss_of(batch: Batch) -> torch.Tensor:
        logits = model(input_ids=batch.ids, token_type_ids=batch.segments, attention_mask=batch.mask).logits
        return functional.binary_cross_entropy_with_logits(logits.float().squeeze(-1), batch.answers)

    batches = stream_batches(tokenizer, rng, NUM_STEPS)
    train(model, batches, NUM_STEPS, loss_of, Optimiser(model, muon_rate=0.02, adam_rate=0.002), "tiny-rerank")
    save(model, tokenizer, out)
