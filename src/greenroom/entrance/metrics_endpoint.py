"""`GET /metrics`: the figures of the service, for who may read them.

- A service on a loopback address shows them to everybody on the machine; any other only to who
  sends `Authorization: Bearer` with the `metrics_token`. A token that is set is always asked for.
- What a proxy on the same machine forwards, by its headers or by the address that it is trusted to
  tell, needs the token; so does everything behind the PROXY protocol, and a page of others
  (`network.this_machine`).
- The numbers are read on the event loop, because their owners change them there.
"""

from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from greenroom import __version__
from greenroom.audit.log import AuditLog
from greenroom.bus.figures import Figures, HistoryFigures
from greenroom.chat.chat import Chat
from greenroom.chat.kept_history import KeptHistory
from greenroom.chat.presence import Presence
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.control.app import ControlPlane
from greenroom.control.asgi import Receive, Scope, Send, answer
from greenroom.messaging.hub import Hub
from greenroom.messaging.replays import Replays
from greenroom.messaging.resumes import Resumes
from greenroom.network.this_machine import is_from_here
from greenroom.process.memory_pressure import MemoryWatch
from greenroom.telemetry.descriptors import DescriptorWatch
from greenroom.telemetry.loop_lag import LoopLag
from greenroom.telemetry.metrics import Metrics

REFUSED = (
    b"metrics need Authorization: Bearer with the metrics_token of the service, or, where it has"
    b" none, a request on its machine to a loopback address or localhost\n"
)


