"""All metrics of all processes, as numbers in one memory segment.

    | magic, slots, values, bytes of description | description (msgpack) | float64[num_slots, num_values] |

A slot belongs to a role and id, not to one life of the process: a counter goes on where the dead predecessor left it,
gauges start at 0 (`reset_gauges`). One process writes a slot; whoever renders adds up the slots. The description lists
the series, so that a reader needs to know no table. A histogram is its buckets' counts (each counted once), then the
sum.
"""

from bisect import bisect_left
from itertools import product
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ipc.errors import ProtocolError
from ipc.metric_families import FAMILIES, LABEL_VALUES, OTHER, Family, MetricKind
from ipc.segments import Segment

MAGIC = 0x5A4C_4D45_5452_0001  # "ZLMETR", layout version 1
_HEADER_WORDS = 4
_ALIGNMENT = 64

Floats = npt.NDArray[np.float64]
LabelValues = tuple[str, ...]


class Series(Struct, frozen=True, array_like=True):
    """Where the numbers of one family with one combination of label values lie in a slot."""

    family: int  # index of the description's families
    label_values: tuple[str, ...]
    first: int  # index of its first value


class Description(Struct, frozen=True, array_like=True):
    families: list[Family]
    series: list[Series]
    num_values: int


class HistogramReading(NamedTuple):
    counts: tuple[float, ...]  # one a bucket, +Inf last, each observation counted once
    sum: float


class FamilyReading(NamedTuple):
    """One family, summed over all slots, by label values: histograms in `histograms`, the others in `values`."""

    family: Family
    values: dict[LabelValues, float]
    histograms: dict[LabelValues, HistogramReading]


class Counter:
    """Only goes up. Writing is one addition in memory; nobody is asked."""

    def __init__(self, values: Floats, index: int) -> None:
        self._values = values
        self._index = index

    def add(self, amount: float = 1.0) -> None:
        self._values[self._index] += amount


class Gauge:
    def __init__(self, values: Floats, index: int) -> None:
        self._values = values
        self._index = index

    def set(self, value: float) -> None:
        self._values[self._index] = value

    def add(self, amount: float) -> None:
        self._values[self._index] += amount


class Histogram:
    def __init__(self, values: Floats, bounds: tuple[float, ...]) -> None:
        """`values`: this series' counts and sum."""
        self._values = values
        self._few_bounds, self._bounds = bounds, np.array(bounds)

    def observe(self, value: float) -> None:
        self._values[bisect_left(self._few_bounds, value)] += 1
        self._values[-1] += value

    def observe_many(self, values: npt.NDArray[np.floating]) -> None:
        counts = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._bounds) + 1)
        self._values[:-1] += counts
        self._values[-1] += values.sum()


class MetricsWriter:
    """One slot. Ask for each series once and keep it."""

    def __init__(self, values: Floats, description: Description) -> None:
        self._values = values
        self._description = description
        self._places = {
            (description.families[series.family].name, series.label_values): series for series in description.series
        }

    def counter(self, name: str, *labels: str) -> Counter:
        """Raises ValueError for a name or label value that is not in the table."""
        return Counter(self._values, self._find(MetricKind.COUNTER, name, labels)[0].first)

    def gauge(self, name: str, *labels: str) -> Gauge:
        """Raises ValueError for a name or label value that is not in the table."""
        return Gauge(self._values, self._find(MetricKind.GAUGE, name, labels)[0].first)

    def histogram(self, name: str, *labels: str) -> Histogram:
        """Raises ValueError for a name or label value that is not in the table."""
        series, family = self._find(MetricKind.HISTOGRAM, name, labels)
        return Histogram(self._values[series.first : series.first + _width(family)], family.buckets)

    def reset_gauges(self) -> None:
        """At the start of a life, and for a slot whose process is gone: states it left behind are not true any more."""
        for series in self._description.series:
            if self._description.families[series.family].kind is MetricKind.GAUGE:
                self._values[series.first] = 0.0

    def _find(self, kind: MetricKind, name: str, labels: LabelValues) -> tuple[Series, Family]:
        series = self._places.get((name, labels)) or self._places.get((name, self._with_other(name, labels)))
        if series is None or self._description.families[series.family].kind is not kind:
            raise ValueError(f"there is no {kind.name.lower()} {name} with the labels {labels}")
        return series, self._description.families[series.family]

    def _with_other(self, name: str, labels: LabelValues) -> LabelValues:
        """The labels with values not in the table replaced by OTHER, where their label has that."""
        family = next((family for family in self._description.families if family.name == name), None)
        if family is None or len(family.labels) != len(labels):
            return labels
        return tuple(
            OTHER if value not in (known := LABEL_VALUES.get(label, ())) and OTHER in known else value
            for label, value in zip(family.labels, labels, strict=True)
        )


