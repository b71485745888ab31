"""Runs of the load test made up by numbers, for tests of what is done with them."""

import random

from scripts.load_testing.figures import figures
from scripts.load_testing.measure import MeasuredStep
from scripts.load_testing.options import LoadOptions, load_options
from scripts.load_testing.records import RequestRecord
from scripts.load_testing.saved_run import SavedRun, saved_run
from scripts.load_testing.server_metrics import ServerSample

NUM_TOKENS = 8


def made_run(
    levels: tuple[int, ...],
    *,
    num_requests: int = 40,
    token_s: float = 0.02,
    seed: int = 0,
    has_metrics: bool = True,
    error: str = "",
) -> SavedRun:
    """A closed loop with each of the levels; tokens take about `token_s`. With `error` one more request fails so."""
    options = load_options(ramp=levels if len(levels) > 1 else (), concurrency=levels[0], target_ttft_ms=100.0)
    began = 100.0
    steps = []
    for step_options in options.steps:
        step = _step(step_options, began, num_requests, random.Random(seed), token_s, has_metrics, error)
        steps.append(step)
        began += step.figures.duration_s
    return saved_run(options, "a-model", steps)


def _step(
    options: LoadOptions,
    began: float,
    num_requests: int,
    source: random.Random,
    token_s: float,
    has_metrics: bool,
    error: str,
) -> MeasuredStep:
    free = [began] * options.concurrency
    records = []
    for _ in range(num_requests):
        start = min(free)
        record = RequestRecord(start, sent=start, num_prompt_tokens=16)
        now = start
        for _ in range(NUM_TOKENS):
            now += token_s * source.uniform(0.8, 1.2)
            record.text_came(now)
        record.succeed(now)
        free[free.index(start)] = now
        records.append(record)
    if error:
        failed = RequestRecord(began, sent=began)
        failed.fail(began + 0.01, error, "an example")
        records.append(failed)
    end = max([*free, began + 0.1])
    samples = [ServerSample(began + share * (end - began), 2, 1, share, 0.5, share * 100) for share in (0.0, 0.5, 1.0)]
    result = figures(records, end - began, 0.01, options.targets, began)
    return MeasuredStep(options, began, records, samples if has_metrics else [], result, was_interrupted=False)
