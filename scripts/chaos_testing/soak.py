"""One soak from start to end: reference, disturbance under load, rest, and what was found."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ipc.operator_protocol import Restarted
from scripts.chaos_testing.faults import Faults
from scripts.chaos_testing.http_client import Attempt
from scripts.chaos_testing.inventory import Inventory, leaks, take_inventory
from scripts.chaos_testing.load import Load
from scripts.chaos_testing.metrics import Metrics, settled_metrics
from scripts.chaos_testing.models import ServedModels, served_models
from scripts.chaos_testing.options import ChaosOptions
from scripts.chaos_testing.poison import Poisoning, poison_environment, poison_once
from scripts.chaos_testing.questions import make_questions
from scripts.chaos_testing.reference import Reference
from scripts.chaos_testing.restarting import restart_all
from scripts.chaos_testing.scaling import Scaling
from scripts.chaos_testing.server import ServerError, ServerUnderTest
from zerolane.operator_client import NoServer

SETTLE_S = 5.0
SETTLE_POLL_S = 0.2


@dataclass
class Findings:
    """All that was seen. What is missing was not reached."""

    trouble: list[str] = field(default_factory=list)  # the soak could not go on, or the server did not end well
    reference: Reference | None = None
    undisturbed: list[Attempt] = field(default_factory=list)
    disturbed: list[Attempt] = field(default_factory=list)
    poisonings: list[Poisoning] = field(default_factory=list)
    restarts: list[Restarted] = field(default_factory=list)
    before: Inventory | None = None
    after: Inventory | None = None
    metrics: Metrics | None = None
    weights_mib: float = 0.0


class Soak:
    """Runs once; `findings`, `faults` and `scaling` fill meanwhile."""

    def __init__(self, options: ChaosOptions) -> None:
        self.options = options
        self.findings = Findings()
        self.load: Load | None = None
        self.faults: Faults | None = None
        self.scaling: Scaling | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="zerolane-chaos-")
        self.log = options.keep_log or Path(self._folder.name) / "server.log"

    async def run(self) -> None:
        """Raises ServerError when the server does not start."""
        models = await asyncio.to_thread(served_models, self.options, Path(self._folder.name))
        environment = poison_environment(models.poison_token) if self.options.poison else {}
        starting = asyncio.create_task(
            asyncio.to_thread(ServerUnderTest, self._arguments(models), environment, self.log)
        )
        try:
            server = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.to_thread((await starting).close)  # a thread cannot be cancelled: its server would stay
            raise
        try:
            await self._run_on(server, models)
        except (ServerError, NoServer) as error:
            self.findings.trouble.append(str(error))
        finally:
            self.findings.trouble += await asyncio.to_thread(server.close)

    def close(self) -> None:
        """Forget the log unless it is kept."""
        self._folder.cleanup()

    def log_end(self) -> str:
        """The last lines of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def _arguments(self, models: ServedModels) -> list[str]:
        options = self.options
        counts = ("workers", "spares", "frontends", "pools")
        return [*models.arguments, *(f"--{name}={getattr(options, name)}" for name in counts), *options.server_args]

    async def _run_on(self, server: ServerUnderTest, models: ServedModels) -> None:
        options, findings = self.options, self.findings
        status = await server.wait_first_whole(options.workers, options.spares)
        findings.weights_mib = sum(model.weights_mib for model in status.models)
        by_task = {task: name for name, task in reversed(server.models().items())}
        questions = make_questions(options.questions, options.seed, by_task["generate"], by_task.get("score"))
        self.load = Load(server.port, questions, options.streams, options.seed)
        findings.undisturbed = await self.load.run_rounds(options.reference_rounds)
        findings.reference = Reference(findings.undisturbed)
        await asyncio.to_thread(settled_metrics, server.url)
        findings.before = await self._inventory(server)
        async with self._loaded():
            await self._disturb(server, by_task["generate"], models.poison_token)
        await server.wait_whole()
        findings.metrics = await asyncio.to_thread(settled_metrics, server.url)
        findings.after = await self._settled_inventory(server, findings.before)

    @asynccontextmanager
    async def _loaded(self) -> AsyncIterator[None]:
        """The block runs under load."""
        assert self.load is not None
        num_before = len(self.load.attempts)
        asking = asyncio.create_task(self.load.run_until_stopped())
        try:
            yield
        finally:
            self.load.stop()
            await asking
            self.findings.disturbed = self.load.attempts[num_before:]

    async def _disturb(self, server: ServerUnderTest, model: str, poison_token: int) -> None:
        assert self.load is not None
        deadline = time.perf_counter() + self.options.time_limit
        self.faults = Faults(self.options, server, self.load)
        await self.faults.run(deadline)
        self.scaling = Scaling(self.options, server)
        await self.scaling.run(deadline)
        for _ in range(self.options.restarts):
            await asyncio.sleep(self.options.interval)
            self.findings.restarts.append(await restart_all(server))
        for _ in range(self.options.poison):
            await asyncio.sleep(self.options.interval)
            self.findings.poisonings.append(await poison_once(server, self.load, model, poison_token))

    async def _inventory(self, server: ServerUnderTest) -> Inventory:
        status = await asyncio.to_thread(server.status)
        return await asyncio.to_thread(take_inventory, status, server.pid, server.runtime_dir)

    async def _settled_inventory(self, server: ServerUnderTest, before: Inventory) -> Inventory:
        """Once nothing is held that was not held before, or as it is after SETTLE_S: closing takes a moment."""
        deadline = time.perf_counter() + SETTLE_S
        while True:
            after = await self._inventory(server)
            if not leaks(before, after) or time.perf_counter() > deadline:
                return after
            await asyncio.sleep(SETTLE_POLL_S)
