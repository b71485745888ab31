"""Starts a loader, or a fork server and a worker, and speaks to them as supervisor and scheduler would."""

import contextlib
import ctypes
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from ipc.arena import Arena, Handle
from ipc.config import ForkServerConfig, LoaderConfig, WorkerConfig
from ipc.control_link import ControlLink
from ipc.control_messages import (
    Fatal,
    Forked,
    ForkWorker,
    Inspected,
    Linked,
    LinkWorker,
    Loaded,
    ModelsReady,
    PoolReady,
    Ready,
    StartForkServer,
    StartLoader,
    StartWorker,
    ToSupervisor,
    WeightSegments,
)
from ipc.doorbell import Doorbell
from ipc.kv_layout import kv_regions
from ipc.metrics_page import MetricsPage
from ipc.model_card import ModelCard
from ipc.segments import Segment
from ipc.step_layout import (
    FROM_LAST_TOKEN,
    RowFlag,
    StepColumns,
    StepHeader,
    StepKind,
    StepShape,
    step_bytes,
    write_header,
)
from ipc.worker_link import LINK_BYTES, SchedulerLink, StepTicket, WorkerReport
from zerolane.children import Child, adopt_orphans

ROOT = Path(__file__).parents[2]
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
DEADLINE_S = 90.0  # importing torch and transformers on a busy machine takes its time


class Spoken:
    """A process we hear on its control link."""

    control: ControlLink[ToSupervisor]

    def expect(self, *kinds: type[Struct]) -> Any:
        """The next record of one of these kinds; others are passed over, Fatal fails the test unless it is expected."""
        deadline = time.monotonic() + DEADLINE_S
        while (left_s := deadline - time.monotonic()) > 0:
            received = self.control.receive(left_s)
            if received is not None and isinstance(received.record, kinds):
                return received.record
            assert received is None or not isinstance(received.record, Fatal), received
        raise AssertionError(f"no {kinds} within {DEADLINE_S} s")


