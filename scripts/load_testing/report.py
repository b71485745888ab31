"""The report as a table for people."""

from collections.abc import Iterator

from scripts.load_testing.figures import Distribution, Figures
from scripts.load_testing.ramp import misses
from scripts.load_testing.saved_run import SavedRun, Step

BUSY_CLIENT = 0.8  # share of a core above which this program may be what is slow
LATE_CLIENT_S = 0.05  # requests sent later than this after they were due: the offered load was not the wanted one
RAMP_COLUMNS = (
    "load",
    "ok",
    "failed",
    "requests/s",
    "tokens/s",
    "full load",
    "texts/s",
    "full load",
    "TTFT p50",
    "p99",
    "ITL p50",
    "p99",
    "E2E p50",
)


def report(run: SavedRun) -> str:
    """The whole report."""
    return "\n".join(line.rstrip() for line in _lines(run))


def latency_rows(figures: Figures) -> dict[str, Distribution]:
    """The distributions that there are, with their names for people."""
    rows = {
        "first token (TTFT)": figures.time_to_first_token_s,
        "between tokens (ITL)": figures.inter_token_s,
        "each token (TPOT)": figures.time_per_output_token_s,
        "end to end (E2EL)": figures.end_to_end_s,
    }
    return {name: values for name, values in rows.items() if values is not None}


def warnings(run: SavedRun) -> list[str]:
    """What the reader has to know before believing the figures."""
    found = []
    busiest = max(step.figures.client_cpu_share for step in run.steps)
    if busiest > BUSY_CLIENT:
        found.append(f"this client used {busiest:.0%} of a core: the server may be faster than these figures say.")
    latest = max((step.figures.sent_late_s.p99 for step in run.steps if step.figures.sent_late_s), default=0.0)
    if latest > LATE_CLIENT_S:
        found.append(
            f"this client sent 1 % of the requests more than {latest * 1000:.0f} ms late; that is in the latencies."
        )
    return found


def best_step(run: SavedRun) -> Step | None:
    """The step with most good requests a second among those that kept the targets; None: none did, or no targets."""
    kept = [step for step in run.steps if step.figures.goodput and not misses(run.options, step.figures)]
    return max(
        kept, key=lambda step: step.figures.goodput.requests_per_s if step.figures.goodput else 0.0, default=None
    )


def ramp_table(run: SavedRun) -> tuple[list[str], list[list[str]]]:
    """Names of the columns that have something in them, and the cells of each step. Latencies are milliseconds."""
    columns = [*RAMP_COLUMNS, *(["good"] if run.targets else [])]
    rows = [_ramp_cells(run, step) for step in run.steps]
    used = [number for number in range(len(columns)) if any(cells[number] != "-" for cells in rows)]
    return [columns[number] for number in used], [[cells[number] for number in used] for cells in rows]


def _lines(run: SavedRun) -> Iterator[str]:
    load = f"{len(run.steps)} steps" if run.options.ramp else run.steps[0].load
    interrupted = ", interrupted" if run.was_interrupted else ""
    yield f"{run.options.workload} of {run.model} on {run.options.url}, {load}{interrupted}"
    if run.options.ramp:
        yield from _ramp(run)
    else:
        yield from _one(run, run.steps[0])
    for warning in warnings(run):
        yield f"WARNING: {warning}"


def _one(run: SavedRun, step: Step) -> Iterator[str]:
    figures = step.figures
    cut_off = f", {figures.num_cut_off} cut off" if figures.num_cut_off else ""
    yield _row("requests", f"{figures.num_ok} ok, {figures.num_failed} failed{cut_off}")
    yield from _errors(figures)
    yield _row("duration", f"{figures.duration_s:.2f} s")
    yield _row("requests/s", f"{figures.requests_per_s:.2f}   ({figures.mean_in_flight:.1f} open on average)")
    if figures.texts_per_s:
        yield _row("texts/s", f"{figures.texts_per_s:.1f}")
    if figures.output_tokens_per_s:
        mean = "" if figures.mean_output_tokens is None else f"   ({figures.mean_output_tokens:.1f} a request)"
        yield _row("output tokens/s", f"{figures.output_tokens_per_s:.1f}{mean}")
    if figures.input_tokens_per_s is None:
        yield _row("input tokens/s", "the server does not say")
    else:
        yield _row("input tokens/s", f"{figures.input_tokens_per_s:.1f}   ({figures.mean_prompt_tokens:.1f} a request)")
    if figures.full_load is not None:
        full = figures.full_load
        rates = [f"{full.requests_per_s:.2f} requests/s"]
        rates += [f"{full.output_tokens_per_s:.1f} tokens/s"] if full.output_tokens_per_s else []
        rates += [f"{full.texts_per_s:.1f} texts/s"] if full.texts_per_s else []
        yield _row("at full load", f"{', '.join(rates)}   ({full.duration_s:.2f} s, until the last request was sent)")
    yield from _latencies(figures)
    yield from _goodput(run, figures)
    late = "" if figures.sent_late_s is None else f", {figures.sent_late_s.p99 * 1000:.1f} ms late (p99)"
    yield _row(
        "this client", f"sent {figures.sent_per_s:.2f} requests/s{late}, used {figures.client_cpu_share:.0%} of a core"
    )


