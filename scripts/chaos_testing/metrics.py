"""/metrics as numbers, and whether they agree with what was done to the server."""

import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families

from scripts.chaos_testing.http_client import Attempt

SETTLE_S = 10.0
GAUGES_AT_REST = (
    "zerolane_num_requests_running",
    "zerolane_num_requests_waiting",
    "zerolane_waiting_tokens",
    "zerolane_kv_pages_used",
)


class Metrics:
    """One reading."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples of `name` that carry these labels."""
        return sum(
            sample.value for sample in self._samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def by_name(self) -> dict[str, float]:
        """The total of every metric that is no histogram's bucket."""
        names = {sample.name for sample in self._samples if not sample.name.endswith("_bucket")}
        return {name: self.total(name) for name in sorted(names)}


def read_metrics(url: str) -> Metrics:
    with urllib.request.urlopen(f"{url}/metrics", timeout=SETTLE_S) as response:
        return Metrics(response.read().decode())


def settled_metrics(url: str) -> Metrics:
    """Once nothing is open any more, or as they are after SETTLE_S."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        found = read_metrics(url)
        if not any(found.total(name) for name in GAUGES_AT_REST) or time.monotonic() > deadline:
            return found
        time.sleep(0.1)  # gauges can only be looked at


def disagreements(metrics: Metrics, attempts: Sequence[Attempt], killed: Mapping[str, int]) -> list[str]:
    """Sentences about what /metrics says otherwise than this program knows it.

    `killed`: how many processes of each role were killed or stopped. What a frontend or scheduler did not live to
    tell is no disagreement: where these were killed, counts of requests are bounds.
    """
    return [
        f"{what}: /metrics says {said:g}, this program {known}"
        for what, said, low, high in _expectations(metrics, attempts, killed)
        if not low <= said <= high
        for known in [f"{low:g}" if low == high else f"{low:g} to {high:g}"]
    ]


def _expectations(
    metrics: Metrics, attempts: Sequence[Attempt], killed: Mapping[str, int]
) -> Iterator[tuple[str, float, float, float]]:
    """(what, value read, least, most)"""
    total = metrics.total
    num_workers = killed.get("worker", 0) + killed.get("spare", 0)
    yield "worker deaths", total("zerolane_worker_deaths_total"), num_workers, num_workers
    for roles in (("worker", "spare"), ("frontend",), ("scheduler",)):
        restarts = sum(total("zerolane_process_restarts_total", role=role) for role in roles)
        num_killed = sum(killed.get(role, 0) for role in roles)
        yield f"restarts of {' and '.join(roles)}", restarts, num_killed, num_killed
    if not killed.get("scheduler"):
        yield "tokens prefilled again", total("zerolane_reprefilled_tokens_total"), 0, 0
    for name in GAUGES_AT_REST:
        yield f"{name} at the end", total(name), 0, 0
    yield from _request_expectations(metrics, attempts, killed)


def _request_expectations(
    metrics: Metrics, attempts: Sequence[Attempt], killed: Mapping[str, int]
) -> Iterator[tuple[str, float, float, float]]:
    finished = "zerolane_requests_finished_total"
    answered = [attempt.question for attempt in attempts if attempt.answer is not None]
    lost = [attempt.question for attempt in attempts if attempt.is_excused]
    num_poison = sum(attempt.question.is_poison for attempt in attempts)
    num_streams = sum(question.num_streams for question in answered)
    spare_streams = sum(question.num_streams for question in lost)
    if killed.get("scheduler"):  # what it had counted but not yet sent when it died is counted by its successor again
        spare_streams += killed["scheduler"] * max(1, len(attempts))
    said = sum(metrics.total(finished, reason=reason) for reason in ("stop", "length"))
    yield "requests finished", said, num_streams, num_streams + spare_streams
    yield "requests failed", metrics.total(finished, reason="error"), num_poison, num_poison
    yield "requests aborted", metrics.total(finished, reason="abort"), 0, sum(question.num_streams for question in lost)
    num_pairs = sum(question.num_pairs for question in answered)
    most_pairs = num_pairs + sum(question.num_pairs for question in lost)
    if not killed.get("scheduler"):
        yield "pairs scored", metrics.total("zerolane_score_pairs_total"), num_pairs, most_pairs
