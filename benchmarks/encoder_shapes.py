"""Cross-encoders and embedders with random weights of a known shape, made on the spot, and texts for them.

Speed does not depend on what the weights say, but scores do: with a checkpoint's usual starting weights all pairs score
alike, and a comparison of two number types would prove nothing. So here tokens belong to topics, attention looks more
sharply, and the head sees where texts differ most, until scores spread as a trained reranker's do.
"""

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification, XLMRobertaModel

from benchmarks.model_shapes import SYLLABLES

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
TOPIC_SCALE = 0.02  # tokens of even and of odd numbers belong to two topics, and texts are mixtures of them
QUERY_KEY_SCALE = 2.5  # of attention's queries and keys: tokens look at some others more than at the rest
LOGIT_SPREAD = 3.0  # standard deviation of the scores of random texts, as logits


@dataclass(frozen=True)
class EncoderShape:
    """XLM-RoBERTa's architecture."""

    name: str
    num_layers: int = 12
    hidden_size: int = 768
    num_heads: int = 12
    ffn_size: int = 3072
    vocab_size: int = 32000
    max_tokens: int = 512


BASE = EncoderShape("encoder-base")  # bge-reranker-base's but for its vocabulary: 86 million parameters in its layers
SMALL = EncoderShape("encoder-small", num_layers=2, hidden_size=64, num_heads=2, ffn_size=128, vocab_size=1000)


def make_encoder(shape: EncoderShape, kind: str, folder: Path) -> Path:
    """The folder of the float32 model below `folder`, made unless it is there. `kind`: "rerank" or "embed"."""
    path = folder / f"{shape.name}-{kind}"
    if (path / "config.json").exists():
        return path
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    tokenizer = _tokenizer(shape)
    tokenizer.save_pretrained(partial)
    _model(shape, kind, tokenizer).save_pretrained(partial)
    try:
        partial.rename(path)
    except OSError:  # another run was first
        shutil.rmtree(partial)
    return path


def random_texts(path: Path, lengths: list[int], seed: int) -> list[str]:
    """Texts of about so many tokens of the model's tokenizer, special ones not counted."""
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    vocab = tokenizer.get_vocab()
    words = [token.removeprefix("Ġ") for token in vocab if token.startswith("Ġ")]
    words = sorted(word for word in words if word.isalpha() and word.isascii())
    halves = [[word for word in words if vocab[f"Ġ{word}"] % 2 == half] for half in (0, 1)]
    source = random.Random(seed)
    texts = []
    for length in lengths:
        share = source.random()  # of one topic
        texts.append(" ".join(source.choice(halves[source.random() < share]) for _ in range(length)))
    return texts


def _tokenizer(shape: EncoderShape) -> PreTrainedTokenizerFast:
    source = random.Random(0)
    words = ["".join(source.choices(SYLLABLES, k=source.randint(1, 5))) for _ in range(3 * shape.vocab_size)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words[i : i + 100]) for i in range(0, len(words), 100)], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=shape.max_tokens,
        model_input_names=["input_ids", "attention_mask"],
    )


def _model(shape: EncoderShape, kind: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    torch.manual_seed(3)
    config = XLMRobertaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        intermediate_size=shape.ffn_size,
        max_position_embeddings=shape.max_tokens + 2,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        layer_norm_eps=1e-5,
    )
    config.num_labels = 1
    model: Any = XLMRobertaForSequenceClassification(config) if kind == "rerank" else XLMRobertaModel(config)
    with torch.no_grad():
        embedding = model.get_input_embeddings().weight
        topic = torch.randn(shape.hidden_size) * TOPIC_SCALE
        embedding[0::2] += topic
        embedding[1::2] -= topic
        for name, parameter in model.named_parameters():
            if name.endswith(("query.weight", "key.weight")):
                parameter.mul_(QUERY_KEY_SCALE)
        if kind == "rerank":
            _spread_scores(model.eval(), shape)
    return model


def _spread_scores(model: Any, shape: EncoderShape) -> None:
    """Let the head look where random texts differ most, until their logits have LOGIT_SPREAD.

    What all texts have in common is left out of that direction: a trained head does not cancel it by a large bias.
    """
    share = torch.rand(32, 1)
    ids = torch.randint(len(SPECIAL_TOKENS), shape.vocab_size - 1, (32, 64)) // 2 * 2 + (torch.rand(32, 64) < share)
    ids[:, 0] = 0
    head = model.classifier
    seen = torch.tanh(head.dense(model.base_model(input_ids=ids).last_hidden_state[:, 0]))
    common = seen.mean(0) / seen.mean(0).norm()
    apart = seen - seen.mean(0)
    apart -= (apart @ common)[:, None] * common
    direction = torch.linalg.svd(apart, full_matrices=False).Vh[0]
    head.out_proj.weight.copy_(direction[None] * (LOGIT_SPREAD / (apart @ direction).std()))
    head.out_proj.bias.zero_()
