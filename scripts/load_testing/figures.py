"""From records to the figures of the report. Pure: no clock, no server."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct

from scripts.load_testing.records import Outcome, RequestRecord


class Distribution(Struct, frozen=True):
    """Of seconds, or whatever was counted."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    largest: float


class ErrorCount(Struct, frozen=True):
    error: str
    count: int
    example: str


class Figures(Struct, frozen=True, kw_only=True):
    """Everything one load test found out. Rates are over the whole duration; None: nothing to say."""

    num_ok: int
    num_failed: int
    num_cut_off: int  # still open when the test was interrupted
    errors: list[ErrorCount]
    duration_s: float
    requests_per_s: float
    output_tokens_per_s: float
    input_tokens_per_s: float | None
    pairs_per_s: float
    mean_prompt_tokens: float | None
    mean_output_tokens: float | None
    time_to_first_token_s: Distribution | None
    inter_token_s: Distribution | None  # between events with text; an event may hold several tokens
    end_to_end_s: Distribution | None
    client_cpu_share: float  # of one core


def distribution(values: Sequence[float]) -> Distribution | None:
    """None for no values. Percentiles are interpolated linearly."""
    if len(values) == 0:
        return None
    p50, p90, p99 = np.percentile(values, [50, 90, 99]).tolist()
    return Distribution(len(values), float(np.mean(values)), p50, p90, p99, float(np.max(values)))


def figures(records: Sequence[RequestRecord], elapsed_s: float, cpu_s: float) -> Figures:
    """`elapsed_s` seconds passed from the start of the load to its end, `cpu_s` of them computing here."""
    ok = [record for record in records if record.outcome is Outcome.OK]
    failed = [record for record in records if record.outcome is Outcome.FAILED]
    good = [record for record in records if record.outcome is not Outcome.FAILED]  # the open ones' tokens count too
    prompts = [record.num_prompt_tokens for record in ok if record.num_prompt_tokens is not None]
    num_pairs = sum(record.num_pairs for record in ok)
    num_output = sum(record.num_output_tokens for record in good)
    return Figures(
        num_ok=len(ok),
        num_failed=len(failed),
        num_cut_off=len(good) - len(ok),
        errors=_errors(failed),
        duration_s=elapsed_s,
        requests_per_s=len(ok) / elapsed_s,
        output_tokens_per_s=num_output / elapsed_s,
        input_tokens_per_s=sum(prompts) / elapsed_s if prompts else None,
        pairs_per_s=num_pairs / elapsed_s,
        mean_prompt_tokens=float(np.mean(prompts)) if prompts else None,
        mean_output_tokens=sum(record.num_output_tokens for record in ok) / len(ok) if ok else None,
        time_to_first_token_s=distribution([r.first_text - r.began for r in good if r.first_text is not None]),
        inter_token_s=distribution([gap for record in good for gap in record.gaps]),
        end_to_end_s=distribution([r.ended - r.began for r in ok if r.ended is not None]),
        client_cpu_share=cpu_s / elapsed_s,
    )


def _errors(failed: Iterable[RequestRecord]) -> list[ErrorCount]:
    failed = list(failed)
    example = {record.error: record.error_detail for record in reversed(failed)}  # the first of each kind
    counts = Counter(record.error for record in failed).most_common()
    return [ErrorCount(error, count, example[error]) for error, count in counts]
