"""Run inside venv-ov: OpenVINO GenAI's continuous batching, in process. One order a line in, one answer a line out.

    python continuous_batching.py MODEL_DIR KV_GIB THREADS

Nothing is made into text: what a server spends on HTTP, JSON and detokenizing this side does not spend.
"""

import importlib
import itertools
import json
import sys
import time
from typing import Any

SAMPLE_CHARACTERS = 80
genai: Any = importlib.import_module("openvino_genai")


def main() -> None:
    model, kv_gib, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    scheduling = genai.SchedulerConfig()
    scheduling.cache_size = kv_gib
    scheduling.max_num_seqs = 64
    scheduling.max_num_batched_tokens = 2048
    scheduling.enable_prefix_caching = False
    properties = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads, "KV_CACHE_PRECISION": "bf16"}
    pipeline = genai.ContinuousBatchingPipeline(model, scheduling, "CPU", properties)
    answer({})
    number = 0
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer({"requests": run(pipeline, order, number)})
        except RuntimeError as error:
            answer({"error": str(error)})
        number += len(order["requests"])


def run(pipeline: Any, order: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """All requests of an order, at most `streams` at once."""
    config = genai.GenerationConfig()
    config.max_new_tokens = order["output_tokens"]
    config.ignore_eos = True
    config.do_sample = False
    start = time.perf_counter()
    waiting = list(enumerate(order["requests"]))
    live: dict[int, tuple[Any, dict[str, Any], list[float], list[int]]] = {}
    done: dict[int, dict[str, Any]] = {}
    while waiting or live:
        while waiting and len(live) < order["streams"]:
            index, request = waiting.pop(0)
            times = {"began": time.perf_counter() - start, "prompt_tokens": request["num_tokens"]}
            live[index] = (pipeline.add_request(number + index, request["text"], config), times, [], [])
        pipeline.step()
        now = time.perf_counter() - start
        for index, (handle, times, shown, tokens) in list(live.items()):
            is_running = handle.get_status() == genai.GenerationStatus.RUNNING
            new = _read(handle)
            if new:
                tokens += new
                shown.append(now)
            if not is_running and not handle.can_read():
                times |= {"first": shown[0], "ended": shown[-1], "output_tokens": len(tokens), "tokens": tokens}
                times["gaps"] = [later - earlier for earlier, later in itertools.pairwise(shown)]
                done[index] = times
                del live[index]
    tokenizer = pipeline.get_tokenizer()
    for times in done.values():  # after the run: the timed part makes no text
        times["sample"] = tokenizer.decode(times.pop("tokens"))[:SAMPLE_CHARACTERS]
    return [done[index] for index in range(len(done))]


def _read(handle: Any) -> list[int]:
    """Tokens that are new."""
    new: list[int] = []
    while handle.can_read():
        for output in handle.read().values():
            new += output.generated_ids
    return new


def answer(fields: dict[str, Any]) -> None:
    print(json.dumps(fields), flush=True)


main()
