"""Run inside venv-torch: sentence-transformers' CrossEncoder. One order a line in, one answer a line out.

    python cross_encoder.py MODEL_DIR DTYPE THREADS

At the first order of each load it tries batch sizes with it and keeps the best.
"""

import json
import sys
import time
from typing import Any

import torch
from sentence_transformers import CrossEncoder

BATCH_SIZES = (8, 16, 32, 64)


def main() -> None:
    path, dtype, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    model: Any = CrossEncoder(path, device="cpu", model_kwargs={"dtype": getattr(torch, dtype)})
    model.predict([("warm", "up")] * 8, show_progress_bar=False)
    answer({})
    best: dict[str, int] = {}
    for line in sys.stdin:
        order = json.loads(line)
        note = ""
        if order["label"] not in best:
            seconds = {size: time_of(model, order, size) for size in BATCH_SIZES}
            best[order["label"]] = min(seconds, key=lambda size: seconds[size])
            tried = ", ".join(f"{size}: {took:.2f} s" for size, took in seconds.items())
            note = f"batch size {best[order['label']]} of {tried}"
        answer({"requests": run(model, order, best[order["label"]]), "note": note})


def run(model: Any, order: dict[str, Any], batch_size: int) -> list[dict[str, Any]]:
    """All requests one after the other: a library has no queue."""
    start = time.perf_counter()
    done = []
    for request in order["requests"]:
        began = time.perf_counter() - start
        pairs = [(request["text"], document) for document in request["documents"]]
        scores = model.predict(pairs, batch_size=batch_size, show_progress_bar=False)
        ended = time.perf_counter() - start
        times = {"began": began, "first": ended, "ended": ended, "gaps": [], "output_tokens": 0}
        done.append({**times, "prompt_tokens": request["num_tokens"], "scores": [float(score) for score in scores]})
    return done


def time_of(model: Any, order: dict[str, Any], batch_size: int) -> float:
    """Seconds of the order's first request."""
    first = {**order, "requests": order["requests"][:1]}
    return float(run(model, first, batch_size)[0]["ended"])


def answer(fields: dict[str, Any]) -> None:
    print(json.dumps(fields), flush=True)


main()
