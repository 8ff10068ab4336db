"""Metrics whose values are kept elsewhere as plain numbers, and read when somebody asks for them.

The fan-out counts with `+=`: a counter of the metrics library takes a lock and costs ten times as
much, which a room of two would notice.
"""

import os
import resource
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Numbers = float | Mapping[str, float]
"""One number, or one for each value of the only label."""


class Reading(Collector):
    """A counter or a gauge that asks for its numbers; it has none until `read` is set."""

    def __init__(
        self,
        family: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        meaning: str,
        labels: Sequence[str] = (),
    ) -> None:
        self._family = family
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self.read: Callable[[], Numbers] = dict

    def describe(self) -> Iterator[Metric]:
        """Yield the metric without numbers."""
        yield self._family(self._name, self._meaning, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric with the numbers of this moment."""
        metric = self._family(self._name, self._meaning, labels=self._labels)
        numbers = self.read()
        if isinstance(numbers, Mapping):
            for label, number in numbers.items():
                metric.add_metric((label,), number)
        else:
            metric.add_metric((), numbers)
        yield metric


class Number:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        """Add one."""
        self.value += 1


class Numbered(Collector):
    """A counter with labels whose every number costs one addition; for one thread."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str]) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = tuple(labels)
        self._numbers: dict[tuple[str, ...], Number] = {}

    def labels(self, *values: object) -> Number:
        """Return the number of these values of the labels, always the same."""
        return self._numbers.setdefault(_shown(values), Number())

    def describe(self) -> Iterator[Metric]:
        """Yield the metric without numbers."""
        yield CounterMetricFamily(self._name, self._meaning, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric with the numbers of this moment."""
        metric = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, number in self._numbers.items():
            metric.add_metric(values, number.value)
        yield metric


class Distribution(Collector):
    """A histogram that costs one search and two additions; for one thread.

    With labels, each of their values has a distribution of its own.
    """

    def __init__(
        self, name: str, meaning: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._bounds = tuple(bounds)
        self._labels = tuple(labels)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._parts: dict[tuple[str, ...], Distribution] = {} if labels else {(): self}

    def labels(self, *values: object) -> "Distribution":
        """Return the distribution of these values of the labels, always the same."""
        shown = _shown(values)
        if shown not in self._parts:
            self._parts[shown] = Distribution(self._name, self._meaning, self._bounds)
        return self._parts[shown]

    @property
    def count(self) -> int:
        """How often something was observed."""
        return sum(self._counts)

    def observe(self, value: float) -> None:
        """Count a value in the bucket with the least bound that is not below it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def describe(self) -> Iterator[Metric]:
        """Yield the metric without numbers."""
        yield HistogramMetricFamily(self._name, self._meaning, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric with the numbers of this moment."""
        metric = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, part in self._parts.items():
            part.add_to(metric, values)
        yield metric

    def add_to(self, metric: HistogramMetricFamily, values: Sequence[str]) -> None:
        """Add what was observed to a metric, for these values of its labels."""
        bounds = map(floatToGoString, (*self._bounds, float("inf")))
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        metric.add_metric(values, buckets, self._sum)


def _shown(values: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(map(str, values))


class Process(Collector):
    """The process under the names that every exporter uses.

    Not the library's own: it lists all descriptors, which takes 15 ms and more with 20,000 of them.
    """

    def __init__(self) -> None:
        self._started = time.time() - _age()

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics: they are cheap."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """Yield what the operating system tells; it tells memory and descriptors only on Linux."""
        cpu = time.process_time()
        yield CounterMetricFamily("process_cpu_seconds", "CPU time, user and system.", cpu)
        yield GaugeMetricFamily(
            "process_start_time_seconds", "When the process began, since 1970.", self._started
        )
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        yield GaugeMetricFamily("process_max_fds", "Descriptors that may be open.", limit)
        try:
            mapped, resident = map(int, Path("/proc/self/statm").read_text().split()[:2])
            descriptors = _descriptors()
        except OSError:
            return
        size = resource.getpagesize()
        yield GaugeMetricFamily(
            "process_virtual_memory_bytes", "Memory that is mapped.", mapped * size
        )
        yield GaugeMetricFamily(
            "process_resident_memory_bytes", "Memory that is in use.", resident * size
        )
        yield GaugeMetricFamily("process_open_fds", "Descriptors that are open.", descriptors)


def _descriptors() -> int:
    """Return how many descriptors are open: Linux tells it since 6.2 as the directory's size."""
    directory = Path("/proc/self/fd")
    return directory.stat().st_size or len(list(directory.iterdir()))


def _age() -> float:
    """Return the seconds since the process began, zero where the system does not tell."""
    try:
        started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(started) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return 0.0
