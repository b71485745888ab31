"""Reads /metrics as Prometheus would."""

import httpx
from prometheus_client.parser import text_string_to_metric_families


def metric(url: str, name: str, **labels: str) -> float:
    """The sum of all samples of `name` that carry these labels."""
    text = httpx.get(f"{url}/metrics", timeout=10.0).raise_for_status().text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