class MetricsPage:
    """The whole page, attached by every process; `segment.fd` is what travels."""

    def __init__(self, segment: Segment, description: Description, values: Floats) -> None:
        """Use `create` or `attach`."""
        self.segment = segment
        self._description = description
        self._values = values  # [num_slots, num_values]
        names = [family.name for family in description.families]
        self._plain = {names[one.family]: one.first for one in description.series if not one.label_values}

    @classmethod
    def create(cls, model_names: list[str], num_slots: int) -> "MetricsPage":
        """A fresh page of zeros. Raises SegmentError when there is no memory for it."""
        description = _describe(model_names)
        packed = msgspec.msgpack.encode(description)
        start = _values_start(len(packed))
        segment = Segment.create("zerolane-metrics", start + num_slots * description.num_values * 8)
        segment.view[_HEADER_WORDS * 8 : _HEADER_WORDS * 8 + len(packed)] = packed
        header = segment.view[: _HEADER_WORDS * 8].cast("Q")
        header[0], header[1], header[2], header[3] = MAGIC, num_slots, description.num_values, len(packed)
        return cls._map(segment)

    @classmethod
    def attach(cls, fd: int) -> "MetricsPage":
        """Map another process' page; takes over `fd`. Raises ProtocolError when it is none, SegmentError."""
        segment = Segment.attach(fd)
        try:
            return cls._map(segment)
        except (msgspec.DecodeError, ValueError) as error:
            segment.close()
            raise ProtocolError(f"the segment holds no metrics page: {error}") from error

    @property
    def num_slots(self) -> int:
        return int(self._values.shape[0])

    def writer(self, slot: int) -> MetricsWriter:
        """For the one process that writes this slot."""
        return MetricsWriter(self._values[slot], self._description)

    def read(self) -> list[FamilyReading]:
        """All families in the table's order, summed over the slots."""
        totals = self._values.sum(axis=0)
        readings = [FamilyReading(family, {}, {}) for family in self._description.families]
        for series in self._description.series:
            family, values, histograms = readings[series.family]
            if family.kind is MetricKind.HISTOGRAM:
                numbers = totals[series.first : series.first + _width(family)].tolist()
                histograms[series.label_values] = HistogramReading(tuple(numbers[:-1]), numbers[-1])
            else:
                values[series.label_values] = float(totals[series.first])
        return readings

    def of_slot(self, slot: int, name: str) -> float:
        """The value of a counter or gauge without labels that one process writes. Raises ValueError for no such."""
        if name not in self._plain:
            raise ValueError(f"there is no metric {name} without labels")
        return float(self._values[slot, self._plain[name]])

    def close(self) -> None:
        """Writers made before keep their memory. Twice is fine."""
        self._values = np.zeros((0, 0))
        self.segment.close()

    @classmethod
    def _map(cls, segment: Segment) -> "MetricsPage":
        if segment.size < _HEADER_WORDS * 8:
            raise ValueError("too short")
        magic, num_slots, num_values, length = segment.view[: _HEADER_WORDS * 8].cast("Q")
        start = _values_start(length)
        if magic != MAGIC or start + num_slots * num_values * 8 != segment.size:
            raise ValueError("its header does not fit its size")
        packed = segment.view[_HEADER_WORDS * 8 : _HEADER_WORDS * 8 + length]
        description = msgspec.msgpack.decode(packed, type=Description)
        values = np.frombuffer(segment.view, np.float64, num_slots * num_values, start)
        return cls(segment, description, values.reshape(num_slots, num_values))


def _values_start(packed_bytes: int) -> int:
    return -(-(_HEADER_WORDS * 8 + packed_bytes) // _ALIGNMENT) * _ALIGNMENT


def _width(family: Family) -> int:
    """Values of one series: a histogram has its buckets, +Inf and the sum."""
    return len(family.buckets) + 2 if family.kind is MetricKind.HISTOGRAM else 1


def _describe(model_names: list[str]) -> Description:
    known = LABEL_VALUES | {"model": tuple(model_names)}
    series: list[Series] = []
    num_values = 0
    for index, family in enumerate(FAMILIES):
        for label_values in product(*(known[label] for label in family.labels)):
            series.append(Series(index, label_values, num_values))
            num_values += _width(family)
    return Description(list(FAMILIES), series, num_values)
