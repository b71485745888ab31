"""The figures as a table for people and as JSON for programs."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from scripts.load_testing.figures import Figures
from scripts.load_testing.options import LoadOptions

BUSY_CLIENT = 0.8  # share of a core above which this program may be what is slow


def table(options: LoadOptions, model: str, figures: Figures) -> str:
    """The whole report."""
    return "\n".join(line.rstrip() for line in _lines(options, model, figures))


def write_json(path: Path, options: LoadOptions, model: str, figures: Figures) -> None:
    """Options and figures in one object."""
    report = {"options": msgspec.structs.asdict(options), "model": model, "figures": figures}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report, enc_hook=str)) + b"\n")


def _lines(options: LoadOptions, model: str, figures: Figures) -> Iterator[str]:
    yield f"{options.endpoint} of {model} on {options.url}, {_load(options)}"
    cut_off = f", {figures.num_cut_off} cut off" if figures.num_cut_off else ""
    yield _row("requests", f"{figures.num_ok} ok, {figures.num_failed} failed{cut_off}")
    for error in figures.errors:
        yield _row("", f"{error.count} x {error.error}" + (f": {error.example}" if error.example else ""))
    yield _row("duration", f"{figures.duration_s:.2f} s")
    yield _row("requests/s", f"{figures.requests_per_s:.2f}")
    if options.is_score:
        yield _row("pairs/s", f"{figures.pairs_per_s:.1f}")
    else:
        mean = "" if figures.mean_output_tokens is None else f"   ({figures.mean_output_tokens:.1f} a request)"
        yield _row("output tokens/s", f"{figures.output_tokens_per_s:.1f}{mean}")
    if figures.input_tokens_per_s is None:
        yield _row("input tokens/s", "the server does not say")
    else:
        yield _row("input tokens/s", f"{figures.input_tokens_per_s:.1f}   ({figures.mean_prompt_tokens:.1f} a request)")
    yield from _latencies(figures)
    yield _row("this client", f"{figures.client_cpu_share:.0%} of a core")
    if figures.client_cpu_share > BUSY_CLIENT:
        yield "WARNING: this client was busy most of the time: the server may be faster than these figures say."


def _latencies(figures: Figures) -> Iterator[str]:
    rows = {
        "first token": figures.time_to_first_token_s,
        "inter-token": figures.inter_token_s,
        "end to end": figures.end_to_end_s,
    }
    known = {name: values for name, values in rows.items() if values is not None}
    if not known:
        return
    yield ""
    yield f"{'milliseconds':<22} {'p50':>9} {'p90':>9} {'p99':>9} {'largest':>9}"
    for name, values in known.items():
        numbers = (values.p50, values.p90, values.p99, values.largest)
        yield f"{name:<22} " + " ".join(f"{seconds * 1000:>9.1f}" for seconds in numbers)
    yield ""


def _load(options: LoadOptions) -> str:
    if options.is_open_loop:
        return f"{options.rate:g} requests/s at random moments"
    return f"{options.concurrency} at a time"


def _row(name: str, value: str) -> str:
    return f"{name:<22} {value}"
