"""Pairs and texts a second: our server over HTTP against sentence-transformers in process, in alternation.

    python benchmarks/scoring.py                                    # a reranker in bfloat16, both sides
    python benchmarks/scoring.py --dtype auto --library-dtype float32
    python benchmarks/scoring.py --kind embed --dtype float32 --lengths mixed

A model of XLM-RoBERTa-base's shape with random weights is made once. One query and 64 documents: all of about 100
tokens, and of 10 to 400. The library runs each of the batch sizes once; the fastest is what runs in turn with ours.
Scores are compared with the library's in float32.
"""

import argparse
import contextlib
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.encoder_shapes import BASE, make_encoder, random_texts
from benchmarks.model_shapes import default_model_dir
from benchmarks.overhead.process_cpu import machine_seconds
from benchmarks.score_sides.figures import largest_difference, least_cosine, order_violations, spread
from benchmarks.score_sides.in_process import LibraryProcess, Order, Result, Side
from benchmarks.score_sides.server import ScoringServer

QUERY_TOKENS, EQUAL_TOKENS, MIXED_TOKENS = 16, 100, (10, 400)
SAME_ORDER_MARGIN = 5e-3  # scores that float32 has further apart must come in its order


def make_order(path: Path, lengths: str, count: int, seed: int) -> Order:
    """New texts: `lengths` is "equal" or "mixed"."""
    source = random.Random(seed)
    tokens = [EQUAL_TOKENS if lengths == "equal" else source.randint(*MIXED_TOKENS) for _ in range(count)]
    query, *texts = random_texts(path, [QUERY_TOKENS, *tokens], seed)
    return Order(query, texts, batch_size=32)


def compare(options: argparse.Namespace, path: Path, lengths: str, ours: ScoringServer, theirs: LibraryProcess) -> str:
    """Runs of both sides in turn, and one line about them."""
    batch = options.batch_sizes[0]
    if len(options.batch_sizes) > 1:
        order = make_order(path, lengths, options.texts, 0)
        times = {size: theirs.run(with_batch(order, size)).seconds for size in options.batch_sizes}
        batch = min(times, key=lambda size: times[size])
    rates: list[tuple[float, float]] = []
    for seed in range(1, options.repeats + 1):
        order = with_batch(make_order(path, lengths, options.texts, seed), batch)
        rates.append((options.texts / ours.run(order).seconds, options.texts / theirs.run(order).seconds))
        say(f"{lengths}: ours {rates[-1][0]:.2f}, theirs {rates[-1][1]:.2f} a second")
    ratio = spread([first / second for first, second in rates])
    best = max(first for first, _ in rates), max(second for _, second in rates)
    return f"{lengths}: {ratio} times (best {best[0]:.2f} against {best[1]:.2f} a second, batch {batch})"


def compare_numbers(kind: str, ours: Result, exact: Result) -> str:
    """One line about scores or vectors and what float32 gives."""
    largest = largest_difference(ours.rows, exact.rows)
    if kind == "embed":
        return f"largest difference to float32 {largest:.2g}, least cosine {least_cosine(ours.rows, exact.rows):.6f}"
    wrong = order_violations(ours.rows, exact.rows, SAME_ORDER_MARGIN)
    scores = [row[0] for row in exact.rows]
    return (
        f"largest difference to float32 {largest:.2g}, {wrong} in another order; "
        f"float32's scores go from {min(scores):.3f} to {max(scores):.3f}"
    )


def with_batch(order: Order, size: int) -> Order:
    return Order(order.query, order.texts, size)


def say(text: str) -> None:
    """Progress; standard output has the result only."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("rerank", "embed"), default="rerank")
    parser.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="bfloat16")
    parser.add_argument(
        "--library-dtype", dest="their_dtype", choices=("bfloat16", "float32"), help="default: that of --dtype"
    )
    parser.add_argument("--lengths", default="equal,mixed", help="equal, mixed or both")
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--batch-sizes", default="16,32,64,128", help="of the library; the fastest is taken")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--serve", default="", help="further options of the server, in one word")
    parser.add_argument("--model-dir", type=Path, default=default_model_dir(), help="where made models are kept")
    parser.add_argument("--no-numbers", action="store_true", help="leave out the comparison with float32")
    options = parser.parse_args()
    options.batch_sizes = [int(size) for size in options.batch_sizes.split(",")]
    their_dtype = options.their_dtype or ("float32" if options.dtype == "auto" else options.dtype)
    say("making the model, unless it is there")
    path = make_encoder(BASE, options.kind, options.model_dir)
    began, lines = machine_seconds(), []
    with contextlib.ExitStack() as stack:
        ours = ScoringServer(Side(str(path), options.kind, options.dtype, options.threads), options.serve.split())
        stack.callback(ours.close)
        theirs = LibraryProcess(Side(str(path), options.kind, their_dtype, options.threads))
        stack.callback(theirs.close)
        small = make_order(path, "equal", 8, 99)
        ours.run(small), theirs.run(small)
        for lengths in options.lengths.split(","):
            lines.append(compare(options, path, lengths, ours, theirs))
        if not options.no_numbers:
            order = make_order(path, "mixed", 32, 98)
            found = ours.run(order)
            stack.callback((exact := LibraryProcess(Side(str(path), options.kind, "float32", options.threads))).close)
            lines.append(compare_numbers(options.kind, found, exact.run(order)))
    say(f"{machine_seconds() - began:.0f} s of processor time")
    print(f"{options.kind}, ours in {options.dtype}, sentence-transformers in {their_dtype}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
