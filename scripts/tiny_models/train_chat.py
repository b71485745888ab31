"""Train tiny-chat: conversations to token batches, a small Llama on the assistant's words, files on disk."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from chat_texts import Dialogue, training_dialogue
from chat_tokenizer import END, END_OF_TEXT, MAX_LENGTH, START, train_tokenizer
from copying import start_with_copying
from facts import CITIES, COUNTRIES, FIRST_NAMES
from training import Optimiser, save, train

NUM_STEPS = 2000
COPY_STEPS = 150  # of these, at the beginning, only copying is practised
TOKENS_A_BATCH = 2048
ROPE_THETA = 500_000.0  # slow turning: names are compared at any distance
SEED = 20240601
IGNORED = -100  # a label that the loss leaves out


class Batch(NamedTuple):
    """Token ids and labels, both [conversations, longest]; padded on the right, where a causal model never looks."""

    ids: torch.Tensor
    labels: torch.Tensor


class Example(NamedTuple):
    """One conversation as tokens; `labels` are the ids where the assistant speaks, else IGNORED."""

    ids: list[int]
    labels: list[int]


def render(tokenizer: PreTrainedTokenizerFast, talk: Dialogue) -> str:
    """The whole conversation as the model reads it."""
    text = tokenizer.apply_chat_template(talk.messages, tools=list(talk.tools) or None, tokenize=False)
    assert isinstance(text, str)
    return text


def assistant_labels(ids: list[int], start: int, end: int, assistant: int) -> list[int]:
    """Keep the ids of what the assistant says, the end of turn included; the header of its turn is given, not
    learned."""
    labels = [IGNORED] * len(ids)
    speaking_from: int | None = None
    for at, token in enumerate(ids):
        if token == start and ids[at + 1] == assistant:
            speaking_from = at + 3  # after the start, the role and the line break
        if speaking_from is not None and at >= speaking_from:
            labels[at] = token
            if token == end:
                speaking_from = None
    return labels


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[Example]:
    """Conversations as ids and labels."""
    vocabulary = tokenizer.get_vocab()
    start, end, assistant = vocabulary[START], vocabulary[END], vocabulary["assistant"]
    encodings = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [Example(ids, assistant_labels(ids, start, end, assistant)) for ids in encodings]


def make_batches(examples: list[Example], rng: Random) -> list[Batch]:
    """Batches of about TOKENS_A_BATCH tokens, each of conversations of about the same length, in random order."""
    ordered = sorted(examples, key=lambda example: len(example.ids) + rng.random())
    groups: list[list[Example]] = [[]]
    for example in ordered:
        if groups[-1] and (len(groups[-1]) + 1) * len(example.ids) > TOKENS_A_BATCH:
            groups.append([])
        groups[-1].append(example)
    rng.shuffle(groups)
    return [_pad(group) for group in groups]


def _pad(group: list[Example]) -> Batch:
    longest = max(len(example.ids) for example in group)
    ids = torch.zeros(len(group), longest, dtype=torch.long)
    labels = torch.full((len(group), longest), IGNORED)
    for row, example in enumerate(group):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        labels[row, : len(example.ids)] = torch.tensor(example.labels)
    return Batch(ids, labels)


def stream_batches(tokenizer: PreTrainedTokenizerFast, rng: Random, num_steps: int) -> Iterator[Batch]:
    """`num_steps` batches of conversations, each conversation made once and never repeated."""
    made = 0
    while made < num_steps:
        texts = [render(tokenizer, training_dialogue(rng)) for _ in range(1000)]
        for batch in make_batches(tokenize(tokenizer, texts), rng)[: num_steps - made]:
            made += 1
            yield batch


KNOWN = (*FIRST_NAMES, *CITIES, *(text for country in COUNTRIES for text in country))  # words with tokens of their own


def copying_batches(vocabulary_size: int, num_steps: int) -> Iterator[Batch]:
    """Batches in which a stretch of random tokens comes twice; only its second time is scored."""
    for _ in range(num_steps):
        length = int(torch.randint(8, 33, (1,)))
        rows = TOKENS_A_BATCH // (2 * length + 8)
        stretch = torch.randint(3, vocabulary_size, (rows, length))
        between = torch.randint(3, vocabulary_size, (rows, int(torch.randint(0, 17, (1,)))))
        unscored = torch.full((rows, length + between.shape[1] + 1), IGNORED)
        yield Batch(torch.cat((stretch, between, stretch), 1), torch.cat((unscored, stretch[:, 1:]), 1))


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained Llama of about two million weights."""
    vocabulary = tokenizer.get_vocab()
    end, padding = vocabulary[END], vocabulary[END_OF_TEXT]
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=padding,
    )
    model = LlamaForCausalLM(config)
    start_with_copying(model, model.model.rotary_emb.inv_freq)
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=end, pad_token_id=padding)
    return model


def train_chat(out: Path) -> None:
    """Train from nothing and write the model and its tokenizer to `out`, the weights in bfloat16."""
    rng = Random(SEED)
    torch.manual_seed(SEED)
    bare = train_tokenizer([])
    dialogues = (render(bare, training_dialogue(rng)) for _ in range(4000))
    tokenizer = train_tokenizer(dialogues, KNOWN)
    model = build_model(tokenizer)
    print(f"tiny-chat: {model.num_parameters():,} weights, {len(tokenizer)} tokens", flush=True)

    def loss_of(batch: Batch) -> torch.Tensor:
        # Only the assistant's words are scored, so only they need logits: position p says token p + 1.
        hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
        spoken = batch.labels[:, 1:] != IGNORED
        logits = model.lm_head(hidden[spoken])
        return functional.cross_entropy(logits.float(), batch.labels[:, 1:][spoken])

    batches = chain(copying_batches(len(tokenizer), COPY_STEPS), stream_batches(tokenizer, rng, NUM_STEPS - COPY_STEPS))
    train(model, batches, NUM_STEPS, loss_of, Optimiser(model, muon_rate=0.02, adam_rate=0.004), "tiny-chat")
    save(model, tokenizer, out)
