"""The plots of a run: what is on which axis. Each is a `Figure` of the page; None where there is nothing to show."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct

from scripts.load_testing.figures import Distribution, Figures, distribution
from scripts.load_testing.records import Outcome
from scripts.load_testing.saved_run import SavedRun, Step
from scripts.load_testing.svg import Axis, Plot, Point

MOST_BINS = 40
LOG_LOAD_FROM = 8.0  # the same for loads, which usually double
LOG_FROM = 12.0  # largest over smallest above which an axis is logarithmic
TPOT = "Each token, mean of a request (TPOT)"
Latency = tuple[str, Callable[[Figures], Distribution | None], float | None]  # name, values, target in ms
WIDE = 1140
LOWEST_PERCENTILE = 2.0  # where a histogram begins: tokens that came in one packet have no time between them
MOST_DOTS = 1500


class Figure(Struct, frozen=True):
    """A plot with its words. `legend`: (style, name)."""

    title: str
    about: str
    svg: str
    legend: tuple[tuple[str, str], ...] = ()


class Unit(Struct, frozen=True):
    """What throughput is counted in: a field of Figures, of FullLoad and of Goodput."""

    name: str
    field: str

    def of(self, figures: Figures) -> float:
        """While the load was whole, where that is known."""
        return float(getattr(figures.full_load or figures, self.field))


def throughput_unit(run: SavedRun) -> Unit:
    """Tokens where any are generated, texts where only texts are sent."""
    if any(step.figures.output_tokens_per_s for step in run.steps):
        return Unit("output tokens/s", "output_tokens_per_s")
    if any(step.figures.texts_per_s for step in run.steps):
        return Unit("texts/s", "texts_per_s")
    return Unit("requests/s", "requests_per_s")


def ramp_figures(run: SavedRun) -> list[Figure]:
    """Throughput over load, and each latency over throughput; empty for a single step."""
    if len(run.steps) < 2:
        return []
    targets = run.targets
    per_token: Latency = ("Between tokens (ITL)", lambda figures: figures.inter_token_s, None)
    if targets.itl_ms is not None:  # which is about the mean of a request
        per_token = (TPOT, lambda figures: figures.time_per_output_token_s, targets.itl_ms)
    latencies: list[Latency] = [
        ("First token (TTFT)", lambda figures: figures.time_to_first_token_s, targets.ttft_ms),
        per_token,
        ("End to end (E2EL)", lambda figures: figures.end_to_end_s, targets.e2e_ms),
    ]
    found = [_latency_over_throughput(run, name, values, target) for name, values, target in latencies]
    return [_throughput_over_load(run), *(figure for figure in found if figure is not None)]


def _throughput_over_load(run: SavedRun) -> Figure:
    unit = throughput_unit(run)
    is_rate = run.steps[0].rate is not None
    levels = [float(step.rate or step.concurrency or 0) for step in run.steps]
    all_of = [(level, unit.of(step.figures)) for level, step in zip(levels, run.steps, strict=True)]
    good = _good_throughput(run, levels, unit)
    label = "requests/s offered" if is_rate else "requests open at once"
    x = Axis(label, levels, is_log=max(levels) / min(levels) >= LOG_LOAD_FROM, ticks=levels)
    plot = Plot(x, Axis(unit.name, [0.0, *(value for _, value in all_of)]), f"{unit.name} over load")
    plot.line(all_of, "s1")
    plot.line(good, "s3")
    for points, style in ((all_of, "s1"), (good, "s3")):
        plot.dots(
            points,
            style,
            [f"{step.load}: {value:.1f} {unit.name}" for step, (_, value) in zip(run.steps, points, strict=False)],
        )
    legend = (("s1", "all"), ("s3", f"within the targets ({run.targets})")) if good else (("s1", "all"),)
    return Figure(
        "Throughput", "What the server gives at each load. Where the line turns flat, it is full.", plot.svg(), legend
    )


def _good_throughput(run: SavedRun, levels: Sequence[float], unit: Unit) -> list[Point]:
    """The good requests' share of the work, at the throughput that is drawn."""
    return [
        (level, unit.of(step.figures) * getattr(good, unit.field) / (getattr(step.figures, unit.field) or 1.0))
        for level, step in zip(levels, run.steps, strict=True)
        if (good := step.figures.goodput) is not None
    ]


