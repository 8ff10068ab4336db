"""The composition root, the only module that knows every adapter: open, build, serve, drain, close.

What a process consists of is opened from the bottom up and closed in the opposite order. What can
be refused without a trace (targets, certificate, address) is looked at before anything is written,
and, in a takeover, before the running process lets go.
"""

import asyncio
import contextlib
import functools
import gc
import os
import random
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping

import msgspec
import structlog

from greenroom import __version__
from greenroom.aws_access.clients import AwsAccess
from greenroom.bus.base import Bus, IdentitiesChanged
from greenroom.bus.memory import MemoryBus
from greenroom.chat.chat import Chat
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chatlog.choice import chosen
from greenroom.chatlog.destinations import Destinations, endpoints, open_destinations
from greenroom.chatlog.log import JournaledChatLog
from greenroom.clock import Clock
from greenroom.control.app import ControlPlane
from greenroom.control.greenroom.api import greenroom_api
from greenroom.control.greenroom.call import GreenroomServices
from greenroom.control.iam.api import IamApi, iam_apis
from greenroom.control.iam.call import IamServices
from greenroom.control.ivschat.api import ivschat_api
from greenroom.control.ivschat.context import Services
from greenroom.control.ivschat.logging_configurations import finish_interrupted
from greenroom.control.pipeline import Pipeline
from greenroom.control.request_body import Bodies
from greenroom.entrance import certificate as tls
from greenroom.entrance.application import Application
from greenroom.entrance.health import Health, Part, StoreCheck
from greenroom.entrance.http_server import HttpServer, entrance, http_config
from greenroom.entrance.metrics_endpoint import (
    Monitoring,
    is_loopback,
    watch,
    watch_audit,
    watch_loop,
    watch_process,
    watch_store,
)
from greenroom.entrance.ready import Ready, description
from greenroom.entrance.sockets import Listening, listening
from greenroom.entrance.takeover import Predecessor, check_kept, predecessor
from greenroom.entrance.takeover_offer import Offer, Successor
from greenroom.identities.service import IdentityService
from greenroom.messaging.bulk_sender import BulkSender, open_bulk_sender
from greenroom.messaging.fanout import SLICE, Fanout
from greenroom.messaging.hub import Hub
from greenroom.process import address_file, signals, systemd
from greenroom.process.address_file import Address
from greenroom.process.randomness import new_id
from greenroom.review.reviewer import HandlerReviewer
from greenroom.review.targets import open_reviewer
from greenroom.server import limits, messaging_plane
from greenroom.server.privacy import keep_private
from greenroom.settings.load import Settings, SettingsRefused
from greenroom.storage.base import Store, StoreUnwritable
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.rooms import Rooms
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.telemetry import logs
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.cloudwatch import Publisher
from greenroom.telemetry.loop_lag import LoopLag
from greenroom.telemetry.metrics import Metrics
from greenroom.vault.token_keys import TokenKeys

HANDOVER_SECONDS = 2
"""How long requests under way, and destinations of chat logs, may hold up a takeover each."""

LAST_WORDS_SECONDS = 0.3
"""How long the last connections of a drain have for what waits to be written to them."""

GC_THRESHOLDS = (10_000, 20, 50)
"""Connections are many objects that live long, and make no cycles: the collector looks at them
less often than Python's default of 700 new objects."""

REGIONS_NAMED = 8
"""Regions that one line of the log names."""

log = structlog.get_logger()