def _latencies(figures: Figures) -> Iterator[str]:
    known = latency_rows(figures)
    if not known:
        return
    yield ""
    yield f"{'milliseconds':<22} {'p50':>9} {'p90':>9} {'p99':>9} {'largest':>9} {'mean':>9}"
    for name, values in known.items():
        numbers = (values.p50, values.p90, values.p99, values.largest, values.mean)
        yield f"{name:<22} " + " ".join(f"{seconds * 1000:>9.1f}" for seconds in numbers)
    yield ""


def _goodput(run: SavedRun, figures: Figures) -> Iterator[str]:
    good = figures.goodput
    if good is None:
        return
    verdict = "MISSED" if misses(run.options, figures) else "kept"
    rates = [f"{good.requests_per_s:.2f} requests/s"]
    rates += [f"{good.output_tokens_per_s:.1f} tokens/s"] if good.output_tokens_per_s else []
    rates += [f"{good.texts_per_s:.1f} texts/s"] if good.texts_per_s else []
    yield _row("goodput", f"{good.share:.1%} of the requests, {', '.join(rates)}: target {verdict}")
    yield _row("", f"({run.targets}; wanted for {run.options.target_share:.0%})")


def _ramp(run: SavedRun) -> Iterator[str]:
    columns, rows = ramp_table(run)
    widths = [max(len(cells[number]) for cells in [columns, *rows]) for number in range(len(columns))]
    for cells in [columns, *rows]:
        yield "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    yield "latencies in milliseconds"
    for step in run.steps:
        for line in _errors(step.figures):
            yield f"{step.load}: {line.strip()}"
    num_left = len(run.options.ramp) - len(run.steps)
    if num_left and not run.was_interrupted:
        yield f"ended early, {num_left} steps before the last: the targets were missed twice in a row"
    if run.targets:
        best = best_step(run)
        yield f"targets: {run.targets}; wanted for {run.options.target_share:.0%} of the requests"
        yield "no step kept them" if best is None else f"most within the targets: {best.load}"


def _ramp_cells(run: SavedRun, step: Step) -> list[str]:
    figures = step.figures
    full = figures.full_load
    ttft, itl = _ms(figures.time_to_first_token_s), _ms(figures.inter_token_s)
    good = [] if not run.targets else ["-" if figures.goodput is None else f"{figures.goodput.share:.1%}"]
    return [
        step.load,
        str(figures.num_ok),
        str(figures.num_failed),
        f"{figures.requests_per_s:.2f}",
        _rate(figures.output_tokens_per_s),
        _rate(full.output_tokens_per_s if full else None),
        _rate(figures.texts_per_s),
        _rate(full.texts_per_s if full else None),
        *ttft,
        *itl,
        _ms(figures.end_to_end_s)[0],
        *good,
    ]


def _rate(value: float | None) -> str:
    return f"{value:.1f}" if value else "-"


def _ms(values: Distribution | None) -> tuple[str, str]:
    return ("-", "-") if values is None else (f"{values.p50 * 1000:.1f}", f"{values.p99 * 1000:.1f}")


def _errors(figures: Figures) -> Iterator[str]:
    for error in figures.errors:
        yield _row("", f"{error.count} x {error.error}" + (f": {error.example}" if error.example else ""))


def _row(name: str, value: str) -> str:
    return f"{name:<22} {value}"
