"""A scheduler for tests of frontends: a thread that says Welcome, records what arrives, and answers as its test tells
it."""

import os
import queue
import select
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from msgspec import Struct, structs

from ipc.codec import Decoder, encode
from ipc.messages import (
    FinishReason,
    Hello,
    PromptLogprobs,
    ScoreBatch,
    SubmitGenerate,
    SubmitScore,
    TokenBatch,
    ToScheduler,
    Welcome,
)
from ipc.zmq_link import RouterLink

DEADLINE_S = 30.0
R = TypeVar("R", bound=Struct)
Answer = Callable[[Struct], Iterable[Struct]]


def token_rows(*rows: tuple[int, int, int, FinishReason], num_cached: int = 0) -> TokenBatch:
    """A batch of (stream id, position, token, finish)."""
    stream_ids, positions, token_ids, finish = zip(*rows, strict=True)
    return TokenBatch(
        np.array(stream_ids, "<u8").tobytes(),
        np.array(positions, "<i4").tobytes(),
        np.array(token_ids, "<i4").tobytes(),
        bytes(finish),
        np.full(len(rows), num_cached, "<i4").tobytes(),
    )


def with_logprobs(batch: TokenBatch, num_top: int, *rows: tuple[float, int, list[tuple[int, float]]]) -> TokenBatch:
    """The batch with (logprob, rank, likeliest tokens) of each row; missing likeliest ones are token 0."""
    return structs.replace(batch, num_top=num_top, **_logprob_columns(num_top, rows))


def prompt_rows(
    stream_id: int, position: int, *logprobs: float, top: Sequence[tuple[int, float]] = ()
) -> PromptLogprobs:
    """Log-probabilities of a prompt's tokens from `position` on, each of rank 1 and with the same likeliest ones."""
    rows = [(logprob, 1, list(top)) for logprob in logprobs]
    return PromptLogprobs(stream_id, position, len(top), **_logprob_columns(len(top), rows))


def _logprob_columns(num_top: int, rows: Sequence[tuple[float, int, list[tuple[int, float]]]]) -> dict[str, bytes]:
    tops = [(*top, *[(0, -99.0)] * (num_top - len(top))) for _, _, top in rows]
    return {
        "logprobs": np.array([logprob for logprob, _, _ in rows], "<f4").tobytes(),
        "ranks": np.array([rank for _, rank, _ in rows], "<i4").tobytes(),
        "top_ids": np.array([token_id for top in tops for token_id, _ in top], "<i4").tobytes(),
        "top_logprobs": np.array([logprob for top in tops for _, logprob in top], "<f4").tobytes(),
    }


def score_rows(*rows: tuple[int, int, float]) -> ScoreBatch:
    """A batch of (stream id, pair index, logit)."""
    stream_ids, pair_indexes, logits = zip(*rows, strict=True)
    return ScoreBatch(
        np.array(stream_ids, "<u8").tobytes(),
        np.array(pair_indexes, "<i4").tobytes(),
        np.array(logits, "<f4").tobytes(),
    )


def tokens_of(text: str) -> list[int]:
    """As the fake model's tokenizer has it."""
    return list(text.encode())


def answers_tokens(token_ids: list[int]) -> Answer:
    """Every generate stream is answered with these tokens, the last of which stops it."""

    def answer(record: Struct) -> Iterable[Struct]:
        if isinstance(record, SubmitGenerate):
            for position, token_id in enumerate(token_ids):
                ends = FinishReason.STOP if position == len(token_ids) - 1 else FinishReason.NONE
                yield token_rows((record.stream_id, position, token_id, ends))

    return answer


def answers_text(text: str, finish: FinishReason = FinishReason.LENGTH) -> Answer:
    """Every generate stream is answered with `text`, a batch a byte; STOP adds the end-of-sequence token."""

    def answer(record: Struct) -> Iterable[Struct]:
        if isinstance(record, SubmitGenerate):
            token_ids = tokens_of(text) + ([256] if finish is FinishReason.STOP else [])
            for position, token_id in enumerate(token_ids):
                ends = finish if position == len(token_ids) - 1 else FinishReason.NONE
                yield token_rows((record.stream_id, position, token_id, ends))

    return answer


def answers_scores(logits: Callable[[int], float]) -> Answer:
    """Every score stream is answered with `logits(pair index)`, last pair first, one batch a pair."""

    def answer(record: Struct) -> Iterable[Struct]:
        if isinstance(record, SubmitScore):
            for index in reversed(range(len(record.lengths) // 4)):
                yield score_rows((record.stream_id, index, logits(index)))

    return answer


class ScriptedScheduler:
    """`received` holds what the frontend sent, Hellos apart. `answer` is called on the thread with each submit."""

    def __init__(self, folder: Path, epoch: int = 1, welcomes: bool = True, answer: Answer | None = None) -> None:
        self.address = f"ipc://{folder}/scheduler.sock"
        self.received: queue.Queue[Struct] = queue.Queue()
        self.answer: Answer = answer or (lambda record: ())
        self.num_hellos = 0
        self.epoch = epoch
        self._welcomes = welcomes
        self._identity = b""
        self._outbox: queue.Queue[Struct] = queue.Queue()
        self._router = RouterLink(self.address)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="scripted scheduler")
        self._thread.start()

    def send(self, record: Struct) -> None:
        """From any thread."""
        self._outbox.put(record)
        os.eventfd_write(self._wake, 1)

    def next(self, kind: type[R]) -> R:
        """The next record of this kind; others before it are skipped. Fails after DEADLINE_S."""
        while True:
            record = self.received.get(timeout=DEADLINE_S)
            if isinstance(record, kind):
                return record

    def forget(self) -> None:
        """What a test before this one left: its records and its answers."""
        self.answer = lambda record: ()
        with suppress(queue.Empty):
            while True:
                self.received.get_nowait()

    def close(self) -> None:
        """Twice is fine."""
        if not self._is_open:
            return
        self._is_open = False
        os.eventfd_write(self._wake, 1)
        self._thread.join(DEADLINE_S)
        os.close(self._wake)
        self._router.close()

    def _run(self) -> None:
        decoder: Decoder[ToScheduler] = Decoder(ToScheduler)
        while self._is_open:
            if not self._router.has_input() and self._outbox.empty():
                select.select([self._router.fileno(), self._wake], [], [], 0.05)
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            for identity, frame in self._router.receive_all(100):
                self._identity = identity
                self._on_record(decoder.decode(frame))
            while not self._outbox.empty():
                self._router.send(self._identity, encode(self._outbox.get()))

    def _on_record(self, record: ToScheduler) -> None:
        if isinstance(record, Hello):
            self.num_hellos += 1
            if self._welcomes:
                self._router.send(self._identity, encode(Welcome(self.epoch)))
            return
        self.received.put(record)
        for reply in self.answer(record):
            self._router.send(self._identity, encode(reply))
