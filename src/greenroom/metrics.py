"""Every metric once: its name, kind, labels and meaning, for `/metrics`, docs and dashboard.

- The first ten are those of the real service (Chat User Guide, "Monitoring Amazon IVS Chat"), with
  its dimensions as labels.
- No label is unbounded: what users can name is counted under its own value for the first
  `MAXIMUM_VALUES` values, then under "other".
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MAXIMUM_VALUES = 100
"""Values of one label that are told apart."""

OTHER = "other"
"""The label of all further ones."""

FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Bounds in seconds for what takes less than a second."""


class BoundedLabel:
    """Lets the first values of a label through and calls the others "other"."""

    def __init__(self, maximum: int = MAXIMUM_VALUES) -> None:
        self._maximum = maximum
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._seen:
            return value
        if len(self._seen) >= self._maximum:
            return OTHER
        self._seen.add(value)
        return value


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.uris = BoundedLabel()
        self._add_the_services()
        self._add_connections()
        self._add_review()
        self._add_chat_logs()
        self._add_control()

    def _add_the_services(self) -> None:
        self.concurrent_chat_connections = self._gauge(
            "ivschat_concurrent_chat_connections", "Connections now."
        )
        self.requests = self._counter(
            "ivschat_requests", "Requests that were accepted, by action.", "action"
        )
        self.deliveries = self._counter(
            "ivschat_deliveries", "Deliveries to connections, by action.", "action"
        )
        self.messaging_requests = self._counter(
            "ivschat_messaging_requests", "Requests of the messaging API, all rooms."
        )
        self.messaging_deliveries = self._counter(
            "ivschat_messaging_deliveries",
            "Deliveries to connections of what messaging requests sent.",
        )
        self.invocation_errors = self._counter(
            "ivschat_invocation_errors", "Review handlers that could not be invoked.", "uri"
        )
        self.response_validation_errors = self._counter(
            "ivschat_response_validation_errors", "Invalid answers of review handlers.", "uri"
        )
        self.log_destination_access_denied_errors = self._counter(
            "ivschat_log_destination_access_denied_errors",
            "Deliveries of chat logs that the destination refused.",
            "logging_configuration",
        )
        self.log_destination_resource_not_found_errors = self._counter(
            "ivschat_log_destination_resource_not_found_errors",
            "Deliveries of chat logs to a destination that does not exist.",
            "logging_configuration",
        )
        self.log_destination_errors = self._counter(
            "ivschat_log_destination_errors",
            "All failed deliveries of chat logs.",
            "logging_configuration",
        )

    def _add_connections(self) -> None:
        self.connects = self._counter("greenroom_connects", "Connections that were opened.")
        self.disconnects = self._counter(
            "greenroom_disconnects", "Connections that ended, by reason.", "reason"
        )
        self.handshake_refusals = self._counter(
            "greenroom_handshake_refusals", "Upgrades that were refused, by reason.", "reason"
        )
        self.action_errors = self._counter(
            "greenroom_action_errors", "ERROR frames to senders, by code.", "code"
        )
        self.fanout_seconds = self._histogram(
            "greenroom_fanout_seconds", "Time to write what waits in one room to everybody.", FAST
        )
        self.rooms = self._gauge("greenroom_rooms", "Rooms with connections on this node.")

    def _add_review(self) -> None:
        self.review_seconds = self._histogram(
            "greenroom_review_seconds",
            "Time that messages waited for their review, by outcome.",
            (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 5.0),
            "outcome",
        )
        self.reviews_waiting = self._gauge("greenroom_reviews_waiting", "Messages under review.")
        self.review_circuits_open = self._gauge(
            "greenroom_review_circuits_open", "Review handlers that are not asked for a while."
        )

    def _add_chat_logs(self) -> None:
        label = "logging_configuration"
        self.journal_records = self._gauge(
            "greenroom_journal_records", "Records that wait for delivery.", label
        )
        self.journal_bytes = self._gauge(
            "greenroom_journal_bytes", "Bytes of records that wait for delivery.", label
        )
        self.journal_age_seconds = self._gauge(
            "greenroom_journal_age_seconds", "Age of the oldest record that waits.", label
        )
        self.journal_bound_ratio = self._gauge(
            "greenroom_journal_bound_ratio",
            "How much of the journal's bound, bytes or age, is used: at 1 the oldest are dropped.",
            label,
        )
        self.log_records_delivered = self._counter(
            "greenroom_log_records_delivered", "Records that a destination keeps.", label
        )
        self.log_records_dropped = self._counter(
            "greenroom_log_records_dropped", "Records that no destination will get.", label
        )
        self.journal_memory_bytes = self._gauge(
            "greenroom_journal_memory_bytes", "Bytes of records that the disk has not taken yet."
        )

    def _add_control(self) -> None:
        self.control_requests = self._counter(
            "greenroom_control_requests", "API requests.", "operation", "status"
        )
        self.control_seconds = self._histogram(
            "greenroom_control_seconds", "Time to answer API requests.", FAST, "operation"
        )
        self.store_calls = self._counter("greenroom_store_calls", "Calls of the store.")
        self.store_commits = self._counter("greenroom_store_commits", "Transactions committed.")
        self.store_failures = self._counter("greenroom_store_failures", "Commits that failed.")
        self.store_refused = self._counter(
            "greenroom_store_refused", "Calls refused because too many waited."
        )
        self.store_waiting = self._gauge("greenroom_store_waiting", "Calls that wait.")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry)

    def _histogram(
        self, name: str, meaning: str, bounds: Sequence[float], *labels: str
    ) -> Histogram:
        return Histogram(name, meaning, labels, buckets=bounds, registry=self.registry)