class RoleProcess(Spoken):
    """One child with its control link; killed with the test."""

    def __init__(self, role: str, stack: contextlib.ExitStack) -> None:
        self.control, fd = ControlLink.pair()
        with open(fd, "rb", buffering=0) as theirs:
            command = [sys.executable, "-m", "zerolane", role, "--control-fd", str(theirs.fileno())]
            self.process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
        stack.callback(self._end)

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE_S)

    def _end(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.control.close()
        if self.process.stderr is not None:
            self.process.stderr.close()


def load(config: LoaderConfig, stack: contextlib.ExitStack) -> tuple[list[ModelCard], list[Segment]] | Fatal:
    """What the loader makes of `config`: cards and sealed weights, or why it cannot."""
    loader = RoleProcess("loader", stack)
    loader.control.send(StartLoader(config))
    answer: ToSupervisor = loader.expect(Inspected, Fatal)
    segments: list[Segment] = []
    if isinstance(answer, Inspected):
        segments = [Segment.create("weights", card.weights_bytes, writable_until_sealed=True) for card in answer.cards]
        for segment in segments:
            stack.callback(segment.close)
        loader.control.send(WeightSegments(), [segment.fd for segment in segments])
        answer = loader.expect(Loaded, Fatal)
    assert loader.exit_code() == (1 if isinstance(answer, Fatal) else 0)
    if isinstance(answer, Fatal):
        return answer
    assert isinstance(answer, Loaded)
    for segment in segments:
        segment.seal_writes()
    return answer.cards, segments


class ForkServer(RoleProcess):
    """A fork server with open models. The test must be who adopts orphans: so do the workers become its children."""

    def __init__(
        self,
        cards: Sequence[ModelCard],
        weights: Sequence[Segment],
        stack: contextlib.ExitStack,
        max_num_seqs: int = 8,
    ) -> None:
        super().__init__("forkserver", stack)
        adopt_orphans()
        stack.callback(_adopt_no_more)
        self._stack = stack
        has_real_models = any(not card.is_fake for card in cards)
        config = ForkServerConfig(has_real_models=has_real_models, max_num_seqs=max_num_seqs)
        self.control.send(StartForkServer(config))
        self.control.send(ModelsReady(list(cards)), [segment.fd for segment in weights])
        self.expect(Ready)

    def fork(self, worker_id: int = 0, epoch: int = 1) -> "ForkedWorker":
        """A new worker, which has been told nothing yet."""
        link, worker_end = ControlLink.pair()
        self.control.send(ForkWorker(worker_id, epoch), [worker_end])
        os.close(worker_end)
        answer = self.expect(Forked)
        assert (answer.worker_id, answer.epoch, answer.error) == (worker_id, epoch, "")
        return ForkedWorker(Child(answer.pid, link), self._stack)


def _adopt_no_more() -> None:
    """What other tests' servers leave is not ours to wait for."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


class ForkedWorker(Spoken):
    """A worker process, our child; killed with the test."""

    def __init__(self, child: Child, stack: contextlib.ExitStack) -> None:
        self.child = child
        self.control = child.link
        self.pid = child.pid
        self._has_ended = False
        stack.callback(self._end)

    def exit_code(self) -> int:
        """Waits until it has ended; minus a signal's number."""
        poller = select.poll()
        poller.register(self.child.pidfd, select.POLLIN)
        assert poller.poll(DEADLINE_S * 1000), "the worker does not end"
        self._has_ended = True
        return self.child.reap()

    def _end(self) -> None:
        if not self._has_ended:
            self.child.kill()
            self.exit_code()


class LinkedWorker:
    """A worker with models, pools and a link, and the scheduler's end of that link."""

    def __init__(
        self,
        cards: Sequence[ModelCard],
        weights: Sequence[Segment],
        stack: contextlib.ExitStack,
        num_pools: int = 1,
    ) -> None:
        self.cards = [replace(card, num_pages=100) if card.kv_layers else card for card in cards]
        self._arena_segment = Segment.create("arena", 4 << 20)
        self.arena = Arena(self._arena_segment, 1)
        metrics = MetricsPage.create([card.name for card in cards], 1)
        for shared in (self._arena_segment, metrics):
            stack.callback(shared.close)
        self._stack = stack
        self._num_steps = 0
        self.fork_server = ForkServer(self.cards, weights, stack)
        self.role = self.fork_server.fork()
        config = WorkerConfig(worker_id=0, epoch=1, metrics_slot=0, threads=1)
        self.role.control.send(StartWorker(config), [self._arena_segment.fd, metrics.segment.fd])
        for pool in range(num_pools):
            self.add_pool(pool, more=pool + 1 < num_pools)
        self.role.expect(Ready)
        self.relink(1)

    def add_pool(self, pool: int, more: bool = False) -> list[Segment]:
        """Make a pool and tell the worker; its KV segments, in card order."""
        kv = [Segment.create("kv", kv_regions(card)[1]) for card in self.cards if card.kv_layers]
        for segment in kv:
            self._stack.callback(segment.close)
        self.role.control.send(PoolReady(pool, more), [segment.fd for segment in kv])
        return kv

    def relink(self, epoch: int) -> None:
        """A fresh link of this epoch, as after a scheduler's death."""
        segment, bell, own = Segment.create("link", LINK_BYTES), Doorbell.create(), Doorbell.create()
        self._stack.callback(own.close)
        self.epoch = epoch
        self.role.control.send(LinkWorker(epoch), [segment.fd, bell.fileno(), own.fileno()])
        self.link = SchedulerLink(segment, epoch, bell)
        self._stack.callback(self.link.close)
        assert self.role.expect(Linked).epoch == epoch

    def plan(
        self,
        model: int,
        start: int,
        tokens: Sequence[int],
        pages: Sequence[int],
        pool: int = 0,
        rules: Handle | None = None,
        history: Sequence[int] = (),
    ) -> StepColumns:
        """Submit one row that is sampled; the columns hold the result after `report`.

        A row with `rules`, where they lie in the arena, has the `start` tokens of `history` before it.
        """
        shape = StepShape(StepKind.GENERATE, 1, len(tokens), len(pages), num_history=len(history))
        columns = self.submit(StepHeader(0, model, self.epoch, shape, pool))
        columns.num_new[:] = len(tokens)
        columns.start[:] = start
        columns.slot[:] = 3
        columns.flags[:] = RowFlag.SAMPLE
        for name in ("temperature", "min_p", "top_k", "seed", "rules_id"):
            getattr(columns, name)[:] = 0
        columns.num_logprobs[:] = -1
        columns.top_p[:] = 1
        if rules is not None:
            columns.rules_id[:], columns.serial[:], columns.num_prompt[:] = 1, 1, 0
            columns.rules_handle[:] = np.frombuffer(rules.pack(), np.uint64)
            columns.history[:] = history
        columns.token_ids[:] = tokens
        columns.block_tables[:] = pages
        self.publish()
        return columns

    def submit(self, header: StepHeader) -> StepColumns:
        """Lease a block and lay the plan out; `publish` sends it."""
        handle = self.arena.lease(step_bytes(header.shape), holder=0)
        assert handle is not None
        self._num_steps += 1
        self._ticket = StepTicket(self._num_steps, handle)
        return write_header(self.arena.view(handle), header)

    def publish(self) -> None:
        assert self.link.submit(self._ticket)

    def report(self) -> WorkerReport:
        """The worker's next report."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            report = self.link.poll()
            if report is not None:
                return report
            self.role.control.receive(0.002)  # nothing is expected there: this only waits, and fails when it died
        raise AssertionError("no report")

    def copy_pages(self, model: int, copies: Sequence[tuple[int, int]], from_pool: int, to_pool: int) -> WorkerReport:
        """Copy pages (source, target) between pools; the worker's report."""
        shape = StepShape(StepKind.COPY, len(copies), 0)
        columns = self.submit(StepHeader(0, model, self.epoch, shape, to_pool, from_pool))
        columns.source_page[:] = [source for source, _ in copies]
        columns.target_page[:] = [target for _, target in copies]
        self.publish()
        return self.report()

    def generate(self, model: int, prompt: Sequence[int], num_tokens: int, pages: Sequence[int]) -> list[int]:
        """A greedy stream on its own, always two steps in flight."""
        in_flight = [self.plan(model, 0, prompt, pages)]
        output: list[int] = []
        while len(output) < num_tokens:
            position = len(prompt) + len(output) + len(in_flight) - 1
            in_flight.append(self.plan(model, position, [FROM_LAST_TOKEN], pages))
            self.report()
            output.append(int(in_flight.pop(0).sampled[0]))
        self.report()
        return output

    def score(self, model: int, pairs: Sequence[Sequence[int]]) -> list[float]:
        """Scores of packed pairs, one label."""
        shape = StepShape(StepKind.SCORE, len(pairs), sum(map(len, pairs)), num_labels=1)
        columns = self.submit(StepHeader(0, model, self.epoch, shape))
        columns.num_new[:] = [len(pair) for pair in pairs]
        columns.start[:] = 0
        columns.token_ids[:] = np.concatenate(pairs)
        columns.token_type_ids[:] = 0
        self.publish()
        self.report()
        scores: list[float] = columns.scores[:, 0].tolist()
        return scores
