"""Numbers that others keep: what is scraped is what they say at that moment."""

import os
import resource
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from greenroom.telemetry import readings
from greenroom.telemetry.readings import Distribution, Numbered, Process, Reading


def test_one_number() -> None:
    """A reading without labels has no sample until somebody keeps the number."""
    registry = CollectorRegistry()
    reading = Reading(GaugeMetricFamily, "depth", "How deep.")
    registry.register(reading)
    assert registry.get_sample_value("depth") is None
    depths = iter((3, 4))
    reading.read = lambda: next(depths)
    assert registry.get_sample_value("depth") == 3
    assert registry.get_sample_value("depth") == 4


def test_a_number_for_each_value() -> None:
    """A reading with a label has a sample for each of its values."""
    registry = CollectorRegistry()
    reading = Reading(CounterMetricFamily, "sent", "Sent.", ("kind",))
    registry.register(reading)
    reading.read = lambda: {"a": 1, "b": 2}
    assert registry.get_sample_value("sent_total", {"kind": "b"}) == 2


class Descriptors:
    """In place of the directory of descriptors: what its size says, and what is in it."""

    def __init__(self, size: int, listed: int) -> None:
        self.size, self.listed = size, listed

    def stat(self) -> SimpleNamespace:
        return SimpleNamespace(st_size=self.size)

    def iterdir(self) -> range:
        assert not self.size, "it takes long where there are many"
        return range(self.listed)


@pytest.mark.parametrize(("size", "listed", "told"), [(123, 9, 123), (0, 9, 9)])
def test_how_many_descriptors_are_open(
    monkeypatch: pytest.MonkeyPatch, size: int, listed: int, told: int
) -> None:
    """The size of the directory says it, where the system does so; else they are counted."""
    monkeypatch.setattr(readings, "Path", lambda _: Descriptors(size, listed))
    assert readings._descriptors() == told


def test_names_are_taken_once() -> None:
    """A name that is in the registry is refused, whoever keeps its numbers."""
    registry = CollectorRegistry()
    registry.register(Reading(GaugeMetricFamily, "depth", "How deep."))
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(Distribution("depth", "How deep.", (1.0,)))


@given(st.lists(st.sampled_from((0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 5.0))))
def test_a_distribution_is_a_histogram(values: list[float]) -> None:
    """A distribution is scraped exactly as the library's histogram of the same values."""
    bounds = (0.1, 0.25, 1.0)
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    distribution = Distribution("seconds", "Time.", bounds)
    ours.register(distribution)
    histogram = Histogram("seconds", "Time.", buckets=bounds, registry=theirs)
    for value in values:
        distribution.observe(value)
        histogram.observe(value)
    text = generate_latest(theirs).decode().partition("# HELP seconds_created")[0]
    assert generate_latest(ours).decode() == text
    assert distribution.count == len(values)


@given(st.lists(st.sampled_from((("a", 200), ("a", 400), ("b", "200")))))
def test_a_numbered_counter_is_a_counter(counted: list[tuple[str, object]]) -> None:
    """With the same counts it is scraped exactly as the library's counter."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    numbered = Numbered("calls", "Calls.", ("name", "status"))
    ours.register(numbered)
    counter = Counter("calls", "Calls.", ("name", "status"), registry=theirs)
    numbered.labels("never", 500)
    counter.labels("never", 500)
    for values in counted:
        numbered.labels(*values).inc()
        counter.labels(*values).inc()
    text = generate_latest(theirs).decode().partition("# HELP calls_created")[0]
    assert generate_latest(ours).decode() == text


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from((0.05, 0.1, 5.0)))))
def test_distributions_by_label_are_a_histogram(observed: list[tuple[str, float]]) -> None:
    """Each value of a label has its own, scraped exactly as the library does it."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    distribution = Distribution("seconds", "Time.", (0.1, 1.0), ("name",))
    ours.register(distribution)
    histogram = Histogram("seconds", "Time.", ("name",), buckets=(0.1, 1.0), registry=theirs)
    for name, value in observed:
        distribution.labels(name).observe(value)
        histogram.labels(name).observe(value)
    text = generate_latest(theirs).decode().partition("# HELP seconds_created")[0]
    assert generate_latest(ours).decode() == text


def test_the_values_of_labels_have_one_distribution_each() -> None:
    """It is the same whenever it is asked for, and other values have another."""
    distribution = Distribution("seconds", "Time.", (0.1, 1.0), ("name", "status"))
    distribution.labels("a", 200).observe(0.5)
    assert distribution.labels("a", "200").count == 1
    assert distribution.labels("a", 404).count == 0


def test_the_process() -> None:
    """The process is told about under the usual names, and truthfully."""
    registry = CollectorRegistry()
    registry.register(Process())
    value = registry.get_sample_value
    assert value("process_max_fds") == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert 0 < (value("process_cpu_seconds_total") or 0) <= time.process_time()
    assert 0 < (value("process_start_time_seconds") or 0) <= time.time()
    if Path("/proc/self/fd").exists():
        before = value("process_open_fds") or 0
        descriptor = os.open("/", os.O_RDONLY)
        assert value("process_open_fds") == before + 1
        os.close(descriptor)
        resident, mapped = (
            value(f"process_{kind}_memory_bytes") or 0 for kind in ("resident", "virtual")
        )
        assert 1_000_000 < resident < mapped


def test_how_many_descriptors_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the limit that holds, not the one that it may be raised to."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_000, 2_000))
    registry = CollectorRegistry()
    registry.register(Process())
    assert registry.get_sample_value("process_max_fds") == 1_000


def test_a_system_that_tells_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Linux's files there are no memory and no descriptors, and it began just now."""
    monkeypatch.setattr(readings, "Path", lambda _: tmp_path / "none")
    before = time.time()
    registry = CollectorRegistry()
    registry.register(Process())
    value = registry.get_sample_value
    assert before <= (value("process_start_time_seconds") or 0) <= time.time()
    assert value("process_open_fds") is None
    assert value("process_resident_memory_bytes") is None
    assert value("process_max_fds") is not None


def test_when_the_process_began() -> None:
    """It is this process that began, some time before now and after the machine."""
    registry = CollectorRegistry()
    registry.register(Process())
    began = registry.get_sample_value("process_start_time_seconds") or 0
    assert time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) <= began < time.time()
