"""The scheduler's numbers on the metrics page: counters as things happen, gauges once a loop."""

import time
from dataclasses import dataclass

from ipc.messages import FinishReason
from ipc.metrics_page import Counter, Gauge, Histogram, MetricsWriter
from scheduler.ledger import Ledger
from scheduler.score_queue import ScoreQueue

REASONS = {FinishReason.STOP: "stop", FinishReason.LENGTH: "length", FinishReason.ABORT: "abort", None: "error"}


@dataclass(frozen=True)
class ModelMetrics:
    """One model's metrics, resolved once."""

    running: Gauge
    waiting: Gauge
    waiting_tokens: Gauge
    pages_used: Gauge
    pages_total: Gauge
    pages_cached: Gauge
    prompt_tokens: Counter
    cached_tokens: Counter
    prefilled_tokens: Counter
    reprefilled_tokens: Counter
    migrated_pages: Counter
    generation_tokens: Counter
    preemptions: Counter
    score_pairs: Counter
    steps: Counter
    finished_by_reason: dict[FinishReason | None, Counter]
    time_to_first_token: Histogram
    inter_token: Histogram
    request_seconds: Histogram
    queue_seconds: Histogram
    step_seconds: Histogram

    def finished(self, reason: FinishReason | None, arrived: float) -> None:
        """A request or stream had its final message; None: an error."""
        self.finished_by_reason[reason].add(1)
        self.request_seconds.observe(time.monotonic() - arrived)


def model_metrics(writer: MetricsWriter, model: str) -> ModelMetrics:
    """Resolve all of one model's metrics."""

    def counter(name: str) -> Counter:
        return writer.counter(f"zerolane_{name}", model)

    def gauge(name: str) -> Gauge:
        return writer.gauge(f"zerolane_{name}", model)

    def histogram(name: str) -> Histogram:
        return writer.histogram(f"zerolane_{name}", model)

    return ModelMetrics(
        running=gauge("num_requests_running"),
        waiting=gauge("num_requests_waiting"),
        waiting_tokens=gauge("waiting_tokens"),
        pages_used=gauge("kv_pages_used"),
        pages_total=gauge("kv_pages_total"),
        pages_cached=gauge("kv_pages_cached"),
        prompt_tokens=counter("prompt_tokens_total"),
        cached_tokens=counter("prompt_tokens_cached_total"),
        prefilled_tokens=counter("prefilled_tokens_total"),
        reprefilled_tokens=counter("reprefilled_tokens_total"),
        migrated_pages=counter("migrated_pages_total"),
        generation_tokens=counter("generation_tokens_total"),
        preemptions=counter("preemptions_total"),
        score_pairs=counter("score_pairs_total"),
        steps=counter("steps_total"),
        finished_by_reason={
            reason: writer.counter("zerolane_requests_finished_total", model, text) for reason, text in REASONS.items()
        },
        time_to_first_token=histogram("time_to_first_token_seconds"),
        inter_token=histogram("inter_token_seconds"),
        request_seconds=histogram("request_seconds"),
        queue_seconds=histogram("queue_seconds"),
        step_seconds=histogram("step_seconds"),
    )


def show_ledger(metrics: ModelMetrics, ledger: Ledger) -> None:
    """Gauges of a generate model; takes over the preemptions counted since the last time."""
    pools = [cache.pool for cache in ledger.pages.caches.values()]
    metrics.running.set(ledger.num_running)
    metrics.waiting.set(ledger.waiting.num_waiting)
    metrics.waiting_tokens.set(ledger.waiting.num_tokens)
    metrics.pages_used.set(sum(pool.num_used for pool in pools))
    metrics.pages_cached.set(sum(pool.num_cached_free for pool in pools))
    metrics.pages_total.set(sum(pool.num_pages for pool in pools))
    metrics.preemptions.add(ledger.num_preemptions)
    ledger.num_preemptions = 0


def show_scores(metrics: ModelMetrics, queue: ScoreQueue) -> None:
    """Gauges of a score model."""
    metrics.running.set(queue.num_running)
    metrics.waiting.set(queue.num_waiting)
    metrics.waiting_tokens.set(queue.num_waiting_tokens)
