"""A child process that speaks the control protocol and computes nothing: `stand_in_child.py ROLE --control-fd N`.

Every record it receives is appended to the file named by STAND_IN_LOG, one JSON line each: [name of the process, its
epoch, the record's kind, the record]. STAND_IN_MODES is a JSON object from a role or process name to a mode:

    fatal         says Fatal as soon as it is started, and leaves with 1
    die           leaves with 3 as soon as it is started
    silent        never says Ready
    no_stop       ignores Stop
    no_drain      never says Drained
    no_relink     does not answer LinkWorker
    nonsense      answers LinkWorker with bytes that are no record
    no_pong       does not answer Ping
    kill_worker   a scheduler that wants the first worker it is given killed
    orphan        a scheduler that leaves an orphan behind
    die_at_fork   a fork server that leaves with 3 instead of making a worker
    cannot_fork   a fork server that answers ForkWorker with an error

A mode "MODE@FILE" holds as long as FILE exists. Pings are not noted. Workers are forked by the stand-in for the fork
server, with the real one's code.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import (
    AddWorker,
    Drain,
    Drained,
    DrainPool,
    DrainWorker,
    Fatal,
    Forked,
    ForkWorker,
    Inspected,
    KillWorker,
    Linked,
    LinkWorker,
    Loaded,
    ModelsReady,
    Ping,
    Pong,
    PoolDrained,
    PoolReady,
    Progress,
    Ready,
    StartForkServer,
    StartFrontend,
    StartLoader,
    StartScheduler,
    StartWorker,
    Stop,
    ToChild,
    WeightSegments,
    WorkerDrained,
)
from ipc.model_card import KvLayer, ModelCard
from ipc.segments import Segment
from workers.fork_worker import begin_own_life, fork_orphan

SERVE_S = 600.0  # no test takes longer
WEIGHTS = b"weights of a model that is none"


class StandIn:
    def __init__(self, role: str, link: "ControlLink[ToChild]") -> None:
        self.role = self.name = role
        self.link = link
        self.epoch = 0
        self.supervisor_pid = os.getppid()
        self.is_ready = False
        self.cards: list[ModelCard] = []
        self.runtime_dir: Path | None = None  # removed by frontends and scheduler when the supervisor is gone

    def run(self) -> int:
        deadline = time.monotonic() + SERVE_S
        while time.monotonic() < deadline:
            received = self.link.receive(deadline - time.monotonic())
            if received is None:
                return 4
            self.learn(received.record)
            if not isinstance(received.record, Ping):
                self.note(received.record)
            code = self.react(received.record, received.fds)
            if code is not None:
                return code
        return 5

    def react(self, record: ToChild, fds: list[int]) -> int | None:
        """What the real process would answer; an exit code ends this one."""
        match record:
            case StartFrontend() | StartScheduler() | StartForkServer() | StartWorker() | StartLoader():
                return self.begin()
            case WeightSegments():
                return self.load(fds)
            case ModelsReady():
                if self.role != "scheduler":
                    self.answer(Ready())
            case ForkWorker(worker_id, epoch):
                return self.fork(worker_id, epoch, fds)
            case PoolReady(more=more):
                if not more and not self.is_ready:
                    self.is_ready = True
                    self.answer(Ready())
            case LinkWorker(epoch):
                self.link_to(epoch)
            case AddWorker(worker_id, epoch) if self.mode() == "kill_worker" and epoch == 2:
                self.answer(KillWorker(worker_id, epoch, "was past its deadline"))
            case DrainPool(pool):
                self.answer(PoolDrained(pool))
            case Ping(number) if self.mode() != "no_pong":
                self.answer(Pong(number))
            case DrainWorker(worker_id):
                self.answer(WorkerDrained(worker_id))
            case Drain() if self.mode() != "no_drain":
                self.answer(Drained())
            case Stop() if self.mode() != "no_stop":
                return 0
        return None

    def learn(self, record: ToChild) -> None:
        """Who this is, before the record is noted."""
        match record:
            case StartFrontend(config):
                self.name, self.epoch = f"frontend {config.frontend_id}", config.epoch
                self.runtime_dir = Path(config.runtime_dir)
            case StartScheduler(config):
                self.epoch = config.epoch
                self.runtime_dir = Path(config.address.removeprefix("ipc://")).parent
            case StartWorker(config):
                self.name, self.epoch = f"worker {config.worker_id}", config.epoch
            case StartLoader(config):
                self.cards = [_card(i, spec.name) for i, spec in enumerate(config.models)]
            case LinkWorker(epoch):
                self.epoch = epoch

    def begin(self) -> int | None:
        match self.mode():
            case "fatal":
                self.answer(Fatal(f"{self.name} cannot go on", "Ask somebody."))
                return 1
            case "die":
                return 3
            case "silent":
                return None
            case "orphan":
                if fork_orphan() == 0:
                    os._exit(0)
        if self.role == "loader":
            self.answer(Inspected(self.cards))
        elif self.role in ("frontend", "scheduler"):
            self.answer(Ready())
        return None

    def fork(self, worker_id: int, epoch: int, fds: list[int]) -> int | None:
        """Make a worker, and go on; the worker's own life is lived in here, to its end."""
        match self.mode():
            case "die_at_fork":
                return 3
            case "cannot_fork":
                self.answer(Forked(worker_id, epoch, 0, "no process is left"))
                return None
        pid = fork_orphan()
        if pid == 0:
            self.link.close()
            begin_own_life(self.supervisor_pid)
            os._exit(live("worker", ControlLink.of_child(fds[0])))
        os.close(fds[0])
        self.answer(Forked(worker_id, epoch, pid))
        return None

    def link_to(self, epoch: int) -> None:
        match self.mode():
            case "no_relink":
                pass
            case "nonsense":
                os.write(self.link.fileno(), b"\0\0\0\0nonsense")
            case _:
                self.answer(Linked(epoch))

    def load(self, fds: list[int]) -> int:
        for card, fd in zip(self.cards, fds, strict=True):
            segment = Segment.attach(fd)
            segment.view[: len(WEIGHTS)] = WEIGHTS
            self.answer(Progress(card.name, "loading", card.weights_bytes, card.weights_bytes))
            segment.close()
        self.answer(Loaded(self.cards))
        return 0

    def answer(self, record: Struct) -> None:
        self.link.send(record)

    def note(self, record: ToChild) -> None:
        line = [self.name, self.epoch, type(record).__name__, msgspec.to_builtins(record)]
        with open(os.environ["STAND_IN_LOG"], "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def mode(self) -> str:
        modes = json.loads(os.environ.get("STAND_IN_MODES", "{}"))
        mode, _, switch = modes.get(self.name, modes.get(self.role, "")).partition("@")
        return mode if not switch or Path(switch).exists() else ""


def _card(index: int, name: str) -> ModelCard:
    return ModelCard(
        index=index,
        name=name,
        path="nowhere",
        task="generate",
        architecture="StandIn",
        dtype="float32",
        vocab_size=10,
        max_model_len=64,
        kv_layers=(KvLayer(2, 8, 8),),
        weights_bytes=1 << 20,
    )


def main() -> int:
    return live(sys.argv[1], ControlLink.of_child(int(sys.argv[3])))


def live(role: str, link: "ControlLink[ToChild]") -> int:
    """One process' life; its exit code."""
    child = StandIn(role, link)
    try:
        return child.run()
    except LinkClosed:
        if child.runtime_dir is not None:
            shutil.rmtree(child.runtime_dir, ignore_errors=True)
        return 6


if __name__ == "__main__":
    sys.exit(main())
