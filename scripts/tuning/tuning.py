"""One run from start to end: the defaults, the search, the confirmation. What was found is valid at every moment."""

import asyncio
import tempfile
from pathlib import Path

from scripts.load_testing.options import LoadOptions
from scripts.tuning.candidate import DEFAULTS
from scripts.tuning.comparison import Comparison
from scripts.tuning.duel import Duels, IncumbentFailed
from scripts.tuning.narrator import Narrator
from scripts.tuning.objective import Objective
from scripts.tuning.options import TuneOptions, base_settings
from scripts.tuning.plan import Plan, confirm_stage, make_plan
from scripts.tuning.result import Result
from scripts.tuning.search import Findings, Search
from scripts.tuning.space import make_axes
from scripts.tuning.trial_servers import TrialServers
from scripts.tuning.trials import Trials, is_generating, throughput_unit
from zerolane.cores import usable_cores


class Tuning:
    """Runs once; `result` can be asked for at any time, also after `run` was cancelled. Needs a running loop."""

    def __init__(self, options: TuneOptions) -> None:
        self._options = options
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._deadline = self._began + options.time_limit
        self.narrator = Narrator(lambda: self._deadline - self._clock())
        self._base = base_settings(options)
        self._objective = Objective(options.objective, *_targets(options.load), unit=throughput_unit(options.load))
        concurrency = 0 if options.load.is_open_loop else options.load.concurrency
        self._axes = make_axes(
            options.sweep, usable_cores(), concurrency, is_generating(options.load), self._base.values
        )
        self._findings = Findings()
        self._confirmation: Comparison | None = None
        self._trials: Trials | None = None
        self._problems: list[str] = []
        self._is_done = False

    async def run(self) -> None:
        """Raises TrialFailed when the defaults cannot be measured, TooLittleTime when nothing can be tried."""
        showing = asyncio.create_task(self.narrator.keep_showing())
        try:
            with tempfile.TemporaryDirectory(prefix="zerolane-tune-") as folder:
                servers = TrialServers(Path(folder), self._serve_arguments(), self._options.time_limit, self._is_on_gpu)
                try:
                    await self._measure_all(
                        Trials(servers, self._options.load, self._options.time_limit, self.narrator.now)
                    )
                    self._is_done = True
                finally:
                    await servers.close()
                    self._problems = servers.problems
        finally:
            showing.cancel()
            await asyncio.wait([showing])

    def result(self) -> Result:
        """What is known now."""
        return Result(
            command=self._options.command,
            load=self._options.load_arguments,
            models=self._options.models or self._base.models,
            base=self._base.values,
            objective=self._objective,
            axes=self._axes,
            best=self._findings.best,
            comparisons=self._findings.comparisons,
            measured=self._trials.points if self._trials else [],
            confirmation=self._confirmation,
            was_interrupted=not self._is_done,
            took_s=self._clock() - self._began,
            trouble=[*self._findings.trouble, *self._problems],
        )

    @property
    def _is_on_gpu(self) -> bool:
        return self._base.values.get("device") == "cuda"

    def _serve_arguments(self) -> list[str]:
        config = [f"--config={self._options.config}"] if self._options.config else []
        return [*self._options.models, *config]

    async def _measure_all(self, trials: Trials) -> None:
        self._trials = trials
        for axis in self._axes:
            shown = ", ".join("/".join(f"{value}" for value in choice.values()) for choice in axis.choices)
            names = "/".join(name.replace("_", "-") for name in axis.choices[0])
            self.narrator.say(f"{names}: {shown}")
        await trials.probe()
        plan = make_plan(
            self._deadline - self._clock(),
            self._options.time_limit,
            trials.start_s,
            trials.shortest_s,
            len(self._axes),
        )
        self._say_plan(trials, plan)
        duels = Duels(trials, self._objective)
        search = Search(duels, self._axes, plan.stages, self._clock() + plan.search_s, self._tell)
        self._findings = search.findings
        await search.run()
        if not self._findings.is_complete:
            self.narrator.say("the time for the search is over; what was not tried stays as it is")
        if self._findings.best != DEFAULTS:
            await self._confirm(duels, plan, trials)

    async def _confirm(self, duels: Duels, plan: Plan, trials: Trials) -> None:
        stage = confirm_stage(self._deadline - self._clock(), plan.short_s, trials.shortest_s)
        self.narrator.say(
            f"confirming: {self._findings.best} against the defaults, {stage.num_pairs} pairs of {stage.seconds:.1f} s"
        )
        try:
            self._confirmation = await duels.compare(DEFAULTS, self._findings.best, [stage])
            self.narrator.say(f"  {self._confirmation}")
        except IncumbentFailed as error:
            self._findings.trouble.append(f"the defaults could not be measured again: {error}")

    def _say_plan(self, trials: Trials, plan: Plan) -> None:
        stages = ", then ".join(f"{stage.num_pairs} pairs of {stage.seconds:.1f} s" for stage in plan.stages)
        self.narrator.say(
            f"a server starts in {trials.start_s:.1f} s; every change is tried with {stages}, as long as it may win; "
            f"{plan.search_s:.0f} s for the search, {plan.confirm_s:.0f} s to confirm"
        )

    def _tell(self, comparison: Comparison) -> None:
        new = comparison.challenger.differences(comparison.incumbent)
        old = comparison.incumbent.differences(comparison.challenger)
        what = ", ".join(f"{name.replace('_', '-')} {old[name]} -> {value}" for name, value in new.items())
        self.narrator.say(f"  {what}: {comparison}; best so far: {self._findings.best}")


def _targets(load: LoadOptions) -> tuple[float | None, float | None, float | None]:
    return load.target_ttft_ms, load.target_itl_ms, load.target_e2e_ms
