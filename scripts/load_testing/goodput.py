"""Goodput: what was answered within the latency targets. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from scripts.load_testing.options import Targets
from scripts.load_testing.records import Outcome, RequestRecord


class Goodput(Struct, frozen=True):
    """Of requests that kept every target. What failed counts as missed; what was cut off by Ctrl-C does not count."""

    share: float  # of the requests that ended
    requests_per_s: float
    output_tokens_per_s: float
    texts_per_s: float


def is_good(record: RequestRecord, targets: Targets) -> bool:
    """It succeeded and kept every target that applies: a request without output tokens has an end only, and one with a
    single token has no time between tokens."""
    if record.outcome is not Outcome.OK:
        return False
    limits = ((record.ttft, targets.ttft_ms), (record.tpot, targets.itl_ms), (record.e2e, targets.e2e_ms))
    return all(seconds * 1000 <= limit for seconds, limit in limits if seconds is not None and limit is not None)


def goodput(records: Sequence[RequestRecord], targets: Targets, elapsed_s: float) -> Goodput | None:
    """None: there are no targets, or nothing ended."""
    ended = [record for record in records if record.outcome is not Outcome.OPEN]
    if not targets or not ended:
        return None
    good = [record for record in ended if is_good(record, targets)]
    return Goodput(
        share=len(good) / len(ended),
        requests_per_s=len(good) / elapsed_s,
        output_tokens_per_s=sum(record.num_output_tokens for record in good) / elapsed_s,
        texts_per_s=sum(record.num_texts for record in good) / elapsed_s,
    )