class StoreStatistics(Protocol):
    """What a store tells about its work; `waiting` is the length of its queue now."""

    @property
    def calls(self) -> int: ...
    @property
    def commits(self) -> int: ...
    @property
    def failed_commits(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def repeated(self) -> int: ...
    @property
    def waiting(self) -> int: ...


class Monitoring:
    """Answers `GET /metrics`, as an ASGI application.

    `token` is None where everybody on the machine may read; with `local` unset that is nobody.
    `refresh` sets the gauges that are not kept up to date in between. `of_all` is set where several
    processes serve behind one port: it returns the figures of all of them, given those of this one.
    """

    def __init__(
        self,
        metrics: Metrics,
        token: str | None,
        *,
        local: bool,
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        self._metrics = metrics
        self._refresh = refresh
        self._token = None if token is None else token.encode()
        self._local = local
        self.of_all: Callable[[], Awaitable[CollectorRegistry]] | None = None

    @property
    def registry(self) -> CollectorRegistry:
        """Return the figures of this process, as they are now."""
        self._refresh()
        return self._metrics.registry

    def wants(self, scope: Scope) -> bool:
        """Return whether a request asks for the metrics."""
        return scope["raw_path"] == b"/metrics" and scope["method"] in ("GET", "HEAD")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope["headers"])
        local = self._local and is_from_here((scope.get("client") or ("",))[0], headers)
        if not self._may_read(headers.get(b"authorization", b""), local):
            challenge = (b"www-authenticate", b"Bearer")
            await _answer(send, 401, "text/plain; charset=utf-8", REFUSED, challenge)
            return
        encode, kind = choose_encoder(headers.get(b"accept", b"").decode("latin-1"))
        registry = self.registry if self.of_all is None else await self.of_all()
        await _answer(send, 200, kind, encode(registry))

    def _may_read(self, authorization: bytes, local: bool) -> bool:
        if self._token is None:
            return local
        scheme, _, given = authorization.partition(b" ")
        return scheme.lower() == b"bearer" and compare_digest(given.strip(), self._token)


def watch(
    metrics: Metrics,
    hub: Hub,
    chat: Chat,
    rooms: RoomsCache,
    control: ControlPlane,
    history: HistoryFigures,
    resumes: Resumes,
) -> None:
    """Tell the metrics where the numbers are that their owners keep."""
    metrics.build.labels(__version__).set(1)
    metrics.concurrent_chat_connections.read = lambda: hub.connections
    metrics.rooms.read = lambda: hub.rooms
    metrics.users.read = lambda: hub.users
    metrics.draining.read = lambda: hub.draining
    metrics.cached_rooms.read = lambda: len(rooms)
    metrics.evictions.read = lambda: {
        "rooms": rooms.evicted,
        "deleted_rooms": rooms.evicted_deleted,
        **chat.rates.evicted,
        **control.evicted,
        "history": history.dropped,
        "places": resumes.dropped,
    }
    metrics.history_bytes.read = lambda: history.bytes
    metrics.requests.read = lambda: chat.requests
    metrics.messaging_requests.read = lambda: sum(chat.requests.values())
    metrics.deliveries.read = lambda: hub.fanout.deliveries
    metrics.messaging_deliveries.read = lambda: sum(hub.fanout.deliveries.values())
    metrics.delivered_bytes.read = lambda: hub.fanout.delivered_bytes


def watch_restrictions(metrics: Metrics, restrictions: Restrictions) -> None:
    """Tell the metrics of how many users and addresses something holds."""
    metrics.restricted_users.read = lambda: len(restrictions)
    metrics.restricted_addresses.read = lambda: len(restrictions.addressed)


def watch_history(metrics: Metrics, replays: Replays, kept: KeptHistory | None) -> None:
    """Tell the metrics what became of who came back, and of what is to be kept here, if it is."""
    metrics.history_recoveries.read = lambda: replays.recoveries
    if kept is not None:
        metrics.history_waiting_bytes.read = lambda: kept.waiting_bytes
        metrics.history_dropped.read = lambda: kept.dropped


def watch_process(metrics: Metrics, memory: MemoryWatch, descriptors: DescriptorWatch) -> None:
    """Tell the metrics where the process is short of something."""
    metrics.memory_pressure.read = lambda: memory.pressed
    metrics.descriptor_shortages.read = lambda: descriptors.shortages


def watch_audit(metrics: Metrics, audit_log: AuditLog) -> None:
    """Tell the metrics what the audit log lost, and what it was not given."""
    metrics.audit_lines_suppressed.read = lambda: audit_log.refusals.left_out
    metrics.audit_lines_lost.read = lambda: audit_log.lost


def watch_loop(metrics: Metrics, lag: LoopLag) -> None:
    """Tell the metrics how often the event loop was held up."""
    metrics.loop_stalls.read = lambda: lag.stalls


def watch_store(metrics: Metrics, statistics: Callable[[], StoreStatistics]) -> None:
    """Tell the metrics how to learn what a store did."""
    metrics.store_calls.read = lambda: statistics().calls
    metrics.store_commits.read = lambda: statistics().commits
    metrics.store_failures.read = lambda: statistics().failed_commits
    metrics.store_refused.read = lambda: statistics().refused
    metrics.store_repeated.read = lambda: statistics().repeated
    metrics.store_waiting.read = lambda: statistics().waiting


def watch_bus(metrics: Metrics, figures: Figures) -> None:
    """Tell the metrics where the numbers of a bus are."""
    metrics.bus_connected.read = lambda: figures.connected
    metrics.bus_storing.read = lambda: figures.storing
    metrics.bus_reconnects.read = lambda: figures.reconnects
    metrics.bus_published.read = lambda: figures.published
    metrics.bus_received.read = lambda: figures.received
    metrics.bus_conflicts.read = lambda: figures.conflicts
    metrics.bus_repairs.read = lambda: figures.repairs
    metrics.bus_waiting.read = lambda: figures.waiting
    metrics.bus_refused.read = lambda: figures.unavailable
    metrics.bus_faults.read = lambda: figures.faults
    metrics.bus_rooms.read = lambda: figures.rooms


class Versions(Protocol):
    """Knows of how many versions the nodes are."""

    @property
    def versions(self) -> int: ...


def watch_nodes(metrics: Metrics, presence: Presence, states: Versions) -> None:
    """Tell the metrics what is known of the other nodes."""
    metrics.node_versions.read = lambda: states.versions
    metrics.nodes.read = lambda: presence.nodes
    metrics.clock_skew_seconds.read = lambda: presence.skew_seconds


async def _answer(
    send: Send, status: int, kind: str, body: bytes, *more: tuple[bytes, bytes]
) -> None:
    headers = [
        (b"content-type", kind.encode("latin-1")),
        (b"cache-control", b"no-store"),
        *more,
    ]
    await answer(send, status, headers, body)
