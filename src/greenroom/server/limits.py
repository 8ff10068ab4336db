"""The bounds of connections, memory and journal, made of the settings."""

import functools
import resource

from greenroom.chatlog.bounds import NANOSECONDS_PER_HOUR, Bounds
from greenroom.messaging.admission import Places
from greenroom.messaging.edge_services import ConnectionLimits
from greenroom.network import addresses
from greenroom.network.addresses import Networks
from greenroom.network.forwarded import ForwardedHeader, TrustedProxies
from greenroom.network.visitors import Excess, VisitorLimits, Visitors
from greenroom.process.memory_pressure import MemoryWatch, default_bound
from greenroom.settings.values import Settings
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.metrics import Metrics


def journal_bounds(settings: Settings) -> Bounds:
    """Return how much chat may wait for its destinations."""
    return Bounds(
        size=settings.number("journal_bytes"),
        age_ns=settings.number("journal_age_hours") * NANOSECONDS_PER_HOUR,
        memory=settings.number("journal_memory_bytes"),
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return the bounds of each connection."""
    return ConnectionLimits(
        outbound_bytes=settings.number("outbound_queue_bytes"),
        frame_bytes=settings.number("frame_bytes"),
        close_seconds=settings.number("close_timeout_seconds"),
    )


def places(settings: Settings) -> Places:
    """Return the bounds on how many connections there are."""
    return Places(
        connections=settings.number("connections_per_node"),
        connections_per_account=settings.quotas()["connections"],
        connections_per_room=settings.number("connections_per_room"),
        connections_per_user=settings.number("connections_per_user"),
    )


def memory_watch(settings: Settings) -> MemoryWatch:
    """Return what watches the memory of the process."""
    bound = settings.optional_number("memory_bytes")
    if bound is None:
        # What the machine has is for all of its processes.
        bound = default_bound() // settings.number("processes")
    return MemoryWatch(bound)


def visitors(settings: Settings, metrics: Metrics, lines: BoundedLog) -> Visitors:
    """Return what counts connections from their accept on."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unfinished = settings.number("unfinished_connections")
    limits = VisitorLimits(
        connections=settings.number("connections_per_node"),
        connections_per_address=settings.number("connections_per_address"),
        a_second=settings.number("new_connections_per_second"),
        a_second_per_address=settings.number("new_connections_per_second_per_address"),
        # Who dawdles must not take the descriptors of all others.
        unfinished=min(unfinished, files // 2) if files > 0 else unfinished,
        unfinished_per_address=settings.number("unfinished_connections_per_address"),
    )
    proxies = TrustedProxies(
        Networks(settings.texts("trusted_proxies")),
        ForwardedHeader(settings.text("forwarded_header")),
        proto=settings.text("forwarded_proto") == "on",
    )
    return Visitors(limits, proxies, functools.partial(_limit_met, metrics, lines))


def _limit_met(metrics: Metrics, lines: BoundedLog, excess: Excess, address: bytes) -> None:
    metrics.limits_met.labels(excess.value).inc()
    kind = {"limit": excess.value}
    lines.write("warning", "connection limit met", kind, address=addresses.shown(address))
