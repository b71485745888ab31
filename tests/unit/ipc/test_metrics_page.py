"""Numbers written in one slot are read by everybody, summed over the slots, and outlive their writer."""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from ipc.errors import ProtocolError
from ipc.metric_families import FAMILIES, LABEL_VALUES, MetricKind
from ipc.metrics_page import FamilyReading, HistogramReading, MetricsPage
from ipc.segments import Segment, SegmentError

STEPS = "zerolane_steps_total"
RUNNING = "zerolane_num_requests_running"
STEP_SECONDS = "zerolane_step_seconds"
HTTP = "zerolane_http_requests_total"


@pytest.fixture
def page() -> Iterator[MetricsPage]:
    made = MetricsPage.create(["chat", "rerank"], num_slots=3)
    yield made
    made.close()
    made.close()


def _read(page: MetricsPage, name: str) -> FamilyReading:
    return next(reading for reading in page.read() if reading.family.name == name)


def test_counters_add_up_over_slots(page: MetricsPage) -> None:
    page.writer(0).counter(STEPS, "chat").add(2)
    page.writer(2).counter(STEPS, "chat").add(3.5)
    page.writer(1).counter(STEPS, "rerank").add()
    assert _read(page, STEPS).values == {("chat",): 5.5, ("rerank",): 1.0}


def test_an_attached_page_is_the_same_page(page: MetricsPage) -> None:
    other = MetricsPage.attach(os.dup(page.segment.fd))
    assert other.num_slots == 3
    other.writer(1).gauge(RUNNING, "chat").set(4)
    assert _read(page, RUNNING).values[("chat",)] == 4
    other.close()


def test_a_successor_goes_on_counting_and_starts_with_fresh_gauges(page: MetricsPage) -> None:
    first = page.writer(0)
    first.counter(STEPS, "chat").add(10)
    first.gauge(RUNNING, "chat").set(7)
    first.histogram(STEP_SECONDS, "chat").observe(0.1)
    second = page.writer(0)
    second.reset_gauges()
    second.counter(STEPS, "chat").add(1)
    assert _read(page, STEPS).values[("chat",)] == 11
    assert _read(page, RUNNING).values[("chat",)] == 0
    assert sum(_read(page, STEP_SECONDS).histograms[("chat",)].counts) == 1


def test_gauges_go_up_and_down(page: MetricsPage) -> None:
    gauge = page.writer(0).gauge("zerolane_http_requests_in_flight", "/v1/score")
    gauge.add(2)
    gauge.add(-1)
    assert _read(page, "zerolane_http_requests_in_flight").values[("/v1/score",)] == 1


def test_observations_land_in_the_bucket_whose_bound_they_do_not_pass(page: MetricsPage) -> None:
    """prometheus' le: a bucket holds what is less than or equal to its bound."""
    histogram = page.writer(0).histogram(STEP_SECONDS, "chat")
    bounds = next(family for family in FAMILIES if family.name == STEP_SECONDS).buckets
    for value in (0.0, bounds[0], bounds[0] * 1.01, bounds[-1], bounds[-1] + 1):
        histogram.observe(value)
    counts, total = _read(page, STEP_SECONDS).histograms[("chat",)]
    assert counts == (2.0, 1.0, *[0.0] * (len(bounds) - 3), 1.0, 1.0)
    assert total == pytest.approx(bounds[0] * 2.01 + bounds[-1] * 2 + 1)


def test_many_observations_at_once_are_the_same_as_one_by_one(page: MetricsPage) -> None:
    values = np.random.default_rng(0).exponential(0.1, 500)
    page.writer(0).histogram(STEP_SECONDS, "chat").observe_many(values)
    page.writer(0).histogram(STEP_SECONDS, "chat").observe_many(np.zeros(0))
    singly = page.writer(0).histogram(STEP_SECONDS, "rerank")
    for value in values.tolist():
        singly.observe(value)
    at_once, one_by_one = (_read(page, STEP_SECONDS).histograms[(model,)] for model in ("chat", "rerank"))
    assert isinstance(at_once, HistogramReading)
    assert at_once.counts == one_by_one.counts
    assert at_once.sum == pytest.approx(one_by_one.sum)


def test_unknown_routes_and_statuses_count_as_other(page: MetricsPage) -> None:
    counter = page.writer(0)
    counter.counter(HTTP, "/wp-login.php", "404").add()
    counter.counter(HTTP, "/health", "418").add()
    values = _read(page, HTTP).values
    assert values[("other", "404")] == 1
    assert values[("/health", "other")] == 1


@pytest.mark.parametrize(
    ("kind", "name", "labels"),
    [
        ("counter", "zerolane_nonsense_total", ()),
        ("counter", STEPS, ("no such model",)),
        ("counter", STEPS, ()),
        ("counter", RUNNING, ("chat",)),
        ("gauge", STEPS, ("chat",)),
        ("histogram", STEPS, ("chat",)),
        ("counter", "zerolane_process_restarts_total", ("janitor",)),
    ],
)
def test_what_is_not_in_the_table_is_refused(page: MetricsPage, kind: str, name: str, labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="there is no"):
        getattr(page.writer(0), kind)(name, *labels)


def test_every_series_has_numbers_of_its_own(page: MetricsPage) -> None:
    writer = page.writer(1)
    for number, reading in enumerate(page.read()):
        for labels in [*reading.values, *reading.histograms]:
            match reading.family.kind:
                case MetricKind.COUNTER:
                    writer.counter(reading.family.name, *labels).add(number)
                case MetricKind.GAUGE:
                    writer.gauge(reading.family.name, *labels).set(number)
                case MetricKind.HISTOGRAM:
                    writer.histogram(reading.family.name, *labels).observe(number)
    for number, reading in enumerate(page.read()):
        assert set(reading.values.values()) <= {number}, reading.family.name
        assert {(sum(counts), total) for counts, total in reading.histograms.values()} <= {(1.0, number)}


def test_the_table_is_well_formed() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert family.name.startswith("zerolane_")
        assert family.help.endswith(".")
        assert all(label == "model" or label in LABEL_VALUES for label in family.labels)
        assert (family.kind is MetricKind.HISTOGRAM) == bool(family.buckets)
        assert list(family.buckets) == sorted(set(family.buckets))
        assert family.name.endswith("_total") or family.kind is not MetricKind.COUNTER


def test_memory_that_is_no_page_is_refused() -> None:
    for size in (8, 4096):
        segment = Segment.create("other", size)
        with pytest.raises(ProtocolError, match="no metrics page"):
            MetricsPage.attach(os.dup(segment.fd))
        segment.close()
    with pytest.raises(SegmentError):
        MetricsPage.attach(os.open("/dev/null", os.O_RDWR))


def test_a_damaged_description_is_refused(page: MetricsPage) -> None:
    page.segment.view[40:60] = b"\xc1" * 20
    with pytest.raises(ProtocolError, match="no metrics page"):
        MetricsPage.attach(os.dup(page.segment.fd))


def test_one_process_can_be_looked_at() -> None:
    page = MetricsPage.create(["m"], 2)
    page.writer(1).counter("zerolane_worker_steps_total").add(3)
    assert [page.of_slot(slot, "zerolane_worker_steps_total") for slot in (0, 1)] == [0.0, 3.0]
    with pytest.raises(ValueError, match="no metric zerolane_steps_total without labels"):
        page.of_slot(0, "zerolane_steps_total")  # one value a model
    page.close()
