"""The comparison as text."""

from collections.abc import Iterator, Sequence

from benchmarks.overhead.comparison import BareRun, Comparison, Ratio, ServerRun, median_decode, median_run
from benchmarks.overhead.workload import Workload

BUSY_FOREIGN_CORES = 0.15  # above it a run was disturbed: two compute threads that wait for each other suffer most
ROLES = ("worker", "scheduler", "frontend", "supervisor", "client")


def report(workload: Workload, comparisons: Sequence[Comparison]) -> str:
    """Everything, in lines of at most 120 characters."""
    return "\n".join(_lines(workload, comparisons))


def _lines(workload: Workload, comparisons: Sequence[Comparison]) -> Iterator[str]:
    yield f"{workload.dtype}, attention {workload.attention}, {workload.threads} threads"
    yield (
        f"prompt {workload.prompt_tokens}, output {workload.output_tokens},"
        f" at most {workload.max_num_batched_tokens} tokens a step"
    )
    yield ""
    yield from _rate_table("decode: all streams decoding, tokens/s", comparisons, is_decode=True)
    yield ""
    yield from _rate_table("whole run, prefill included, tokens/s", comparisons, is_decode=False)
    yield ""
    yield "CPU milliseconds a token (whole run)"
    yield f"{'streams':>8} {'bare loop':>10} " + " ".join(f"{role:>10}" for role in ROLES) + f" {'server sum':>11}"
    for comparison in comparisons:
        spent = [comparison.server_cpu_ms_per_token(role, workload.output_tokens) for role in ROLES]
        bare = comparison.bare_cpu_ms_per_token(workload.output_tokens)
        shown = " ".join(f"{milliseconds:>10.3f}" for milliseconds in spent)
        yield f"{comparison.num_streams:>8} {bare:>10.3f} {shown} {sum(spent[:-1]):>11.3f}"
    yield from _notes(comparisons)


def _rate_table(title: str, comparisons: Sequence[Comparison], is_decode: bool) -> Iterator[str]:
    median = median_decode if is_decode else median_run
    has_transformers = any(comparison.transformers for comparison in comparisons)
    yield title
    yield f"{'streams':>8} {'bare':>9} {'HTTP':>9} {'ratio':>7} {'(spread)':>15}" + (
        f" {'transformers':>13}" if has_transformers else ""
    )
    for comparison in comparisons:
        found = comparison.decode_ratio if is_decode else comparison.run_ratio
        line = f"{comparison.num_streams:>8} {median(comparison.bare):>9.1f} {median(comparison.server):>9.1f}"
        line += f" {found.median:>7.3f} {_spread(found):>15}"
        yield line + (f" {median(comparison.transformers):>13.1f}" if comparison.transformers else "")


def _spread(found: Ratio) -> str:
    return f"({found.smallest:.3f}-{found.largest:.3f})"


def _notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    for comparison in comparisons:
        runs: list[BareRun | ServerRun] = [*comparison.bare, *comparison.server]
        disturbed = [run.foreign_cores for run in runs if run.foreign_cores > BUSY_FOREIGN_CORES]
        if disturbed:
            yield (
                f"NOTE: {len(disturbed)} of {len(runs)} runs with {comparison.num_streams} streams were disturbed:"
                f" other programs used up to {max(disturbed):.2f} cores."
            )
        joined = min(run.rates.events_per_token for run in comparison.server)
        if joined < 0.99:
            yield f"NOTE: with {comparison.num_streams} streams some tokens came together: {joined:.2f} events a token."
