"""Where a decoder's step goes: one model in this process, columns in, results out, stage by stage.

    python benchmarks/decode_step.py [--steps 1,8,32,p128,p512,8+128] [--context 160] [--compare packed] [--model DIR]

A number is a step that decodes so many streams, pN one that reads a prompt of N tokens, M+N does both. Stages are what
products with weights, attention of single tokens (with everybody's norms of queries and keys, rotary embedding, writing
to pages), prompts' attention, elementwise kernels, logits and the drawing of tokens take in the fastest round in which
every kernel is called by itself; "rest" is Python and torch around them. A step of a few tokens is one program of
kernels otherwise, and takes less than its stages. The floor is the larger of the bytes a step must read
(weights of 16 bits, keys, values) over --bandwidth and its products' operations over --rate. --compare lets another
decoder take turns: "modules", transformers' on linear layers of the same kind, or "packed", ours without compact
weights.
"""

import argparse
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from workers.compute_threads import limit_spinning, use_threads

limit_spinning()  # before torch

# ruff: noqa: E402
import torch
import transformers
from msgspec.structs import replace

from benchmarks.model_shapes import default_model_dir
from ipc.config import CompactWeights, LoaderConfig, ModelSpec
from ipc.kv_layout import kv_regions
from ipc.model_card import ModelCard
from ipc.step_layout import RowFlag, StepColumns, StepHeader, StepKind, StepShape, step_bytes, write_header
from workers.decoder import Decoder
from workers.inspect_model import inspect_model
from workers.lean.choose import MODULES, LayersChoice, choose_layers

ROUNDS = 8
# modules whose functions are replaced
decoder_module: Any = importlib.import_module("workers.decoder")
load_module: Any = importlib.import_module("workers.load_model")
lean_decoder: Any = importlib.import_module("workers.lean.lean_decoder")
attention: Any = importlib.import_module("workers.lean.attention")
QWEN3: dict[str, Any] = {
    "vocab_size": 32768,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
Stages = dict[str, float]  # seconds


def made_model() -> Path:
    """A folder with a random Qwen3 of the 0.6B shape, made unless it is there; no tokenizer."""
    folder = default_model_dir() / "qwen3-0.6b-shape-bfloat16"
    if not (folder / "config.json").exists():
        torch.manual_seed(0)
        transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**QWEN3)).bfloat16().save_pretrained(folder)
    return folder


def load(folder: Path, way: str = "") -> tuple[ModelCard, memoryview]:
    """The card, with room for the benchmark's pages, and the weights segment. `way`: one of --compare's."""
    choose, modules = choose_layers, LayersChoice(MODULES, "asked for")
    load_module.choose_layers = (lambda *_all: modules) if way == "modules" else choose
    compact: CompactWeights = "off" if way == "packed" else "auto"
    config = LoaderConfig(models=[ModelSpec("model", str(folder))], compact_weights=compact)
    card = inspect_model(0, config.models[0], str(folder), config)
    weights = memoryview(bytearray(card.weights_bytes))
    card = load_module.load_model(card, weights, config, lambda done, total: None)
    return replace(card, num_pages=1024), weights.toreadonly()


def open_decoder(card: ModelCard, weights: memoryview, kv: memoryview) -> Decoder:
    """A decoder as a worker has it."""
    decoder = Decoder(card, weights, max_num_seqs=64)
    decoder.use_pool(0, kv)
    decoder.warm_up()
    return decoder


def lengths_of(step: str, context: int) -> tuple[list[int], list[int]]:
    """Each row's first position and new tokens."""
    decoding, _, prompt = step.rpartition("+") if "+" in step else ("", "", step)
    if prompt.startswith("p") or decoding:
        singles, chunk = int(decoding or 0), int(prompt.removeprefix("p"))
        return [context - 1] * singles + [0], [1] * singles + [chunk]
    return [context - 1] * int(step), [1] * int(step)


