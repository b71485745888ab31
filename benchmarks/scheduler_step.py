"""What one decode step costs the scheduler: committing the step before, planning, writing the columns, sending the
tokens.

    python benchmarks/scheduler_step.py [--sequences 16,256,1024] [--steps 400] [--sleep-ms 5] [--json FILE]

Everything but the model is real: ledger, prefix cache, arena, ring, msgpack. A stand-in worker marks each step done
with fixed tokens; its time is not counted. The budget is 1 ms at 256 running sequences. With --sleep-ms the process
sleeps before each turn, as it does in a server while a model computes: its caches are cold then.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import numpy as np

from ipc.arena import ArenaReader
from ipc.step_layout import read_columns
from tests.support.engine_in_process import Engine


def measure(num_sequences: int, num_steps: int, context: int, sleep_s: float = 0.0) -> dict[str, float]:
    """Seconds of `num_steps` pure decode steps, as microseconds a step."""
    engine = Engine(
        num_pages=num_sequences * (context + num_steps + 64) // 16 + 64,
        max_model_len=context + num_steps + 64,
        max_num_seqs=num_sequences,
        max_num_batched_tokens=max(8192, num_sequences),
        max_waiting_tokens=1 << 30,
    )
    reader = ArenaReader(engine.arena_segment)
    try:
        for stream_id in range(num_sequences):
            prompt = [(stream_id >> shift) % 256 for shift in (0, 8)] + [1] * (context - 2)
            engine.submit(stream_id, prompt, num_steps + 32, ignore_eos=True)
        while engine.ledger.waiting.num_waiting or (engine.ledger.to_plan > 1).any() or engine.router.incoming:
            _round(engine, reader)
        for _ in range(8):
            _round(engine, reader)
        times = np.array([_round(engine, reader, sleep_s) for _ in range(num_steps)])
    finally:
        engine.close()
    return {
        "sequences": num_sequences,
        "context": context,
        "p50_us": float(np.percentile(times, 50) * 1e6),
        "p99_us": float(np.percentile(times, 99) * 1e6),
        "mean_us": float(times.mean() * 1e6),
    }


def _round(engine: Engine, reader: ArenaReader, sleep_s: float = 0.0) -> float:
    """The worker does one step (not timed), then the scheduler has its turn (timed)."""
    link = engine.workers[0].link
    ticket = link.poll()
    if ticket is not None:
        columns = read_columns(reader.view(ticket.handle))
        columns.sampled[:] = np.where(columns.flags, 97, -1)
        link.done(ticket)
    time.sleep(sleep_s)
    begin = time.perf_counter()
    engine.loop.turn()
    elapsed = time.perf_counter() - begin
    engine.router.sent.clear()
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", default="16,256,1024", help="running sequences, separated by commas")
    parser.add_argument("--steps", type=int, default=400, help="steps timed for each")
    parser.add_argument("--context", type=int, default=512, help="tokens each sequence has at the start")
    parser.add_argument("--sleep-ms", type=float, default=0.0, help="sleep before each turn")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    sleep_s = options.sleep_ms / 1000
    rows = [measure(int(count), options.steps, options.context, sleep_s) for count in options.sequences.split(",")]
    print(f"{'sequences':>10} {'p50 us':>10} {'p99 us':>10} {'mean us':>10}")
    for row in rows:
        print(f"{row['sequences']:>10.0f} {row['p50_us']:>10.0f} {row['p99_us']:>10.0f} {row['mean_us']:>10.0f}")
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))


if __name__ == "__main__":
    main()
