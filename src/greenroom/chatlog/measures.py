"""What the metrics say about chat logs, by configuration."""

from collections.abc import Iterable

import msgspec
from prometheus_client import Counter

from greenroom.chatlog.base import FailureKind
from greenroom.model.arn import Arn
from greenroom.telemetry.metrics import Metrics

UNKNOWN = "unknown"
"""The label of what was lost without anybody knowing whose it was."""


class Depth(msgspec.Struct, frozen=True):
    """What waits for one configuration now; `bound_ratio` is what it uses of the nearer bound."""

    configuration: Arn
    records: int
    size: int
    age_seconds: float
    bound_ratio: float


class Measures:
    """Counts into the metrics of the process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._gauges = (
            metrics.journal_records,
            metrics.journal_bytes,
            metrics.journal_age_seconds,
            metrics.journal_bound_ratio,
        )

    def delivered(self, configuration: Arn, records: int) -> None:
        """Count records that a destination keeps."""
        self._count(self._metrics.log_records_delivered, configuration, records)

    def dropped(self, configuration: Arn, records: int) -> None:
        """Count records that no destination will get."""
        self._count(self._metrics.log_records_dropped, configuration, records)

    def missed(self, messages: int) -> None:
        """Count messages that were gone before they were on record; nobody knows for whom."""
        self._metrics.log_records_dropped.labels(UNKNOWN).inc(messages)

    def failed(self, configuration: Arn, kind: FailureKind) -> None:
        """Count a failed delivery, as the three LogDestination metrics of the real service do."""
        metrics = self._metrics
        self._count(metrics.log_destination_errors, configuration)
        if kind is FailureKind.ACCESS_DENIED:
            self._count(metrics.log_destination_access_denied_errors, configuration)
        elif kind is FailureKind.NOT_FOUND:
            self._count(metrics.log_destination_resource_not_found_errors, configuration)

    def show(self, depths: Iterable[Depth], memory_size: int, lag_seconds: float = 0.0) -> None:
        """Set the gauges. Configurations beyond the bound of labels are shown as one."""
        metrics = self._metrics
        by_label: dict[str, list[Depth]] = {}
        for depth in depths:
            label = metrics.logging_configurations(str(depth.configuration))
            by_label.setdefault(label, []).append(depth)
        for gauge in self._gauges:
            gauge.clear()
        for label, those in by_label.items():
            metrics.journal_records.labels(label).set(sum(each.records for each in those))
            metrics.journal_bytes.labels(label).set(sum(each.size for each in those))
            metrics.journal_age_seconds.labels(label).set(max(each.age_seconds for each in those))
            metrics.journal_bound_ratio.labels(label).set(max(each.bound_ratio for each in those))
        metrics.journal_memory_bytes.set(memory_size)
        metrics.chat_log_lag_seconds.set(lag_seconds)

    def _count(self, counter: Counter, configuration: Arn, amount: int = 1) -> None:
        label = self._metrics.logging_configurations(str(configuration))
        counter.labels(label).inc(amount)
