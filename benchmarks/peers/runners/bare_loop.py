"""Run inside venv-torch: a plain transformers loop, without a server. One order a line in, one answer a line out.

    python bare_loop.py MODEL_DIR THREADS

Batches are static: the prompts of a batch are padded to its longest one and all its requests end together.
"""

import itertools
import json
import sys
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

SAMPLE_CHARACTERS = 80


def main() -> None:
    path, threads = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(threads)
    tokenizer: Any = AutoTokenizer.from_pretrained(path, padding_side="left")
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).eval()
    answer({})
    for line in sys.stdin:
        order = json.loads(line)
        start = time.perf_counter()
        done: list[dict[str, Any]] = []
        for place in range(0, len(order["requests"]), order["streams"]):
            batch = order["requests"][place : place + order["streams"]]
            done += run_batch(model, tokenizer, batch, order["output_tokens"], start)
        answer({"requests": done})


@torch.inference_mode()
def run_batch(
    model: Any, tokenizer: Any, batch: list[dict[str, Any]], output_tokens: int, start: float
) -> list[dict[str, Any]]:
    """Greedy; every request of the batch gets every step's time."""
    began = time.perf_counter() - start
    padded = tokenizer([request["text"] for request in batch], return_tensors="pt", padding=True)
    mask = padded["attention_mask"]  # [batch, tokens]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    found = model(padded["input_ids"], attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
    shown, tokens = [], []
    last = positions[:, -1:]
    for number in range(output_tokens):
        drawn = found.logits[:, -1].argmax(-1, keepdim=True)  # [batch, 1]
        tokens.append(drawn)
        shown.append(time.perf_counter() - start)
        if number + 1 < output_tokens:
            last = last + 1
            mask = torch.cat([mask, mask.new_ones(len(batch), 1)], dim=1)
            found = model(
                drawn, attention_mask=mask, position_ids=last, past_key_values=found.past_key_values, use_cache=True
            )
    gaps = [later - earlier for earlier, later in itertools.pairwise(shown)]
    times = {"began": began, "first": shown[0], "ended": shown[-1], "gaps": gaps, "output_tokens": len(shown)}
    texts = tokenizer.batch_decode(torch.cat(tokens, dim=1))
    counts = padded["attention_mask"].sum(-1).tolist()
    return [
        {**times, "prompt_tokens": count, "sample": text[:SAMPLE_CHARACTERS]}
        for count, text in zip(counts, texts, strict=True)
    ]


def answer(fields: dict[str, Any]) -> None:
    print(json.dumps(fields), flush=True)


main()
