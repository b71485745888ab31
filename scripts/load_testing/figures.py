"""From records to the figures of the report. Pure: no clock, no server."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct

from scripts.load_testing.goodput import Goodput, goodput
from scripts.load_testing.options import Targets
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


class FullLoad(Struct, frozen=True):
    """Rates while the load was whole: from when all were open until the last request was sent. After it the load runs
    out, and with a few long answers at the end the rates over the whole duration say little about the server."""

    duration_s: float
    requests_per_s: float
    output_tokens_per_s: float
    texts_per_s: float


class Figures(Struct, frozen=True, kw_only=True):
    """Everything one load found out. Rates are over the whole duration; None: nothing to say."""

    num_ok: int
    num_failed: int
    num_cut_off: int  # still open when the test was interrupted
    errors: list[ErrorCount]
    duration_s: float
    requests_per_s: float
    output_tokens_per_s: float
    input_tokens_per_s: float | None
    texts_per_s: float  # documents scored and texts embedded
    mean_prompt_tokens: float | None
    mean_output_tokens: float | None
    mean_in_flight: float  # requests open on average
    time_to_first_token_s: Distribution | None
    inter_token_s: Distribution | None  # between events with text; an event may hold several tokens
    time_per_output_token_s: Distribution | None  # mean of each request's tokens after the first
    end_to_end_s: Distribution | None
    goodput: Goodput | None
    full_load: FullLoad | None  # None: it was whole for too short a time
    sent_per_s: float  # while requests were being started: what this client really offered
    sent_late_s: Distribution | None  # after the moment it was due: this client's own slowness
    client_cpu_share: float  # of one core


def distribution(values: Sequence[float]) -> Distribution | None:
    """None for no values. Percentiles are interpolated linearly."""
    if len(values) == 0:
        return None
    p50, p90, p99 = np.percentile(values, [50, 90, 99]).tolist()
    return Distribution(len(values), float(np.mean(values)), p50, p90, p99, float(np.max(values)))


def figures(
    records: Sequence[RequestRecord],
    elapsed_s: float,
    cpu_s: float,
    targets: Targets | None = None,
    began: float = 0.0,
    whole_after_s: float = 0.0,
) -> Figures:
    """`elapsed_s` seconds passed from the start of the load at `began` to its end, `cpu_s` of them computing here.
    `whole_after_s` seconds after its start the load was as large as it should be."""
    ok = [record for record in records if record.outcome is Outcome.OK]
    failed = [record for record in records if record.outcome is Outcome.FAILED]
    good = [record for record in records if record.outcome is not Outcome.FAILED]  # the open ones' tokens count too
    prompts = [record.num_prompt_tokens for record in ok if record.num_prompt_tokens is not None]
    generated = [record.num_output_tokens for record in ok if record.num_texts == 0]
    end = began + elapsed_s
    open_s = sum((end if record.ended is None else record.ended) - record.began for record in records)
    return Figures(
        num_ok=len(ok),
        num_failed=len(failed),
        num_cut_off=len(good) - len(ok),
        errors=_errors(failed),
        duration_s=elapsed_s,
        requests_per_s=len(ok) / elapsed_s,
        output_tokens_per_s=sum(record.num_output_tokens for record in good) / elapsed_s,
        input_tokens_per_s=sum(prompts) / elapsed_s if prompts else None,
        texts_per_s=sum(record.num_texts for record in ok) / elapsed_s,
        mean_prompt_tokens=float(np.mean(prompts)) if prompts else None,
        mean_output_tokens=float(np.mean(generated)) if generated else None,
        mean_in_flight=open_s / elapsed_s,
        time_to_first_token_s=_known(record.ttft for record in good),
        inter_token_s=distribution([gap for record in good for gap in record.gaps]),
        time_per_output_token_s=_known(record.tpot for record in ok),
        end_to_end_s=_known(record.e2e for record in ok),
        goodput=goodput(records, targets or Targets(), elapsed_s),
        full_load=_full_load(records, began + whole_after_s),
        sent_per_s=_sent_per_s(records, began, elapsed_s),
        sent_late_s=_known(None if record.sent is None else record.sent - record.began for record in records),
        client_cpu_share=cpu_s / elapsed_s,
    )


def _known(values: Iterable[float | None]) -> Distribution | None:
    return distribution([value for value in values if value is not None])


def _sent_per_s(records: Sequence[RequestRecord], began: float, elapsed_s: float) -> float:
    sent = [record.sent for record in records if record.sent is not None]
    return len(sent) / max(max(sent) - began, elapsed_s / len(sent)) if sent else 0.0


def _full_load(records: Sequence[RequestRecord], start: float) -> FullLoad | None:
    """None: the load was whole for less time than two requests take one after the other, or nothing ended."""
    lasted = [record.e2e for record in records if record.e2e is not None]
    sent = [record.sent for record in records if record.sent is not None]
    if not lasted or not sent or max(sent) - start < 2 * float(np.median(lasted)):
        return None
    end = max(sent)
    seconds = end - start
    ended = [
        record
        for record in records
        if record.e2e is not None and record.ended is not None and start <= record.ended <= end
    ]
    return FullLoad(
        duration_s=seconds,
        requests_per_s=len(ended) / seconds,
        output_tokens_per_s=sum(record.tokens_until(end) - record.tokens_until(start) for record in records) / seconds,
        texts_per_s=sum(record.num_texts for record in ended) / seconds,
    )


def _errors(failed: Iterable[RequestRecord]) -> list[ErrorCount]:
    failed = list(failed)
    example = {record.error: record.error_detail for record in reversed(failed)}  # the first of each kind
    counts = Counter(record.error for record in failed).most_common()
    return [ErrorCount(error, count, example[error]) for error, count in counts]
