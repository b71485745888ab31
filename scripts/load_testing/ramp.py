"""The steps of a run, one after the other, until the last one or until the latency targets are missed for good."""

import asyncio
import signal
from collections.abc import Callable

from scripts.load_testing.bodies import Bodies
from scripts.load_testing.figures import Figures
from scripts.load_testing.measure import MeasuredStep, measure_step
from scripts.load_testing.options import LoadOptions
from scripts.load_testing.server import Server
from scripts.load_testing.traffic import Traffic

MISSES_FOR_GOOD = 2  # steps in a row: one may be bad luck


def misses(options: LoadOptions, figures: Figures) -> bool:
    """Whether a step missed its targets: too few requests kept them, or none was answered."""
    if not figures.num_ok:
        return True
    return figures.goodput is not None and figures.goodput.share < options.target_share


def is_over(options: LoadOptions, steps: list[MeasuredStep]) -> bool:
    """Whether a ramp need not go on: interrupted, or missed by so many steps in a row."""
    last = steps[-MISSES_FOR_GOOD:]
    missed = len(last) == MISSES_FOR_GOOD and all(misses(options, step.figures) for step in last)
    return steps[-1].was_interrupted or missed


async def run_steps(
    server: Server, bodies: Bodies, options: LoadOptions, when_started: Callable[[int, Traffic], None]
) -> list[MeasuredStep]:
    """Every step that was measured. Ctrl-C ends the one that is running; what was open then is cut off."""
    steps: list[MeasuredStep] = []
    for number, step_options in enumerate(options.steps):
        steps.append(await _until_interrupted(server, bodies, step_options, number, when_started))
        if is_over(options, steps):
            break
    return steps


async def _until_interrupted(
    server: Server, bodies: Bodies, options: LoadOptions, number: int, when_started: Callable[[int, Traffic], None]
) -> MeasuredStep:
    loop = asyncio.get_running_loop()
    started = lambda traffic: when_started(number, traffic)  # noqa: E731
    measuring = loop.create_task(measure_step(server, bodies, options, f"load-{number}", started))
    loop.add_signal_handler(signal.SIGINT, measuring.cancel)
    try:
        return await measuring
    finally:
        loop.remove_signal_handler(signal.SIGINT)
