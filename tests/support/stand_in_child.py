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

A mode "MODE@FILE" holds as long as FILE exists.
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
    Drain,
    Drained,
    DrainWorker,
    Fatal,
    Inspected,
    Linked,
    LinkWorker,
    Loaded,
    ModelsReady,
    Progress,
    Ready,
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

SERVE_S = 600.0  # no test takes longer
WEIGHTS = b"weights of a model that is none"


class StandIn:
    def __init__(self, role: str, link: "ControlLink[ToChild]") -> None:
        self.role = self.name = role
        self.link = link
        self.epoch = 0
        self.cards: list[ModelCard] = []
        self.runtime_dir: Path | None = None  # removed by frontends and scheduler when the supervisor is gone

    def run(self) -> int:
        deadline = time.monotonic() + SERVE_S
        while time.monotonic() < deadline:
            received = self.link.receive(deadline - time.monotonic())
            if received is None:
                return 4
            self.learn(received.record)
            self.note(received.record)
            code = self.react(received.record, received.fds)
            if code is not None:
                return code
        return 5

    def react(self, record: ToChild, fds: list[int]) -> int | None:
        """What the real process would answer; an exit code ends this one."""
        match record:
            case StartFrontend() | StartScheduler() | StartWorker() | StartLoader():
                return self.begin()
            case WeightSegments():
                return self.load(fds)
            case ModelsReady():
                if self.role != "scheduler":
                    self.answer(Ready())
            case LinkWorker(epoch):
                self.link_to(epoch)
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
        if self.role == "loader":
            self.answer(Inspected(self.cards))
        elif self.role != "worker":
            self.answer(Ready())
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
    link = ControlLink.of_child(int(sys.argv[3]))
    child = StandIn(sys.argv[1], link)
    try:
        return child.run()
    except LinkClosed:
        if child.runtime_dir is not None:
            shutil.rmtree(child.runtime_dir, ignore_errors=True)
        return 6


if __name__ == "__main__":
    sys.exit(main())
