"""For orientation: the plain transformers loop, one batch of equal prompts, its own cache and attention.

python -m benchmarks.overhead.transformers_loop        (started by loop_process.py)
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, DynamicCache

from benchmarks.model_shapes import text_token_ids
from benchmarks.overhead.loop_process import serve_orders
from benchmarks.overhead.timeline import Rates, Timeline, rates
from benchmarks.overhead.workload import RunOrder, Workload, make_prompts


class TransformersLoop:
    """Greedy decoding of one static batch."""

    def __init__(self, workload: Workload) -> None:
        torch.set_num_threads(workload.threads)
        self._workload = workload
        self._text_ids = text_token_ids(Path(workload.model_path))
        dtype = getattr(torch, workload.dtype)
        self._model: Any = AutoModelForCausalLM.from_pretrained(workload.model_path, dtype=dtype).eval()

    @torch.inference_mode()
    def run(self, order: RunOrder) -> Rates:
        """Prefill the whole batch in one step, then decode it."""
        tokens = torch.tensor(make_prompts(self._text_ids, order, self._workload.prompt_tokens))
        cache = DynamicCache(config=self._model.config)
        timeline = Timeline(time.perf_counter())
        for _ in range(order.output_tokens):
            output = self._model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            tokens = output.logits[:, -1].argmax(dim=-1, keepdim=True)
            now = time.perf_counter()
            for stream in range(order.num_streams):
                timeline.add(now, stream, 1)
        return rates(timeline, order.num_streams, order.output_tokens)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    sys.exit(serve_orders(lambda workload: TransformersLoop(workload).run))