def _latency_over_throughput(
    run: SavedRun, name: str, values: Callable[[Figures], Distribution | None], target_ms: float | None
) -> Figure | None:
    unit = throughput_unit(run)
    known = [(step, found) for step in run.steps if (found := values(step.figures)) is not None]
    if not known:
        return None
    lines = {
        style: [(unit.of(step.figures), getattr(found, style_of) * 1000) for step, found in known]
        for style, style_of in (("s1", "p50"), ("s2", "p99"))
    }
    heights = [y for points in lines.values() for _, y in points]
    is_log = min(heights) > 0 and max(heights) / min(heights) > LOG_FROM
    x = Axis(unit.name, [0.0, *(x for points in lines.values() for x, _ in points)])
    shown_target = [target_ms] if target_ms is not None else []
    plot = Plot(x, Axis("milliseconds", [*heights, *shown_target], is_log), f"{name} over throughput")
    if target_ms is not None:
        plot.mark_y(target_ms, f"target {target_ms:g} ms")
    for style, points in lines.items():
        plot.line(points, style)
        plot.dots(points, style, [f"{step.load}: {y:.1f} ms" for (step, _), (_, y) in zip(known, points, strict=True)])
    for (step, _), point in zip(known, lines["s2"], strict=True):
        plot.label(point, f"{step.rate:g}/s" if step.rate is not None else str(step.concurrency))
    numbers = "requests/s" if run.steps[0].rate else "requests open at once"
    about = f"Along the line the load grows; the numbers are {numbers}."
    return Figure(name, about, plot.svg(), (("s1", "median"), ("s2", "99th percentile")))


def distribution_figures(step: Step, targets_ms: dict[str, float | None]) -> list[Figure]:
    """Histograms of first tokens, of the times between tokens and of whole requests."""
    all_values = {
        "First token (TTFT)": [row.ttft for row in step.rows if row.ttft is not None],
        "Between tokens (ITL)": [gap for row in step.rows for gap in row.gaps],
        TPOT: [row.tpot for row in step.rows if row.tpot is not None],
        "End to end (E2EL)": [row.e2e for row in step.rows if row.e2e is not None],
    }
    return [_histogram(name, values, targets_ms.get(name)) for name, values in all_values.items() if len(values) > 1]


def _histogram(name: str, seconds: Sequence[float], target_ms: float | None) -> Figure:
    values = np.maximum(np.array(seconds) * 1000, 1e-3)
    found = distribution(values.tolist())
    assert found is not None
    smallest, largest = float(np.percentile(values, LOWEST_PERCENTILE)), float(values.max())
    values = np.maximum(values, smallest)  # the first bar holds what is below it
    num_bins = min(MOST_BINS, max(10, round(2 * math.sqrt(len(values)))))
    is_log = largest / smallest > LOG_FROM
    x = Axis("milliseconds" + (", logarithmic" if is_log else ""), [smallest, largest], is_log, from_zero=False)
    edges = np.geomspace(x.low, x.high, num_bins + 1) if x.is_log else np.linspace(x.low, x.high, num_bins + 1)
    counts, _ = np.histogram(values, edges)
    shares = (counts / len(values) * 100).tolist()
    plot = Plot(x, Axis("% of all", [0.0, max(shares) * 1.15]), f"histogram: {name}")
    texts = [f"{low:.1f} to {high:.1f} ms: {count}" for low, high, count in zip(edges, edges[1:], counts, strict=False)]
    plot.bars(edges.tolist(), shares, "s1", texts)
    for row, (mark, value) in enumerate((("p50", found.p50), ("p90", found.p90), ("p99", found.p99))):
        plot.mark_x(value, f"{mark} {value:.1f}", row)
    if target_ms is not None and x.low <= target_ms <= x.high:
        plot.mark_x(target_ms, f"target {target_ms:g}", 3)
    about = f"{found.count:,} values, mean {found.mean:.1f} ms, largest {found.largest:.1f} ms"
    return Figure(name, about, plot.svg())


def requests_over_time(run: SavedRun) -> Figure | None:
    """A dot for each request, where it began and how long it took to its first token (or its end)."""
    rows = [(step, row) for step in run.steps for row in step.rows]
    is_stream = any(row.ttft is not None for _, row in rows)
    timed = [
        (row.began, (row.ttft if row.ttft is not None else row.e2e) or 0.0)
        for _, row in rows
        if row.outcome is Outcome.OK
    ]
    failed = [row.began for _, row in rows if row.outcome is Outcome.FAILED]
    if not timed:
        return None
    timed = [(x, y * 1000) for x, y in timed[:: 1 + len(timed) // MOST_DOTS]]
    heights = [y for _, y in timed if y > 0]
    is_log = bool(heights) and max(heights) / min(heights) > LOG_FROM
    y = Axis("milliseconds", heights, is_log)
    plot = Plot(Axis("seconds since the start", [0.0, end_of(run)]), y, "requests over time", WIDE, 260)
    mark_steps(plot, run)
    plot.dots(timed, "s1 thin", radius=2.5)
    plot.dots([(x, y.high) for x in failed[:: 1 + len(failed) // MOST_DOTS]], "bad", ["failed"] * len(failed), 3.0)
    legend = [("s1", "first token" if is_stream else "end to end")] + (
        [("bad", "failed (at the top)")] if failed else []
    )
    return Figure("Every request", "Where each request began, and how long it took.", plot.svg(), tuple(legend))


def end_of(run: SavedRun) -> float:
    """Seconds at which the last step ended."""
    return max(step.began + step.figures.duration_s for step in run.steps)


def mark_steps(plot: Plot, run: SavedRun) -> None:
    """Where each step of a ramp began."""
    if len(run.steps) > 1:
        for step in run.steps:
            plot.mark_x(step.began, f"{step.rate:g}/s" if step.rate is not None else str(step.concurrency))
