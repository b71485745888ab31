"""The order of things: all peers of a shape are started and put to sleep, then every cell runs peer by peer, in rounds
that go forth and back, so that a slow minute of the machine meets neighbours and not one side."""

import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks.peers.commands import PEERS, Setting
from benchmarks.peers.figures import Run, check_answer, figures_of
from benchmarks.peers.home import Home
from benchmarks.peers.janitor import Janitor
from benchmarks.peers.loads import Cell, make_order, warm_up_order
from benchmarks.peers.orders import Answer, Order
from benchmarks.peers.processes import end
from benchmarks.peers.started import StartedLibrary, StartedPeer, StartedServer, free_port
from benchmarks.peers.words import one_token_words

KV_BYTES_PER_TOKEN = {"qwen3": 114_688, "gqa": 12_288, "window": 24_576, "llama100m": 36_864, "rerank": 0}
LEAST_KV_GIB = 2
Say = Callable[[str], None]
Keep = Callable[[], None]
_FAILURES = (RuntimeError, ValueError, TimeoutError, OSError, subprocess.TimeoutExpired, msgspec.DecodeError)


@dataclass
class Record:
    """Everything a run found; grows while it goes on."""

    runs: list[Run] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    commands: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    home: Home
    cells: list[Cell]
    peers: list[str]
    rounds: int
    tries: int  # attempts at a run that others disturbed
    threads: int
    seed: int
    deadline: float  # of the monotonic clock: no run begins after it


class Comparison:
    """Fills `record` and calls `keep` after every run. `janitor` ends the peers where this could not."""

    def __init__(self, plan: Plan, record: Record, janitor: Janitor, folder: Path, say: Say, keep: Keep) -> None:
        self._plan, self._record, self._janitor, self._folder, self._say = plan, record, janitor, folder, say
        self._keep = keep
        self._seed = plan.seed

    def run(self) -> None:
        """When it is cut short, the peers are left to the janitor: what was found is told first."""
        for shape in dict.fromkeys(cell.shape for cell in self._plan.cells):
            cells = [cell for cell in self._plan.cells if cell.shape == shape]
            started: dict[str, StartedPeer] = {}
            self._run_shape(shape, cells, started)
            end([peer.pid for peer in started.values()])

    def _run_shape(self, shape: str, cells: list[Cell], started: dict[str, StartedPeer]) -> None:
        words = one_token_words(self._plan.home.model(shape))
        for name in self._plan.peers:
            if shape in PEERS[name].shapes and not self._is_late():
                self._start(name, cells, words, started)
        for number in range(self._plan.rounds):
            for cell in cells:
                names = list(started) if number % 2 == 0 else list(reversed(started))
                for name in names:
                    if self._is_late():
                        self._say("the time limit is reached: no further run begins")
                        return
                    self._run_cell(cell, number, name, started, words)

    def _start(self, name: str, cells: list[Cell], words: list[str], started: dict[str, StartedPeer]) -> None:
        """Started, warmed up and put to sleep; a peer that cannot is told of and left out."""
        self._say(f"{cells[0].shape}: starting {name}: {PEERS[name].about}")
        began = time.monotonic()
        port = free_port()
        start = PEERS[name].start(self._setting(cells, port, name))
        self._record.commands[f"{cells[0].shape} {name}"] = start.command
        log = self._folder / f"{cells[0].shape}-{name}.log"
        peer: StartedPeer | None = None
        try:
            if start.health:
                peer = StartedServer(start, port, log, self._janitor, self._say)
            else:
                peer = StartedLibrary(start, log, self._janitor)
            started[name] = peer
            self._say(f"  ready after {time.monotonic() - began:.1f} s; warming up")
            for cell in cells:
                self._seed += 1
                answer = peer.run(warm_up_order(cell, words, self._seed))
                if answer.note:
                    self._say(f"  {cell.name}: {answer.note}")
            peer.sleep()
        except _FAILURES as error:
            self._fail(f"{cells[0].shape} {name} did not start: {error}")
            started.pop(name, None)
            if peer is not None:
                end([peer.pid])

    def _run_cell(self, cell: Cell, number: int, name: str, started: dict[str, StartedPeer], words: list[str]) -> None:
        """One peer's run of a round, repeated while others disturb it. A peer that fails is out."""
        for attempt in range(self._plan.tries):
            # The same prompts for every peer of a round; a repeated run gets others, for this peer has seen these.
            seed = random.Random(f"{self._plan.seed} {cell.name} {number} {attempt}").getrandbits(31)
            order = make_order(cell, words, seed)
            try:
                answer = _ask_awake(started[name], order)
            except _FAILURES as error:
                self._fail(f"{cell.name} {name} round {number + 1}: {error}")
                end([started.pop(name).pid])
                return
            run = _run_record(name, cell.name, number, attempt, seed, order, answer)
            self._record.runs.append(run)
            self._keep()
            self._say(
                f"{cell.name} round {number + 1} {name}: {run.figures.rate:.1f}/s, first {run.figures.first_p50:.0f} ms"
                f", foreign {run.foreign_cores:.2f}" + (" DISTURBED" if run.is_disturbed else "")
            )
            if not run.is_disturbed or self._is_late():
                return

    def _setting(self, cells: Sequence[Cell], port: int, name: str) -> Setting:
        streams = max(cell.streams for cell in cells)
        most_tokens = max(cell.most_tokens for cell in cells)
        kv_bytes = streams * (most_tokens + 64) * KV_BYTES_PER_TOKEN[cells[0].shape]
        return Setting(
            home=self._plan.home,
            shape=cells[0].shape,
            is_scoring=cells[0].is_scoring,
            streams=streams,
            request_tokens=most_tokens,
            kv_gib=max(LEAST_KV_GIB, -(-kv_bytes // (1 << 30))),
            threads=self._plan.threads,
            port=port,
            run_dir=self._folder / f"{cells[0].shape}-{name}-run",
        )

    def _is_late(self) -> bool:
        return time.monotonic() > self._plan.deadline

    def _fail(self, text: str) -> None:
        self._record.failures.append(text)
        self._say(f"FAILED: {text}")


def _ask_awake(peer: StartedPeer, order: Order) -> Answer:
    """The peer computes only while this runs. Raises ValueError for an answer that is not what was ordered."""
    peer.wake()
    answer = peer.run(order)
    peer.sleep()
    check_answer(order, answer)
    return answer


def _run_record(peer: str, cell: str, number: int, attempt: int, seed: int, order: Order, answer: Answer) -> Run:
    pairs = zip(order.requests, answer.requests, strict=True)
    _, longest = max(pairs, key=lambda pair: pair[0].num_tokens)
    return Run(
        peer=peer,
        cell=cell,
        round=number,
        attempt=attempt,
        figures=figures_of(order, answer),
        foreign_cores=round(answer.usage.foreign_cores, 3),
        stolen_cores=round(answer.usage.stolen_cores, 3),
        peer_cores=round(answer.usage.peer_cores, 3),
        seed=seed,
        note=answer.note,
        sample=longest.sample,
        scores=longest.scores,
    )
