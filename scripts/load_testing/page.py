"""The report as one HTML file: everything is in it, no network and no JavaScript; light, dark and on paper."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import msgspec

from scripts.load_testing.charts import (
    TPOT,
    Figure,
    distribution_figures,
    ramp_figures,
    requests_over_time,
    throughput_unit,
)
from scripts.load_testing.figures import Distribution, Figures
from scripts.load_testing.ramp import misses
from scripts.load_testing.report import best_step, latency_rows, ramp_table, warnings
from scripts.load_testing.saved_run import SavedRun, Step
from scripts.load_testing.time_charts import time_figures

VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1">'
STYLE = Path(__file__).with_name("page.css")


def page(run: SavedRun) -> str:
    """The whole file."""
    step = shown_step(run)
    parts = [*_head(run), *_cards(run, step), *_notes(run)]
    if run.options.ramp:
        parts += ["<h2>The ramp</h2>", _ramp_table(run, step), _plots(ramp_figures(run))]
    parts += [f"<h2>Latencies{_of_step(run, step)}</h2>", _latency_table(step.figures)]
    parts.append(_plots(distribution_figures(step, _targets_ms(run))))
    over_time = [figure for figure in (*time_figures(run), requests_over_time(run)) if figure is not None]
    parts += ["<h2>Over time</h2>", _plots(over_time, "plots wide")]
    parts += [*_errors(run), "<h2>How it was measured</h2>", _options_table(run), _terms()]
    title = escape(f"{run.options.workload}: {run.model}")
    style = STYLE.read_text(encoding="utf-8")
    head = f'<head><meta charset="utf-8">{VIEWPORT}<title>{title}</title>\n<style>\n{style}</style></head>'
    return "\n".join(["<!DOCTYPE html>", '<html lang="en">', head, "<body>", *parts, "</body>", "</html>", ""])


def shown_step(run: SavedRun) -> Step:
    """The step whose latencies are shown: the best within the targets, else the one with most throughput."""
    unit = throughput_unit(run)
    return best_step(run) or max(run.steps, key=lambda step: unit.of(step.figures))


def _head(run: SavedRun) -> Iterator[str]:
    kind = f"ramp of {len(run.steps)} steps" if run.options.ramp else run.steps[0].load
    yield f"<h1>{escape(run.options.workload)}, {escape(kind)}</h1>"
    when = run.began_at.replace("T", " ").replace("+00:00", " UTC")
    interrupted = ", interrupted" if run.was_interrupted else ""
    yield f'<p class="soft">{escape(run.model)} on {escape(run.options.url)}, {escape(when)}{interrupted}</p>'


def _cards(run: SavedRun, step: Step) -> Iterator[str]:
    figures, unit = step.figures, throughput_unit(run)
    shown = step.load if run.options.ramp else f"{figures.duration_s:.1f} s"
    yield '<div class="cards">'
    yield _card(f"{unit.of(figures):,.1f}", f"{unit.name}, {shown}")
    if figures.texts_per_s and figures.output_tokens_per_s:
        yield _card(f"{figures.texts_per_s:,.1f}", "texts/s besides, scored and embedded")
    for name, values in latency_rows(figures).items():
        yield _card(_ms(values.p50), f"{name}, median; p99 {_ms(values.p99)}")
    if figures.goodput is not None:
        style = "bad" if misses(run.options, figures) else "good"
        yield _card(f"{figures.goodput.share:.1%}", f"good requests ({figures.goodput.requests_per_s:.2f}/s)", style)
    num_ok = sum(each.figures.num_ok for each in run.steps)
    num_failed = sum(each.figures.num_failed for each in run.steps)
    yield _card(f"{num_ok:,}", f"requests answered, {num_failed:,} failed", "bad" if num_failed else "")
    yield "</div>"


def _card(value: str, name: str, style: str = "") -> str:
    return f'<div class="card {style}"><b>{escape(value)}</b><span>{escape(name)}</span></div>'


def _notes(run: SavedRun) -> Iterator[str]:
    if run.options.ramp and run.targets:
        best = best_step(run)
        found = "No step kept the targets" if best is None else f"Most within the targets: {best.load}"
        wanted = f"{run.targets}; wanted for {run.options.target_share:.0%} of the requests"
        yield f"<p>{escape(found)} ({escape(wanted)}).</p>"
    for warning in warnings(run):
        yield f'<p class="note">{escape(warning)}</p>'


def _ramp_table(run: SavedRun, chosen: Step) -> str:
    columns, rows = ramp_table(run)
    lines = [f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in columns)}</tr>"]
    for step, cells in zip(run.steps, rows, strict=True):
        style = ' class="chosen"' if step is chosen else ""
        lines.append(f"<tr{style}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    return f'<div class="scroll"><table>{"".join(lines)}</table></div><p class="soft">Latencies in milliseconds.</p>'


def _latency_table(figures: Figures) -> str:
    names = ("", "count", "mean", "p50", "p90", "p99", "largest")
    lines = [f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"]
    for name, values in latency_rows(figures).items():
        cells = [escape(name), f"{values.count:,}", *(_ms(value) for value in _numbers(values))]
        lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f'<div class="scroll"><table>{"".join(lines)}</table></div><p></p>'


def _numbers(values: Distribution) -> tuple[float, ...]:
    return (values.mean, values.p50, values.p90, values.p99, values.largest)


def _plots(figures: Sequence[Figure], style: str = "plots") -> str:
    return f'<div class="{style}">{"".join(_figure(figure) for figure in figures)}</div>' if figures else ""


def _figure(figure: Figure) -> str:
    items = "".join(f'<li><i class="{style}"></i>{escape(name)}</li>' for style, name in figure.legend)
    legend = f'<ul class="legend">{items}</ul>' if items else ""
    words = f"<h3>{escape(figure.title)}</h3><p>{escape(figure.about)}</p>"
    return f"<figure><figcaption>{words}{legend}</figcaption>\n{figure.svg}\n</figure>\n"


def _errors(run: SavedRun) -> Iterator[str]:
    found = [(step.load, error) for step in run.steps for error in step.figures.errors]
    if not found:
        return
    yield "<h2>Errors</h2>"
    cells = [(load, f"{error.count} x {error.error}", error.example) for load, error in found]
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
    yield f'<table class="words">{lines}</table>'


def _options_table(run: SavedRun) -> str:
    given = msgspec.structs.asdict(run.options)
    hidden = {"salt", "ramp_is_rate", *(("concurrency", "rate") if run.options.ramp else ())}
    hidden |= {"concurrency", "spread"} if run.options.is_open_loop else {"rate"}
    shown = {name: value for name, value in given.items() if value not in (None, "", (), {}) and name not in hidden}
    client = max(run.steps, key=lambda step: step.figures.client_cpu_share).figures
    rows = [(f"--{name.replace('_', '-')}", _option_text(value)) for name, value in shown.items()]
    rows.append(("requests sent", f"{client.sent_per_s:.2f} a second while they were started"))
    rows.append(("this client", f"used {client.client_cpu_share:.0%} of a core at most"))
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="words">{lines}</table>'


def _option_text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{level:g}" for level in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _terms() -> str:
    return (
        '<p class="soft" style="margin-top:14px">TTFT: from sending a request (in an open loop: from the moment it was '
        "due) to its first token. ITL: between two events with text. TPOT: a request's mean time for each token after "
        "the first. E2EL: to the end of the answer. Good: answered within every latency target.</p>"
    )


def _targets_ms(run: SavedRun) -> dict[str, float | None]:
    targets = run.targets
    return {"First token (TTFT)": targets.ttft_ms, TPOT: targets.itl_ms, "End to end (E2EL)": targets.e2e_ms}


def _of_step(run: SavedRun, step: Step) -> str:
    return f" of the step with {escape(step.load)}" if run.options.ramp else ""


def _ms(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= 1000 else f"{value:.3g} ms"
