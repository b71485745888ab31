"""What --quantization costs in quality: a model's perplexity with weights in fewer bits, over that with its own.

    python benchmarks/perplexity.py [MODEL] [--kinds int8,int4] [--dtype bfloat16] [--texts FILE ...] [--tokens 8000]

MODEL is a folder; without one it is the chat model we ship, on conversations like those it was trained on, from a seed
that the training never used; what the assistant says counts. Other models read this project's own pages, or the files
that are named. Perplexity is e to the mean negative log-likelihood of a token.
"""

import argparse
import math
import sys
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts" / "tiny_models"))  # a script's own files
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.kept_linears import keep_linears
from chat_texts import training_dialogue
from train_chat import IGNORED, render, tokenize
from workers.pool import torch_dtype

ROOT = Path(__file__).resolve().parent.parent
TINY_CHAT = ROOT / "zerolane" / "tiny" / "tiny-chat"
_SEED = 20990101  # not the training's
_LONGEST = 512  # tokens of a text


class Text(NamedTuple):
    """Token ids [n], and labels [n]: the ids that count, elsewhere IGNORED."""

    ids: torch.Tensor
    labels: torch.Tensor


def conversations(tokenizer: Any, tokens: int) -> list[Text]:
    """For tiny-chat, at least `tokens` in all; what the assistant says counts: only that was trained."""
    rng, texts, total = Random(_SEED), list[Text](), 0
    while total < tokens:
        (example,) = tokenize(tokenizer, [render(tokenizer, training_dialogue(rng))])
        texts.append(Text(torch.tensor(example.ids), torch.tensor(example.labels)))
        total += len(example.ids)
    return texts


def pages(tokenizer: Any, files: list[Path], tokens: int) -> list[Text]:
    """The files' text one after another, in pieces, up to `tokens` in all."""
    everything = "\n\n".join(file.read_text() for file in files)
    ids = torch.tensor(tokenizer(everything, add_special_tokens=False)["input_ids"][:tokens])
    return [Text(piece, piece) for piece in ids.split(_LONGEST) if len(piece) > 1]


@torch.inference_mode()
def perplexity(model: Any, texts: list[Text]) -> float:
    """Of all tokens that count but each text's first."""
    total, count = 0.0, 0
    for ids, labels in texts:
        logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1].float()
        total += float(cross_entropy(logits, labels[1:], ignore_index=IGNORED, reduction="sum"))
        count += int((labels[1:] != IGNORED).sum())
    return math.exp(total / count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=TINY_CHAT)
    parser.add_argument("--kinds", default="int8,int4")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--texts", nargs="+", type=Path, default=[])
    parser.add_argument("--tokens", type=int, default=8000)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch_dtype(options.dtype)).eval()
    if options.model == TINY_CHAT and not options.texts:
        texts = conversations(tokenizer, options.tokens)
    else:
        files = options.texts or sorted((ROOT / "docs").glob("*.md"))
        texts = pages(tokenizer, files, options.tokens)
    print(
        f"{options.model.name}, {options.dtype}, {sum(len(text.ids) for text in texts):,} tokens in {len(texts)} texts"
    )
    full = perplexity(model, texts)
    print(f"{'none':>6}: perplexity {full:.4f}")
    for kind in options.kinds.split(","):
        kept, count = keep_linears(model, kind)
        found = perplexity(kept, texts)
        print(f"{kind:>6}: perplexity {found:.4f}, {found / full - 1:+.3%}; {count} linear layers", flush=True)


if __name__ == "__main__":
    main()
