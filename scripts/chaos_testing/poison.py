"""One request among others whose prompt kills every worker that computes it."""

import asyncio
import time
from collections.abc import Mapping

from msgspec import Struct

from ipc.fault_points import POISON_TOKEN
from scripts.chaos_testing.http_client import Attempt, ask_as
from scripts.chaos_testing.load import Load
from scripts.chaos_testing.metrics import read_metrics
from scripts.chaos_testing.questions import poison_question
from scripts.chaos_testing.server import ServerUnderTest

DEATHS = "zerolane_worker_deaths_total"
MOST_DEATHS = 4
EXPECTED = (500, "worker_crash_loop")
PROMPT_TOKENS = 24
SOUND_TOKEN = 100  # any token but the poisonous one


class Poisoning(Struct, frozen=True):
    """What one poisonous request did."""

    status: int
    error_code: str
    num_deaths: int
    seconds: float  # until it was answered

    @property
    def is_as_expected(self) -> bool:
        return (self.status, self.error_code) == EXPECTED and self.num_deaths <= MOST_DEATHS


def poison_environment(token: int) -> Mapping[str, str]:
    """What makes a server's workers die of `token`."""
    return {POISON_TOKEN: str(token)}


async def poison_once(server: ServerUnderTest, load: Load, model: str, token: int) -> Poisoning:
    """Send it while the load runs, and wait for its answer and until the server is whole again."""
    before = await asyncio.to_thread(read_metrics, server.url)
    attempt = Attempt(poison_question(model, [SOUND_TOKEN] * (PROMPT_TOKENS - 1) + [token]))
    load.attempts.append(attempt)
    await ask_as(server.port, attempt)
    seconds = time.perf_counter() - attempt.began
    await server.wait_whole()
    after = await asyncio.to_thread(read_metrics, server.url)
    num_deaths = round(after.total(DEATHS) - before.total(DEATHS))
    return Poisoning(attempt.status, attempt.error_code, num_deaths, seconds)
