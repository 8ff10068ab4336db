"""Every metric once: its name, kind, labels and meaning, for `/metrics`, docs and dashboard.

- The first ten are those of the real service (Chat User Guide, "Monitoring Amazon IVS Chat"), with
  its dimensions as labels.
- No label is unbounded: what users can name is counted under its own value for the first
  `MAXIMUM_VALUES` values, then under "other".
- Nothing is counted per delivery. What a message touches is a plain number of its owner, which a
  `Reading` reads when somebody asks: see `entrance.metrics_endpoint`. So is what a request of the
  API touches.
"""

from collections.abc import Iterable, Sequence

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from greenroom.model.schedule import OUTCOMES
from greenroom.network.visitors import Excess
from greenroom.protocol.errors import DisconnectReason, ErrorCode
from greenroom.protocol.handshake import Refusal
from greenroom.telemetry.readings import Distribution, Numbered, Process, Reading

MAXIMUM_VALUES = 100
"""Values of one label that are told apart."""

OTHER = "other"
"""The label of all further ones."""

UNREAD = "handshake_timeout_seconds"
"""The limit that a client meets who does not read its answers."""

FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Bounds in seconds for what takes less than a second."""


# The time of its creation beside each counter: Prometheus does not use it by default, and it would
# be a third of what is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call]  # has no types


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


class Entry(msgspec.Struct, frozen=True):
    """A line of the table: `name` is that of the samples, without a histogram's suffixes."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.table: list[Entry] = []
        self.uris = BoundedLabel()
        self.logging_configurations = BoundedLabel()
        self._add_the_services()
        self._add_connections()
        self._add_review()
        self._add_chat_logs()
        self._add_history()
        self._add_held()
        self._add_control()
        self._add_bus()
        self._add_cluster()
        self._add_processes()
        self._add_process()

    def _add_the_services(self) -> None:
        self.concurrent_chat_connections = self._read_gauge(
            "ivschat_concurrent_chat_connections", "Connections now."
        )
        self.requests = self._read_counter(
            "ivschat_requests",
            "Messages and events that were accepted, through both APIs, by action: SendMessage,"
            " DeleteMessage, DisconnectUser or SendEvent.",
            "action",
        )
        self.deliveries = self._read_counter(
            "ivschat_deliveries",
            "Frames that were written to connections, by the action that they come from.",
            "action",
        )
        self.messaging_requests = self._read_counter(
            "ivschat_messaging_requests",
            "All of ivschat_requests: what is sent to rooms, through both APIs.",
        )
        self.messaging_deliveries = self._read_counter(
            "ivschat_messaging_deliveries",
            "All of ivschat_deliveries: what connections are given of messaging requests.",
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
        connects = self._read_counter("greenroom_connects", "Connections that were opened.")
        self.disconnects = self._numbered(
            "greenroom_disconnects",
            "Connections that ended, by reason: slow_reader is one whose queue passed its bound.",
            "reason",
        )
        self.handshake_refusals = self._counter(
            "greenroom_handshake_refusals", "Upgrades that were refused, by reason.", "reason"
        )
        self.limits_met = self._counter(
            "greenroom_limits_met",
            "Connections closed, or made to wait, for a limit of the edge, by limit.",
            "limit",
        )
        self.handshake_seconds = self._distribution(
            "greenroom_handshake_seconds", "Time from an upgrade request to its 101 answer.", FAST
        )
        # Each has its time there.
        connects.read = lambda: self.handshake_seconds.count
        self.action_errors = self._counter(
            "greenroom_action_errors", "ERROR frames to connections, by code.", "code"
        )
        self.repeated_sends = self._counter(
            "greenroom_repeated_sends",
            "SendMessage requests that sent nothing: an earlier one with their requestId had.",
        )
        self.scheduled_announcements = self._counter(
            "greenroom_scheduled_announcements",
            "Scheduled announcements that were due, and that this node came to, by outcome:"
            " passed_over is one that nobody had written behind, refused an attempt that may be"
            " made again, unknown one whose node ended while it told it.",
            "outcome",
        )
        self.fanout_seconds = self._distribution(
            "greenroom_fanout_seconds",
            "Time to write what waits in one room to everybody, rooms of one moment together.",
            FAST,
        )
        self.delivered_bytes = self._read_counter(
            "greenroom_delivered_bytes", "Bytes of the frames that were written to connections."
        )
        self.write_stalls = self._counter(
            "greenroom_write_stalls",
            "Times that a connection's socket took no more, so that its queue began to grow.",
        )
        self.rooms = self._read_gauge("greenroom_rooms", "Rooms with connections on this node.")
        self.users = self._read_gauge(
            "greenroom_users",
            "Different users in each room that are no bots, of all rooms together, on all nodes:"
            " each node says the same.",
        )
        _begin_at_zero(self.limits_met, (*Excess, UNREAD))
        _begin_at_zero(self.disconnects, DisconnectReason)
        _begin_at_zero(self.handshake_refusals, (each.name.lower() for each in Refusal))
        _begin_at_zero(self.action_errors, (str(int(code)) for code in ErrorCode))
        _begin_at_zero(self.scheduled_announcements, OUTCOMES)

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
        self.chat_log_lag_seconds = self._gauge(
            "greenroom_chat_log_lag_seconds",
            "Age of the oldest message that may be missing in the journal, on the node of a cluster"
            " that reads its stream, or was the last to do so: at 3600 records are lost.",
        )

    def _add_history(self) -> None:
        self.history_bytes = self._read_gauge(
            "greenroom_history_bytes", "What rooms that keep a history have of it in memory."
        )
        self.history_waiting_bytes = self._read_gauge(
            "greenroom_history_waiting_bytes",
            "What was shown in such rooms and is not in the store yet, on a node that is alone; in"
            " a cluster it is as late as chat logs are.",
        )
        self.history_dropped = self._read_counter(
            "greenroom_history_dropped",
            "Messages and events that are in no history: the store did not take them for too long.",
        )
        self.history_recoveries = self._read_counter(
            "greenroom_history_recoveries",
            "Connections of who came back, by outcome: recovered got all that was missed,"
            " not_recovered was told that something may be missing, and given history.",
            "outcome",
        )

    def _add_held(self) -> None:
        self.held_messages = self._read_gauge(
            "greenroom_held_messages",
            "Messages that wait until viewers may see them, in rooms that are paused or delay, and"
            " are released by this node.",
        )
        self.held_released = self._read_counter(
            "greenroom_held_released", "Messages that had waited and were released."
        )
        self.held_overdue_seconds = self._read_gauge(
            "greenroom_held_overdue_seconds",
            "How long a message that had waited long enough has not been released, by this node or"
            " another, of all the longest: it stays near 0 where they can be.",
        )

    def _add_control(self) -> None:
        self.control_requests = self._numbered(
            "greenroom_control_requests", "API requests.", "operation", "status"
        )
        self.control_seconds = self._distribution(
            "greenroom_control_seconds", "Time to answer API requests.", FAST, "operation"
        )
        self.audit_lines_lost = self._read_counter(
            "greenroom_audit_lines_lost", "Lines of the audit log that the disk did not take."
        )
        self.audit_lines_suppressed = self._read_counter(
            "greenroom_audit_lines_suppressed",
            "Lines of the audit log about refused requests that were left out, being too many.",
        )
        self.store_calls = self._read_counter("greenroom_store_calls", "Calls of the store.")
        self.store_commits = self._read_counter(
            "greenroom_store_commits", "Transactions committed."
        )
        self.store_failures = self._read_counter("greenroom_store_failures", "Commits that failed.")
        self.store_refused = self._read_counter(
            "greenroom_store_refused", "Calls refused because too many waited."
        )
        self.store_repeated = self._read_counter(
            "greenroom_store_repeated",
            "Calls of PostgreSQL that were run once more: the connection was lost, or another"
            " node's transaction was in the way.",
        )
        self.store_waiting = self._read_gauge("greenroom_store_waiting", "Calls that wait.")

    def _add_bus(self) -> None:
        self.bus_connected = self._read_gauge(
            "greenroom_bus_connected", "1 while there is a connection to NATS."
        )
        self.bus_storing = self._read_gauge(
            "greenroom_bus_storing",
            "1 while NATS stores what is sent, 0 when it stored nothing for ten seconds, as without"
            " a quorum of its servers.",
        )
        self.bus_reconnects = self._read_counter(
            "greenroom_bus_reconnects", "Connections to NATS that were made after one had ended."
        )
        self.bus_published = self._read_counter(
            "greenroom_bus_published", "Batches from here that got their place in a room."
        )
        self.bus_received = self._read_counter(
            "greenroom_bus_received",
            "Batches that arrived here, or were read, whoever published them.",
        )
        self.bus_conflicts = self._read_counter(
            "greenroom_bus_conflicts",
            "Attempts to publish that lost against somebody else's, and were made again.",
        )
        self.bus_repairs = self._read_counter(
            "greenroom_bus_repairs",
            "Times that a room was read from its stream, by reason: opened is its first viewer,"
            " connected a new connection, gap a message that was missed, leader a new leader of the"
            " stream, refused and unanswered an attempt to publish, behind that more was seen"
            " elsewhere.",
            "reason",
        )
        self.bus_waiting = self._read_gauge(
            "greenroom_bus_waiting", "Messages and events that wait for their place now."
        )
        self.bus_refused = self._read_counter(
            "greenroom_bus_refused",
            "Messages and events that were answered with 503: NATS did not answer in time, or too"
            " many waited.",
        )
        self.bus_faults = self._read_counter(
            "greenroom_bus_faults",
            "What should not be, by kind: void is a batch that was taken too late and is shown to"
            " nobody, undecodable a message that is not of this service, lost a room whose stream"
            " lost messages that had been shown here.",
            "kind",
        )
        self.bus_rooms = self._read_gauge(
            "greenroom_bus_rooms", "Rooms that are listened to on NATS."
        )

    def _add_cluster(self) -> None:
        self.streams_without_leader = self._read_gauge(
            "greenroom_streams_without_leader",
            "Streams that have no leader, or do not answer: their rooms stand still.",
        )
        self.stream_copies_behind = self._read_gauge(
            "greenroom_stream_copies_behind",
            "Copies of streams that could not take their leader's place: the server is away, or"
            " catches up.",
        )
        self.stream_fullness = self._read_gauge(
            "greenroom_stream_fullness_ratio",
            "How much of bus_stream_bytes the fullest stream uses: at 1 its oldest messages go"
            " before their hour is over.",
        )
        self.node_versions = self._read_gauge(
            "greenroom_node_versions",
            "Versions that the nodes known here are of; 1 when all agree.",
        )
        self.nodes = self._read_gauge(
            "greenroom_nodes", "Processes of the cluster that are known here, this one included."
        )
        self.clock_skew_seconds = self._read_gauge(
            "greenroom_clock_skew_seconds",
            "By how much the clock of another one of them differs at most.",
        )

    def _add_processes(self) -> None:
        self.process_up = self._read_gauge(
            "greenroom_process_up",
            "Of several processes behind one port: 1 for each that serves, 0 while it is started"
            " again or says nothing. All figures have the label process then.",
            "process",
        )
        self.process_restarts = self._read_counter(
            "greenroom_process_restarts", "Times that each of them was started again.", "process"
        )

    def _add_process(self) -> None:
        self.build = self._gauge("greenroom_build_info", "1; the label is the version.", "version")
        self.memory_pressure = self._read_gauge(
            "greenroom_memory_pressure",
            "1 while new connections are refused because the process uses too much memory.",
        )
        self.descriptor_shortages = self._read_counter(
            "greenroom_descriptor_shortages",
            "Times that no descriptor was left for a connection: looked for once a second, and seen"
            " when a connection with TLS or a PROXY header was to be taken.",
        )
        self.draining = self._read_gauge(
            "greenroom_draining", "1 when the service stops and takes no connections."
        )
        self.loop_lag_seconds = self._distribution(
            "greenroom_loop_lag_seconds",
            "How late a timer came: what everybody waits for the one thread that serves them.",
            FAST,
        )
        self.loop_stalls = self._read_counter(
            "greenroom_loop_stalls",
            "Times that this timer was more than 50 milliseconds late: all were held up.",
        )
        self.cached_rooms = self._read_gauge("greenroom_cached_rooms", "Rooms in memory.")
        self.restricted_users = self._read_gauge(
            "greenroom_restricted_users",
            "Users who are banned, muted, shadowed, held or monitored, in a room or an account.",
        )
        self.restricted_addresses = self._read_gauge(
            "greenroom_restricted_addresses",
            "Addresses of which a restriction of a user holds as well, in a room or an account.",
        )
        self.evictions = self._read_counter(
            "greenroom_evictions",
            "Entries that a full cache gave up, or had no place for: rooms, deleted_rooms that may"
            " have connections yet, message_rates of rooms, account_rates of actions,"
            " request_rates of callers, callers, unknown_keys that were asked for, key_uses that"
            " wait to be written, history of rooms, and places of users whose connections broke.",
            "cache",
        )
        self.registry.register(Process())
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        self._enter(f"{name}_total", "counter", labels, meaning)
        return Counter(name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        self._enter(name, "gauge", labels, meaning)
        return Gauge(name, meaning, labels, registry=self.registry)

    def _histogram(
        self, name: str, meaning: str, bounds: Sequence[float], *labels: str
    ) -> Histogram:
        self._enter(name, "histogram", labels, meaning)
        return Histogram(name, meaning, labels, buckets=bounds, registry=self.registry)

    def _read_counter(self, name: str, meaning: str, *labels: str) -> Reading:
        self._enter(f"{name}_total", "counter", labels, meaning)
        reading = Reading(CounterMetricFamily, name, meaning, labels)
        self.registry.register(reading)
        return reading

    def _read_gauge(self, name: str, meaning: str, *labels: str) -> Reading:
        self._enter(name, "gauge", labels, meaning)
        reading = Reading(GaugeMetricFamily, name, meaning, labels)
        self.registry.register(reading)
        return reading

    def _numbered(self, name: str, meaning: str, *labels: str) -> Numbered:
        self._enter(f"{name}_total", "counter", labels, meaning)
        numbered = Numbered(name, meaning, labels)
        self.registry.register(numbered)
        return numbered

    def _distribution(
        self, name: str, meaning: str, bounds: Sequence[float], *labels: str
    ) -> Distribution:
        self._enter(name, "histogram", labels, meaning)
        distribution = Distribution(name, meaning, bounds, labels)
        self.registry.register(distribution)
        return distribution

    def _enter(self, name: str, kind: str, labels: tuple[str, ...], meaning: str) -> None:
        self.table.append(Entry(name, kind, labels, meaning))


def _begin_at_zero(counter: Counter | Numbered, values: Iterable[str]) -> None:
    """Show every value of the label from the start: Prometheus does not see a counter's first 1."""
    for value in values:
        counter.labels(value)
