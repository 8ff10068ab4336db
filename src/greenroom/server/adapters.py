"""Opens the outside world: what is configured is decided here, for a start and for its check.

What can be refused without a trace (targets, certificate) is looked at before anything is written,
and, in a takeover, before the running process lets go.
"""

import contextlib
from collections.abc import Callable

import msgspec
import structlog

from greenroom.aws_access.clients import AwsAccess
from greenroom.bus.base import Bus
from greenroom.chatlog.destinations import Destinations, endpoints, open_destinations
from greenroom.clock import Clock
from greenroom.entrance.certificate import Certificate, certificate_of
from greenroom.entrance.metrics_endpoint import StoreStatistics
from greenroom.entrance.sockets import Listening
from greenroom.entrance.takeover import Before
from greenroom.identities.service import IdentityService
from greenroom.messaging.bulk_sender import BulkSender, open_bulk_sender
from greenroom.messaging.fanout import SLICE
from greenroom.process.start_refused import FileUnwritable
from greenroom.review.reviewer import HandlerReviewer
from greenroom.review.targets import open_reviewer
from greenroom.server.kept import Shared, open_kept
from greenroom.server.parts import AS_CONFIGURED, Parts
from greenroom.settings.values import Settings
from greenroom.storage.base import Store
from greenroom.storage.rooms import Rooms
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.metrics import Metrics

REGIONS_NAMED = 8
"""Regions that one line names."""

log = structlog.get_logger()


class Adapters(msgspec.Struct, frozen=True, kw_only=True):
    """What the process holds from the outside world."""

    settings: Settings
    parts: Parts
    listening: Listening
    lines: BoundedLog
    certificate: Certificate | None
    clock: Clock
    metrics: Metrics
    reviewer: HandlerReviewer
    store: Store
    statistics: Callable[[], StoreStatistics] | None
    """How to learn what the store did, where it counts that."""
    shared: Shared | None
    """What only a node of a cluster has."""
    let_go: Callable[[], None]
    """Lets another process have the data directory; the store is closed before."""
    bus: Bus
    identity: IdentityService
    access: AwsAccess
    destinations: Destinations
    sender: BulkSender | None


async def open_adapters(
    settings: Settings,
    found: Listening,
    lines: BoundedLog,
    before: Before | None,
    stack: contextlib.AsyncExitStack,
    parts: Parts = AS_CONFIGURED,
) -> Adapters:
    """Open from the bottom up; the stack closes in the opposite order.

    Raises:
        SettingsRefused: a target of message review, the certificate or the identities file cannot
            be used.
        StoreRefused: the data directory, or the key of the secrets in it, cannot be used.
        FileUnwritable: a file beside the store cannot be written.
    """
    clock, metrics = parts.clock, Metrics()
    access = AwsAccess(endpoints(settings))
    stack.push_async_callback(access.close)
    reviewer = await open_reviewer(
        settings, settings.quotas(), metrics, clock, access, lines, parts.targets
    )
    stack.push_async_callback(reviewer.close)
    certificate = certificate_of(settings)
    alone = parts.link is None
    kept = parts.kept or await open_kept(settings, before, clock, stack, alone=alone)
    store, bus = kept.store, kept.bus
    await _warn_of_regions(settings, store.rooms)
    if settings.text("dev_tls") == "on":
        certificate = _dev_certificate(settings)
    identity = await IdentityService.open(settings, store.identities, store.secrets, bus, clock)
    stack.push_async_callback(identity.close)
    access.disown(identity.root.access_key_id)
    destinations = parts.destinations or open_destinations(settings, access)
    stack.push_async_callback(destinations.close)
    return Adapters(
        settings=settings,
        parts=parts,
        listening=found,
        lines=lines,
        certificate=certificate,
        clock=clock,
        metrics=metrics,
        reviewer=reviewer,
        store=store,
        statistics=kept.statistics,
        shared=kept.shared,
        let_go=kept.let_go,
        bus=bus,
        identity=identity,
        access=access,
        destinations=destinations,
        sender=_open_sender(settings, stack),
    )


async def _warn_of_regions(settings: Settings, rooms: Rooms) -> None:
    """Say which rooms no request reaches, because the settings no longer serve their region."""
    unserved = settings.unserved(await rooms.regions_in_use())
    if unserved:
        log.warning(
            "rooms in regions that are not served: name these in the setting regions",
            regions=", ".join(unserved[:REGIONS_NAMED]),
            count=len(unserved),
        )


def _open_sender(settings: Settings, stack: contextlib.AsyncExitStack) -> BulkSender | None:
    sender = open_bulk_sender(SLICE) if settings.text("io_uring") == "auto" else None
    if sender is not None:
        stack.callback(sender.close)
    return sender


def _dev_certificate(settings: Settings) -> Certificate:
    # Its imports are a tenth of a start.
    from greenroom.entrance.dev_certificate import dev_certificate

    try:
        files = dev_certificate(settings.path("data_dir").resolve(), settings.text("host"))
    except OSError as error:
        raise FileUnwritable(f"the certificate cannot be kept: {error.strerror}") from None
    log.warning("the certificate is for development only: it is signed by itself")
    return Certificate(*files)
