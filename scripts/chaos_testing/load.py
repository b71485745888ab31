"""The clients: each asks one question after the other, round after round, until it is told to stop."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence

from scripts.chaos_testing.http_client import Attempt, ask_as
from scripts.chaos_testing.questions import Question

RETRY_S = 0.05
MAX_RETRIES = 40  # of one question whose connection ended with its frontend


class Load:
    """Lives on the event loop."""

    def __init__(self, port: int, questions: Sequence[Question], num_clients: int, seed: int) -> None:
        self._port = port
        self._questions = questions
        self._num_clients = num_clients
        self._source = random.Random(f"{seed}/order")
        self._is_stopping = False
        self._excused_ports: dict[int, float] = {}  # client's port -> when its frontend was killed
        self.attempts: list[Attempt] = []

    @property
    def open_attempts(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.ended is None]

    async def run_rounds(self, num_rounds: int) -> list[Attempt]:
        """All questions so many times; their attempts."""
        begin = len(self.attempts)
        await self._run(iter([question for _ in range(num_rounds) for question in self._round()]))
        return self.attempts[begin:]

    async def run_until_stopped(self) -> None:
        """Rounds without end; returns when `stop` was called, also before, and what was open has ended."""
        await self._run(self._endless())

    def stop(self) -> None:
        """Ask nothing more, for good."""
        self._is_stopping = True

    def excuse(self, ports: set[int]) -> None:
        """The process that holds these clients' connections is killed next: they may fail, and are tried again."""
        self._excused_ports |= dict.fromkeys(ports, time.perf_counter())

    async def _run(self, questions: Iterator[Question]) -> None:
        await asyncio.gather(*(self._client(questions) for _ in range(self._num_clients)))

    async def _client(self, questions: Iterator[Question]) -> None:
        for question in questions:
            for _ in range(MAX_RETRIES):
                attempt = await self._attempt(question)
                if attempt.failure:
                    await asyncio.sleep(RETRY_S)  # a server that refuses everything is not asked in a busy loop
                if not attempt.is_excused:
                    break

    async def _attempt(self, question: Question) -> Attempt:
        attempt = Attempt(question)
        self.attempts.append(attempt)
        await ask_as(self._port, attempt)
        killed_at = self._excused_ports.get(attempt.local_port)
        is_lost = bool(attempt.failure) and attempt.answer is None and attempt.status in (0, 200)
        attempt.is_excused = is_lost and killed_at is not None and attempt.began < killed_at
        return attempt

    def _round(self) -> list[Question]:
        return self._source.sample(self._questions, len(self._questions))

    def _endless(self) -> Iterator[Question]:
        while True:
            for question in self._round():
                if self._is_stopping:
                    return
                yield question
