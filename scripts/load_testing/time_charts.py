"""The plots of the server over time: queue, KV memory, tokens a second, and what this client had open meanwhile."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from scripts.load_testing.charts import WIDE, Figure, end_of, mark_steps
from scripts.load_testing.saved_run import Row, SavedRun
from scripts.load_testing.server_metrics import ServerSample
from scripts.load_testing.svg import Axis, Plot, Point

MOST_POINTS = 800


def time_figures(run: SavedRun) -> list[Figure]:
    """What there is; a server without metrics leaves the client's own view."""
    figures = [queue_figure(run), kv_figure(run), rate_figure(run)]
    return [figure for figure in figures if figure is not None]


def queue_figure(run: SavedRun) -> Figure:
    """Requests open here, running and waiting there."""
    open_here = _thinned(open_over_time([row for step in run.steps for row in step.rows], end_of(run)))
    running, waiting = _series(run, lambda sample: sample.running), _series(run, lambda sample: sample.waiting)
    heights = [y for points in (open_here, running, waiting) for _, y in points]
    plot = _plot(run, Axis("requests", [0.0, *heights]), "queue over time")
    plot.area(waiting, "s2")
    plot.steps(open_here, "s4 thin")
    plot.line(running, "s1")
    plot.line(waiting, "s2")
    legend = [("s4", "open, seen from here")]
    legend += [("s1", "running in the server"), ("s2", "waiting in its queue")] if running else []
    about = (
        "More open than running: the rest waits, or is on its way."
        if running
        else "The server has no /metrics we know."
    )
    return Figure("Requests and queue", about, plot.svg(), tuple(legend))


def kv_figure(run: SavedRun) -> Figure | None:
    """The share of the KV memory that is in use."""
    used = [(x, y * 100) for x, y in _series(run, lambda sample: sample.kv_share)]
    if not used:
        return None
    cached = _series(
        run, lambda s: None if s.kv_cached_share is None else (s.kv_cached_share + (s.kv_share or 0)) * 100
    )
    plot = _plot(
        run, Axis("% of the KV memory", [0.0, *(y for points in (used, cached) for _, y in points)]), "KV use over time"
    )
    plot.area(cached, "s4")
    plot.area(used, "s3")
    plot.line(cached, "s4")
    plot.line(used, "s3")
    legend = [("s3", "held by running requests")] + ([("s4", "and kept for its prefix")] if cached else [])
    preempted = _growth(run, lambda sample: sample.preempted)
    hits, asked = _growth(run, lambda sample: sample.cached), _growth(run, lambda sample: sample.prompted)
    notes = (
        [f"{hits / asked:.0%} of the prompt tokens came from the prefix cache"] if asked and hits is not None else []
    )
    notes += [f"{preempted:.0f} preemptions"] if preempted is not None else []
    return Figure("KV memory", "; ".join(notes).capitalize(), plot.svg(), tuple(legend))


def rate_figure(run: SavedRun) -> Figure | None:
    """Tokens a second by the server's count, and requests finished a second."""
    tokens = _rate(run, lambda sample: sample.generated)
    if not any(y for _, y in tokens):
        return None
    plot = _plot(run, Axis("tokens/s", [0.0, *(y for _, y in tokens)]), "output tokens per second over time")
    plot.area(tokens, "s1")
    plot.line(tokens, "s1")
    return Figure(
        "Output tokens/s", "By the server's own count, between two looks at it.", plot.svg(), (("s1", "tokens/s"),)
    )


def open_over_time(rows: Sequence[Row], end: float) -> list[Point]:
    """How many requests were open, at each moment at which that changed."""
    changes = [(row.began, 1) for row in rows] + [(end if row.ended is None else row.ended, -1) for row in rows]
    points: list[Point] = [(0.0, 0.0)]
    for moment, change in sorted(changes):
        points.append((moment, points[-1][1] + change))
    return points


def _plot(run: SavedRun, y: Axis, name: str) -> Plot:
    plot = Plot(Axis("seconds since the start", [0.0, end_of(run)]), y, name, WIDE, 220)
    mark_steps(plot, run)
    return plot


def _series(run: SavedRun, of: Callable[[ServerSample], float | None]) -> list[Point]:
    known = [(sample.at, of(sample)) for step in run.steps for sample in step.samples]
    return _thinned([(max(at, 0.0), value) for at, value in known if value is not None])


def _growth(run: SavedRun, of: Callable[[ServerSample], float | None]) -> float | None:
    """How much a counter grew during the run; None: it is not there."""
    values = [y for _, y in _series(run, of)]
    return values[-1] - values[0] if values else None


def _rate(run: SavedRun, of: Callable[[ServerSample], float | None]) -> list[Point]:
    points = _series(run, of)
    pairs = pairwise(points)
    return [((a[0] + b[0]) / 2, max(b[1] - a[1], 0.0) / (b[0] - a[0])) for a, b in pairs if b[0] - a[0] > 0.05]


def _thinned(points: list[Point]) -> list[Point]:
    every = 1 + len(points) // MOST_POINTS
    return points if every == 1 else [*points[::every], points[-1]]
