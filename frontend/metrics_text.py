"""Renders the numbers of the metrics page as Prometheus' text format."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ipc.metric_families import MetricKind
from ipc.metrics_page import FamilyReading


class _PageCollector(Collector):
    def __init__(self, readings: Sequence[FamilyReading]) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Metric]:
        return [_metric(reading) for reading in self._readings]


def metrics_text(readings: Sequence[FamilyReading]) -> bytes:
    """One read of the page as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_PageCollector(readings))
    return generate_latest(registry)


def _metric(reading: FamilyReading) -> Metric:
    family = reading.family
    if family.kind is MetricKind.HISTOGRAM:
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        bounds = [*map(str, family.buckets), "+Inf"]
        for labels, numbers in reading.histograms.items():
            counts = accumulate(numbers.counts)  # Prometheus' buckets are cumulative
            histogram.add_metric(labels, list(zip(bounds, counts, strict=True)), numbers.sum)
        return histogram
    kind = CounterMetricFamily if family.kind is MetricKind.COUNTER else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in reading.values.items():
        metric.add_metric(labels, value)
    return metric
