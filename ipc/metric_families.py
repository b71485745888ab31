"""The table of all metrics: names, kinds, help texts, label values, histogram bounds.

The numbers are in `metrics_page.py`. Names start with "zerolane_" in the table and wherever they are used. All label
values are known beforehand, because each series has a fixed place in shared memory.
"""

from enum import IntEnum

from msgspec import Struct


class MetricKind(IntEnum):
    COUNTER = 1  # only goes up; outlives the process that counts
    GAUGE = 2  # a state; gone with the process
    HISTOGRAM = 3


class Family(Struct, frozen=True, array_like=True):
    """One metric with all its series."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # upper bounds, rising, without the last one (+Inf)


_WAIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOKEN_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

OTHER = "other"  # stands for every label value not listed here
LABEL_VALUES: dict[str, tuple[str, ...]] = {  # "model" is not here: its values come from the served models
    "reason": ("stop", "length", "abort", "error"),
    "role": ("frontend", "scheduler", "forkserver", "worker", "spare", "loader", "keeper"),
    "route": (
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/score",
        "/score",
        "/v1/rerank",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/models",
        "/v1/models/{id}",
        "/health",
        "/ready",
        "/version",
        "/metrics",
        "/admin/workers",
        "/tokenize",
        "/detokenize",
        "/v1/tokenize",
        "/v1/detokenize",
        "/rerank",
        "/v2/rerank",
        "/classify",
        "/v1/classify",
        "/pooling",
        "/v1/pooling",
        "/embeddings",
        "/v2/embed",
        "/v1/embed",
        "/v1/responses/input_tokens",
        "/v1/responses/{id}",
        "/v1/responses/{id}/cancel",
        "/v1/responses/{id}/input_items",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/openapi.json",
        "/docs",
        OTHER,
    ),
    "status": ("200", "400", "401", "403", "404", "405", "408", "413", "422", "429", "499", "500", "503", "504", OTHER),
}

C, G, H = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM
M = ("model",)

FAMILIES: tuple[Family, ...] = (
    Family("zerolane_num_requests_running", G, "Streams that have KV pages and are planned into steps.", M),
    Family("zerolane_num_requests_waiting", G, "Streams that wait for their first step.", M),
    Family("zerolane_waiting_tokens", G, "Prompt tokens of the waiting streams.", M),
    Family("zerolane_kv_pages_used", G, "KV pages that a running stream holds.", M),
    Family("zerolane_kv_pages_total", G, "KV pages of the pool.", M),
    Family("zerolane_kv_pages_cached", G, "KV pages no stream holds, kept for their prefix.", M),
    Family("zerolane_prompt_tokens_total", C, "Prompt tokens of admitted requests.", M),
    Family("zerolane_prompt_tokens_cached_total", C, "Prompt tokens found in the prefix cache.", M),
    Family("zerolane_generation_tokens_total", C, "Output tokens committed.", M),
    Family("zerolane_prefilled_tokens_total", C, "Tokens computed in prefill.", M),
    Family("zerolane_reprefilled_tokens_total", C, "Tokens computed in prefill once more.", M),
    Family("zerolane_migrated_pages_total", C, "KV pages copied from one pool to another.", M),
    Family("zerolane_requests_finished_total", C, "Streams that ended, by reason.", ("model", "reason")),
    Family("zerolane_preemptions_total", C, "Running streams sent back to wait.", M),
    Family("zerolane_score_pairs_total", C, "Text pairs scored.", M),
    Family("zerolane_time_to_first_token_seconds", H, "From arrival to the first token.", M, _WAIT_S),
    Family("zerolane_inter_token_seconds", H, "Between two tokens of a stream.", M, _TOKEN_S),
    Family("zerolane_request_seconds", H, "From arrival to the last token.", M, _REQUEST_S),
    Family("zerolane_queue_seconds", H, "From arrival to the first step.", M, _WAIT_S),
    Family("zerolane_steps_total", C, "Steps computed.", M),
    Family("zerolane_step_seconds", H, "From giving a step to a worker to its results.", M, _TOKEN_S),
    Family("zerolane_worker_steps_total", C, "Steps computed by workers, counted by them."),
    Family("zerolane_workers", G, "Workers that take steps."),
    Family("zerolane_spares", G, "Workers that wait to take over."),
    Family("zerolane_worker_hangs_total", C, "Workers killed because a step was past its deadline."),
    Family("zerolane_worker_deaths_total", C, "Workers that ended without being asked to."),
    Family("zerolane_process_restarts_total", C, "Processes started again after they ended.", ("role",)),
    Family("zerolane_http_requests_total", C, "HTTP requests answered.", ("route", "status")),
    Family("zerolane_http_requests_in_flight", G, "HTTP requests being answered.", ("route",)),
    Family("zerolane_client_disconnects_total", C, "Clients that left before their answer was complete."),
)