def make_columns(card: ModelCard, step: str, context: int) -> StepColumns:
    """A greedy step; those who decode have `context` tokens."""
    starts, new = lengths_of(step, context)
    rows, width = len(new), -(-max(start + count for start, count in zip(starts, new, strict=True)) // card.block_size)
    shape = StepShape(StepKind.GENERATE, rows, sum(new), width)
    columns = write_header(memoryview(bytearray(step_bytes(shape))), StepHeader(0, 0, 0, shape))
    columns.num_new[:], columns.start[:], columns.slot[:] = new, starts, range(rows)
    columns.flags[:], columns.top_p[:], columns.num_logprobs[:] = RowFlag.SAMPLE, 1.0, -1
    source = torch.Generator().manual_seed(1)
    columns.token_ids[:] = torch.randint(3, card.vocab_size, (sum(new),), generator=source).numpy()
    pages = torch.randperm(card.num_pages, generator=source)[: rows * width]
    columns.block_tables[:] = pages.view(rows, width).numpy()
    return columns


class NoProgram:
    """Has every kernel called by itself, so that it can be timed."""

    def run(self, *_all: Any) -> bool:
        """No."""
        return False


class Stopwatch:
    """Adds up the time functions take, by stage; puts itself in their place."""

    def __init__(self, decoder: Decoder) -> None:
        self.stages: Stages = {}
        lean: Any = decoder._lean
        self._lean = lean
        names = {lean._add_norm: "elementwise", lean._gate: "elementwise", lean._attention._kernel: "attention"}
        if lean._attention._prefill is not None:
            names[lean._attention._prefill._kernel] = "prompts"
        self._run: Callable[[int, int, int], None] = lean_decoder.run_kernel

        def run(function: int, job: int, threads: int) -> None:
            self.timed(names[function], self._run)(function, job, threads)

        self._modules = (lean_decoder, attention)
        self._named_run = run
        lean._products = [tuple(self.timed("products", product) for product in layer) for layer in lean._products]
        lean._head = self.timed("logits", lean._head)
        self._chunk, self._draw = attention.attend_chunk, decoder_module.draw_greedy

    def timed(self, stage: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            began = time.perf_counter()
            result = function(*arguments)
            self.stages[stage] = self.stages.get(stage, 0.0) + time.perf_counter() - began
            return result

        return call

    def __enter__(self) -> "Stopwatch":
        self._program, self._lean._program = self._lean._program, NoProgram()
        for module in self._modules:
            module.run_kernel = self._named_run
        attention.attend_chunk = self.timed("attention", self._chunk)
        decoder_module.draw_greedy = self.timed("draw", self._draw)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._lean._program = self._program
        for module in self._modules:
            module.run_kernel = self._run
        attention.attend_chunk = self._chunk
        decoder_module.draw_greedy = self._draw


@dataclass
class Best:
    """The fastest round of a step, and how long all took."""

    seconds: float = float("inf")
    stages: Stages | None = None
    rounds: list[float] = field(default_factory=list)

    def take(self, seconds: float, stages: Stages | None = None) -> None:
        self.rounds.append(seconds)
        if seconds < self.seconds:
            self.seconds, self.stages = seconds, stages


def run_timed(decoder: Decoder, columns: StepColumns) -> float:
    """Seconds of the whole step."""
    began = time.perf_counter()
    decoder.run(columns)
    return time.perf_counter() - began


def floor_s(card: ModelCard, step: str, context: int, options: argparse.Namespace) -> float:
    """What the machine's memory or arithmetic allows at best."""
    width = 2 if card.dtype == "bfloat16" else 4
    starts, new = lengths_of(step, context)
    per_token = sum(layer.num_kv_heads * (layer.key_dim + layer.value_dim) for layer in card.kv_layers) * width
    read = card.num_parameters * width + sum(starts) * per_token
    return float(max(read / options.bandwidth, 2 * card.num_parameters * sum(new) / options.rate) / 1e9)


def show(step: str, whole: Best, best: Best, floor: float, others: Best) -> None:
    said = "  ".join(f"{name} {seconds * 1e3:.2f}" for name, seconds in (best.stages or {}).items())
    rest = best.seconds - sum((best.stages or {}).values())
    usual = statistics.median(whole.rounds[1:])
    line = f"{step:>5}: {whole.seconds * 1e3:7.1f} ms, median {usual * 1e3:.1f}, floor {floor * 1e3:5.1f}"
    line += f" | by stages {best.seconds * 1e3:.1f}: {said}  rest {rest * 1e3:.2f}"
    if others.rounds:
        line += f" | other {others.seconds * 1e3:.1f}, median {statistics.median(others.rounds[1:]) * 1e3:.1f}"
    print(line, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a decoder's folder; default: a random one of the Qwen3-0.6B shape")
    parser.add_argument("--steps", default="1,8,32,p128,p512,8+128")
    parser.add_argument("--context", type=int, default=160)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--bandwidth", type=float, default=33.0, help="GB/s")
    parser.add_argument("--rate", type=float, default=415.0, help="GFLOP/s")
    parser.add_argument("--compare", choices=("modules", "packed"), help="another decoder, in turn")
    return parser.parse_args()


def main() -> None:
    options = parse()
    card, weights = load(options.model or made_model())
    print(f"{card.name}: {card.layers} layers ({card.layers_reason}); {card.linear} weights")
    use_threads(options.threads)
    kv = memoryview(bytearray(kv_regions(card)[1]))
    lean = open_decoder(card, weights, kv)
    other = open_decoder(*load(options.model or made_model(), options.compare), kv) if options.compare else None
    watch = Stopwatch(lean)
    for step in options.steps.split(","):
        columns = make_columns(card, step, options.context)
        whole, best, others = Best(), Best(), Best()
        for _ in range(options.rounds + 1):  # the first round faults memory in
            whole.take(run_timed(lean, columns))
            with watch:
                watch.stages = {}
                best.take(run_timed(lean, columns), dict(watch.stages))
            if other is not None:
                others.take(run_timed(other, columns))
        show(step, whole, best, floor_s(card, step, options.context, options), others)


if __name__ == "__main__":
    main()
