"""The stages of one decode step around the model: the scheduler's and the worker's, in one process, each timed."""

import time

from ipc.arena import ArenaReader
from ipc.step_layout import read_columns
from scheduler.planning import fill_workers
from scheduler.steering import steer
from tests.support.engine_in_process import GENERATE, Engine
from workers.rows import check_generate_rows

CONTEXT = 128  # tokens of each stream


class EngineStages:
    """`num_streams` streams that all decode. Close it."""

    def __init__(self, num_streams: int, num_steps: int) -> None:
        length = CONTEXT + num_steps + 64
        self._engine = Engine(
            num_pages=num_streams * (length // 16 + 2),
            max_model_len=length,
            max_num_seqs=num_streams,
            max_num_batched_tokens=max(8192, num_streams),
            max_waiting_tokens=1 << 30,
        )
        self._reader = ArenaReader(self._engine.arena_segment)
        for stream in range(num_streams):
            self._engine.submit(
                stream, [stream % 256, stream // 256, *[1] * (CONTEXT - 2)], num_steps + 32, ignore_eos=True
            )
        for _ in range(8):
            self._engine.turn()
            self._engine.workers[0].work()

    def step(self) -> dict[str, float]:
        """Seconds of each stage of one step."""
        engine, clock = self._engine, time.perf_counter
        worker = engine.workers[0]
        times = [clock()]
        ticket = worker.link.poll()
        if ticket is None:
            raise RuntimeError("no step is in flight")
        columns = read_columns(self._reader.view(ticket.handle))
        check_generate_rows(columns, engine.cards[GENERATE])
        times.append(clock())
        worker.models[GENERATE].run(columns)
        times.append(clock())
        worker.link.done(ticket)
        times.append(clock())
        engine.loop.commit_reports(worker.peer)
        times.append(clock())
        steer(engine.state)
        fill_workers(engine.state)
        times.append(clock())
        engine.router.sent.clear()
        names = (
            "ring, check the plan",
            "compute (fake), sample",
            "result ring",
            "commit, forward",
            "plan, write, publish",
        )
        return {name: end - begin for name, begin, end in zip(names, times, times[1:], strict=False)}

    def close(self) -> None:
        self._engine.close()