async def serve(
    settings: Settings, announce: Callable[[Ready], None], *, taking_over: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the process at once.

    With `taking_over`, in place of the process that runs on the data directory, if one does. In
    turn, serve until another one takes over; when it fails, serve again.

    Raises:
        SettingsRefused: a target of message review, the certificate or the identities file cannot
            be used.
        StoreRefused: the data directory, or the key of the secrets in it, cannot be used.
        AddressRefused: the address is taken or not this machine's.
    """
    lines = BoundedLog()
    asyncio.get_running_loop().set_exception_handler(logs.FaultHandler(lines))
    async with _predecessor(settings, taking_over=taking_over) as before:
        with listening(settings, None if before is None else before.listening) as found:
            again = await _run(settings, found, lines, before, announce)
            while again:
                again = await _run(settings, found, lines, None, _say_nothing)
    lines.close()
    # The last word: a log without it is that of a process that was killed.
    log.info("stopped")


async def _run(
    settings: Settings,
    found: Listening,
    lines: BoundedLog,
    before: Predecessor | None,
    announce: Callable[[Ready], None],
) -> bool:
    """Serve to the end; return whether to serve again, because who was to take over failed."""
    async with contextlib.AsyncExitStack() as stack:
        opened = await _open(settings, found, lines, before, stack)
        async with _task_group() as tasks:
            node = await _build(opened, tasks)
            again = await _serve(node, before, announce)
    return again


class _Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What the process holds from the outside world."""

    settings: Settings
    listening: Listening
    lines: BoundedLog
    certificate: tls.Certificate | None
    clock: Clock
    metrics: Metrics
    reviewer: HandlerReviewer
    store: Store
    bus: Bus
    identity: IdentityService
    access: AwsAccess
    destinations: Destinations
    sender: BulkSender | None


async def _open(
    settings: Settings,
    found: Listening,
    lines: BoundedLog,
    before: Predecessor | None,
    stack: contextlib.AsyncExitStack,
) -> _Opened:
    clock, metrics, bus = Clock(), Metrics(), MemoryBus()
    access = AwsAccess(endpoints(settings))
    stack.push_async_callback(access.close)
    reviewer = await open_reviewer(settings, settings.quotas(), metrics, clock, access, lines)
    stack.push_async_callback(reviewer.close)
    certificate = tls.certificate_of(settings)
    if before is not None:
        await check_kept(settings)
        await before.release()
    store = await _open_store(settings)
    stack.push_async_callback(store.close)
    await _warn_of_regions(settings, store.rooms)
    stack.push_async_callback(bus.close)
    if settings.text("dev_tls") == "on":
        certificate = _dev_certificate(settings)
    identity = await IdentityService.open(settings, store.identities, store.secrets, bus, clock)
    stack.push_async_callback(identity.close)
    access.disown(identity.root.access_key_id)
    destinations = open_destinations(settings, access)
    stack.push_async_callback(destinations.close)
    return _Opened(
        settings=settings,
        listening=found,
        lines=lines,
        certificate=certificate,
        clock=clock,
        metrics=metrics,
        reviewer=reviewer,
        store=store,
        bus=bus,
        identity=identity,
        access=access,
        destinations=destinations,
        sender=_open_sender(settings, stack),
    )


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    """What runs: the planes, what they share, and what ticks."""

    opened: _Opened
    services: Services
    plane: messaging_plane.MessagingPlane
    tasks: asyncio.TaskGroup
    control: ControlPlane
    keys: TokenKeys
    chat_log: JournaledChatLog
    lag: LoopLag
    publishing: "asyncio.Task[None] | None"


async def _build(opened: _Opened, tasks: asyncio.TaskGroup) -> _Node:
    settings, store, bus, clock = opened.settings, opened.store, opened.bus, opened.clock
    identity, metrics, quotas = opened.identity, opened.metrics, settings.quotas()
    rooms = RoomsCache(store.rooms, bus, tasks, clock=clock)
    hub = Hub(bus, Fanout(metrics, opened.sender))
    keys = await TokenKeys.open(identity.vault, bus, clock, tasks)
    keys.when_killed(hub.revoke)
    chat_log = await _start_chat_log(opened, tasks)
    chat = Chat(
        rooms,
        bus,
        quotas,
        clock,
        check_account=identity.accounts.check,
        chat_log=chat_log,
        reviewer=opened.reviewer,
    )
    services = Services(
        store=store,
        control=bus,
        chat=chat,
        chat_log=chat_log,
        rooms=rooms,
        reviewer=opened.reviewer,
        ring=keys.ring,
        quotas=quotas,
        clock=clock,
        ids=new_id,
        nonces=secrets.token_bytes,
        metrics=metrics,
    )
    below = messaging_plane.Below(
        chat=chat,
        rooms=rooms,
        token_uses=store.token_uses,
        ring=keys.ring,
        clock=clock,
        metrics=metrics,
        lines=opened.lines,
        audit_log=identity.audit_log,
    )
    plane = messaging_plane.build(settings, below, hub, tasks)
    control = _control_plane(opened, services, keys)
    await bus.start()
    identity.start(tasks)
    watch(metrics, hub, chat, rooms, control)
    watch_process(metrics, plane.memory, plane.descriptors)
    lag = LoopLag(metrics.loop_lag_seconds)
    watch_loop(metrics, lag)
    if identity.audit_log is not None:
        watch_audit(metrics, identity.audit_log)
    if isinstance(store, SqliteStore):
        watch_store(metrics, lambda: store.statistics)
    return _Node(
        opened=opened,
        services=services,
        plane=plane,
        tasks=tasks,
        control=control,
        keys=keys,
        chat_log=chat_log,
        lag=lag,
        publishing=_publishing(opened, tasks),
    )


async def _serve(
    node: _Node, before: Predecessor | None, announce: Callable[[Ready], None]
) -> bool:
    """Serve, drain and close; return whether to serve again."""
    opened, hub = node.opened, node.plane.hub
    settings = opened.settings
    check = StoreCheck(opened.store.check_writable, opened.clock)
    application = Application(
        node.control,
        _health(node, check),
        _monitoring(node),
        settings.optional_text("base_path") or "",
    )
    offer = _offer(node)
    server = HttpServer(
        http_config(settings, application, node.plane.entrance),
        functools.partial(_started, opened, offer, before, announce),
        entrance(settings, opened.certificate),
        node.plane.acceptors,
    )
    spread = min(settings.number("drain_spread_seconds"), settings.number("drain_timeout_seconds"))
    node.plane.sweeper.start()
    node.lag.start()
    node.plane.memory.start()
    node.plane.descriptors.start()
    if opened.certificate is not None:
        opened.certificate.watch()
    offer.wanted = functools.partial(_let_go, server, hub)
    with (
        contextlib.closing(offer),
        contextlib.closing(check),
        signals.handled(
            functools.partial(_stop, opened, server, hub, spread, offer),
            functools.partial(_hang_up, opened),
        ),
    ):
        await server.serve(sockets=opened.listening.copies())
        if offer.successor is None:
            opened.listening.close()
            await _drained(hub, spread)
            await _close(node)
            return False
        taken = await _hand_over(node, offer.successor)
        hub.drain(spread if taken else 0)
        await _drained(hub, spread)
        return not taken and not offer.is_withdrawn


async def _hand_over(node: _Node, successor: Successor) -> bool:
    """Let go of the store and keep the viewers; return whether the other process serves them."""
    node.plane.hub.hold()
    await _close(node, HANDOVER_SECONDS)
    await node.opened.store.close()
    return await successor.serves()


async def _close(node: _Node, delivering: float | None = None) -> None:
    """End what runs; what was opened is closed afterwards.

    `delivering` bounds the seconds that destinations of chat logs may take, beside the drain's.
    """
    opened = node.opened
    seconds = opened.settings.number("drain_timeout_seconds")
    node.plane.sweeper.stop()
    node.lag.stop()
    node.plane.memory.stop()
    node.plane.descriptors.stop()
    if opened.certificate is not None:
        opened.certificate.stop()
    # First: what is reviewed yet has its record too, and the log's end is bounded.
    await opened.reviewer.drain(seconds)
    await node.chat_log.stop(seconds, delivering)
    if node.publishing is not None:
        node.publishing.cancel()
    # The upkeep is a task of the group, which waits for it.
    await opened.identity.close()


def _stop(opened: _Opened, server: HttpServer, hub: Hub, spread: int, offer: Offer) -> None:
    log.info("stopping", connections=hub.connections)
    if offer.successor is None:
        # A successor is the service's main process by now, and does not stop.
        systemd.notify(systemd.STOPPING)
    offer.withdraw("it was told to stop")
    # First: who is dropped comes back at once, and would be refused again and again.
    server.stop_accepting()
    opened.listening.close()
    hub.drain(spread)


def _let_go(server: HttpServer, hub: Hub) -> None:
    """Accept no more, and end requests: who would take over is prepared."""
    log.info("handing over", connections=hub.connections)
    server.config.timeout_graceful_shutdown = HANDOVER_SECONDS
    server.should_exit = True


def _offer(node: _Node) -> Offer:
    opened = node.opened
    kept = isinstance(opened.store, SqliteStore)
    directory = opened.settings.path("data_dir") if kept else None
    offer = Offer(directory, opened.listening, node.tasks)
    offer.unfit = lambda: "chat logs wait in memory for the disk" if node.chat_log.is_behind else ""
    return offer


def _predecessor(
    settings: Settings, *, taking_over: bool
) -> contextlib.AbstractAsyncContextManager[Predecessor | None]:
    if not taking_over:
        return contextlib.nullcontext()
    if settings.text("storage") == "memory":
        raise SettingsRefused("--takeover needs storage sqlite: memory cannot be handed over")
    return predecessor(settings.path("data_dir"))


def _say_nothing(ready: Ready) -> None:
    """Announce nothing: what was announced at the start still holds."""


def _hang_up(opened: _Opened) -> None:
    """Read the files again: certificate, identities, and a new audit log."""
    if opened.certificate is not None:
        opened.certificate.reload()
    opened.identity.hang_up()


async def _drained(hub: Hub, spread: int) -> None:
    """Wait until the connections have ended that end over time, and a moment for the last ones."""
    if not hub.drained.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(spread + LAST_WORDS_SECONDS):
                await hub.drained.wait()
        await asyncio.sleep(LAST_WORDS_SECONDS)
    hub.drain()


async def _open_store(settings: Settings) -> Store:
    if settings.text("storage") == "memory":
        return MemoryStore()
    directory = settings.path("data_dir")
    store = await SqliteStore.open(directory)
    keep_private(directory)
    return store


async def _warn_of_regions(settings: Settings, rooms: Rooms) -> None:
    """Say which rooms no request reaches, because the settings no longer serve their region."""
    served = settings.served_regions()
    unserved = set() if served is None else await rooms.regions_in_use() - served
    if unserved:
        log.warning(
            "rooms in regions that are not served: name these in the setting regions",
            regions=", ".join(sorted(unserved)[:REGIONS_NAMED]),
            count=len(unserved),
        )


def _open_sender(settings: Settings, stack: contextlib.AsyncExitStack) -> BulkSender | None:
    sender = open_bulk_sender(SLICE) if settings.text("io_uring") == "auto" else None
    if sender is not None:
        stack.callback(sender.close)
    return sender


def _dev_certificate(settings: Settings) -> tls.Certificate:
    # Its imports are a tenth of a start.
    from greenroom.entrance.dev_certificate import dev_certificate

    try:
        files = dev_certificate(settings.path("data_dir").resolve(), settings.text("host"))
    except OSError as error:
        raise StoreUnwritable(f"the certificate cannot be kept: {error.strerror}") from None
    log.warning("the certificate is for development only: it is signed by itself")
    return tls.Certificate(*files)


async def _start_chat_log(opened: _Opened, tasks: asyncio.TaskGroup) -> JournaledChatLog:
    chat_log = JournaledChatLog(
        opened.store,
        opened.destinations.destination_for,
        tasks,
        clock=opened.clock,
        random=random.random,
        bounds=limits.journal_bounds(opened.settings),
        metrics=opened.metrics,
    )
    await chat_log.start()
    await finish_interrupted(opened.store.logging_configurations, chat_log, opened.clock)
    return chat_log


def _publishing(opened: _Opened, tasks: asyncio.TaskGroup) -> "asyncio.Task[None] | None":
    settings = opened.settings
    if settings.text("cloudwatch_metrics") != "on":
        return None
    region, namespace = settings.text("region"), settings.text("cloudwatch_namespace")
    return tasks.create_task(Publisher(opened.metrics, opened.access, region, namespace).run())


def _control_plane(opened: _Opened, services: Services, keys: TokenKeys) -> ControlPlane:
    settings, identity = opened.settings, opened.identity
    regions = settings.served_regions()
    pipeline = Pipeline(
        identity.identities,
        identity.accounts,
        services.clock,
        services.quotas,
        services.metrics,
        identity.audit_log,
        Bodies(settings.number("request_bodies_bytes")),
        opened.lines,
    )
    greenroom = GreenroomServices(
        keys=keys,
        accounts=identity.accounts,
        identities=opened.store.identities,
        end_sessions=identity.end_sessions,
    )
    return ControlPlane(
        pipeline,
        ivschat_api(services, regions),
        _iam_apis(services, identity, regions),
        greenroom_api(greenroom),
    )


def _iam_apis(
    services: Services, identity: IdentityService, regions: Collection[str] | None
) -> Mapping[str, IamApi]:
    iam = IamServices(
        identities=services.store.identities,
        clock=services.clock,
        entropy=services.nonces,
        sealer=identity.vault.sealer,
        ring=identity.session_ring,
    )

    def changed(account: str) -> None:
        services.control.broadcast(IdentitiesChanged(account))

    return iam_apis(iam, changed, regions)


def _monitoring(node: _Node) -> Monitoring | None:
    opened = node.opened
    if opened.settings.text("metrics") == "off":
        return None
    return Monitoring(
        opened.metrics,
        opened.settings.optional_text("metrics_token"),
        local=all(map(is_loopback, opened.listening.hosts))
        and opened.settings.text("proxy_protocol") == "off",
        refresh=node.chat_log.observe,
    )


def _health(node: _Node, check: StoreCheck) -> Health:
    plane, certificate, clock = node.plane, node.opened.certificate, node.opened.clock
    return Health(
        check,
        {
            Part.CERTIFICATE: lambda: (
                certificate is not None and not certificate.is_valid(clock.now())
            ),
            Part.MEMORY: lambda: plane.memory.pressed,
            Part.DRAINING: lambda: plane.hub.draining,
        },
    )


def _started(
    opened: _Opened, offer: Offer, before: Predecessor | None, announce: Callable[[Ready], None]
) -> None:
    # What was built at the start lives to the end: the collector need not look at it again.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    settings, listening = opened.settings, opened.listening
    ready = description(settings, opened.identity.root, listening, opened.certificate)
    if ready.data_dir is not None:
        address = Address(ready.api_url, ready.certificate_to_trust)
        address_file.write(settings.path("data_dir"), address)
    _warn(opened, ready)
    # First: who waits for the announcement may want to take over at once.
    offer.start()
    announce(ready)
    log.info("ready", api_url=ready.api_url, version=__version__, data_dir=ready.data_dir)
    main = () if before is None else (f"MAINPID={ready.pid}",)
    systemd.notify(systemd.READY, *main)
    if before is not None:
        before.serving()


def _warn(opened: _Opened, ready: Ready) -> None:
    """Say once what nobody may have meant."""
    settings = opened.settings
    exposed = not all(map(is_loopback, opened.listening.hosts))
    if opened.certificate is None and exposed and not settings.texts("trusted_proxies"):
        log.warning(
            "no TLS: whoever is on the way reads messages and tokens; give tls_certificate_file and"
            " tls_key_file, or name the proxies that encrypt in trusted_proxies",
            listening_on=ready.listening_on,
        )
    choice = chosen(settings, os.environ, ready.access_key_id)
    if choice.by_environment:
        log.warning(
            "chat logs go to AWS, because AWS credentials are in the environment: say whether that"
            " is meant with chat_log_destinations, *=aws or *=files",
            credentials=choice.why,
        )


@contextlib.asynccontextmanager
async def _task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Own tasks as `TaskGroup` does, and raise a lone error as itself, not as a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
