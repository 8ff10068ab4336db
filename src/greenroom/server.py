"""The composition root, the only module that knows every adapter: open, build, serve, drain."""

import asyncio
import contextlib
import functools
import gc
import os
import random
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import structlog
import uvicorn

from greenroom import __version__, credentials, telemetry
from greenroom.aws_access import AwsAccess
from greenroom.bus.base import Envelope, IdentitiesChanged
from greenroom.bus.memory import MemoryBus
from greenroom.chat import Chat
from greenroom.chatlog.bounds import NANOSECONDS_PER_HOUR, Bounds
from greenroom.chatlog.destinations import Destinations, endpoints, open_destinations
from greenroom.chatlog.log import JournaledChatLog
from greenroom.clock import Clock
from greenroom.cloudwatch import Publisher
from greenroom.control.app import ControlPlane, Receive, Scope, Send
from greenroom.control.context import Services
from greenroom.control.iam_call import IamServices
from greenroom.control.identity import AccessKey
from greenroom.control.logging_configurations import finish_interrupted
from greenroom.control.query_api import QueryApi
from greenroom.door import Door
from greenroom.identity_service import IdentityService
from greenroom.listener import HeadLimits
from greenroom.messaging.hub import Hub
from greenroom.messaging.moderation_trail import ModerationTrail
from greenroom.messaging.plane import Limits, Plane
from greenroom.messaging.redeemer import Redeemer
from greenroom.messaging.sweeper import Sweeper
from greenroom.metrics import Metrics
from greenroom.model.message import new_id
from greenroom.monitoring import LoopLag, Monitoring, is_loopback, watch, watch_store
from greenroom.review.reviewer import HandlerReviewer
from greenroom.review.targets import open_reviewer
from greenroom.rooms_cache import RoomsCache
from greenroom.settings import Settings
from greenroom.storage.base import Store
from greenroom.storage.memory import MemoryStore
from greenroom.storage.sqlite import SqliteStore

HEADER_COUNT = 128
"""The most headers in one request."""

GC_THRESHOLDS = (10_000, 20, 50)
"""Connections are many objects that live long, and make no cycles: the collector looks at them
less often than Python's default of 700 new objects."""

log = structlog.get_logger()


class AddressRefused(Exception):
    """The address cannot be listened on: the message is one clear line for the operator."""


class Ready(msgspec.Struct, frozen=True):
    """What a started service tells about itself."""

    pid: int
    api_url: str
    websocket_url: str
    health_url: str
    data_dir: str | None
    credentials_file: str | None
    access_key_id: str
    secret_access_key: str
    secret_given: bool
    region: str
    account: str


async def serve(settings: Settings, announce: Callable[[Ready], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the process at once.

    Raises:
        SettingsRefused: the identities file cannot be used.
        StoreRefused: the data directory, or the key of the secrets in it, cannot be used.
        AddressRefused: the address is taken or not this machine's.
        SettingsRefused: a target of message review cannot be used.
    """
    with _bound(settings.text("host"), settings.number("port")) as listening:
        metrics = Metrics()
        async with contextlib.AsyncExitStack() as stack:
            # First: a target that cannot be used is refused before anything is written.
            reviewer = await open_reviewer(settings, settings.quotas(), metrics, Clock())
            stack.push_async_callback(reviewer.close)
            store = await _open_store(settings)
            stack.push_async_callback(store.close)
            await _run(settings, store, metrics, reviewer, listening, announce)


async def _open_store(settings: Settings) -> Store:
    if settings.text("storage") == "memory":
        return MemoryStore()
    return await SqliteStore.open(settings.path("data_dir"))


async def _run(
    settings: Settings,
    store: Store,
    metrics: Metrics,
    reviewer: HandlerReviewer,
    listening: socket.socket,
    announce: Callable[[Ready], None],
) -> None:
    asyncio.get_running_loop().set_exception_handler(telemetry.report_fault)
    clock = Clock()
    rooms, bus, quotas = RoomsCache(store), MemoryBus(), settings.quotas()
    identity = await IdentityService.open(settings, store, bus, clock)
    ring = identity.chat_ring
    hub = Hub(rooms, metrics)
    if isinstance(store, SqliteStore):
        watch_store(metrics, lambda: store.statistics)
    lag = LoopLag(metrics.loop_lag_seconds)
    sweeper = Sweeper(clock, settings.number("ping_interval_seconds"))
    access = AwsAccess(endpoints(settings), identity.root.access_key_id)
    destinations = open_destinations(settings, access)
    async with _task_group() as tasks:
        publishing = _publishing(settings, metrics, access, tasks)
        chat_log = await _start_chat_log(settings, store, destinations, tasks, metrics)
        chat = Chat(
            rooms,
            bus,
            quotas,
            clock,
            check_account=identity.accounts.check,
            chat_log=chat_log,
            reviewer=reviewer,
        )
        services = Services(
            store=store,
            bus=bus,
            chat=chat,
            chat_log=chat_log,
            rooms=rooms,
            reviewer=reviewer,
            ring=ring,
            quotas=quotas,
            clock=clock,
            ids=new_id,
            nonces=secrets.token_bytes,
            metrics=metrics,
            accounts=identity.accounts,
        )
        plane = Plane(
            chat=chat,
            moderation=ModerationTrail(identity.audit_log, clock),
            hub=hub,
            sweeper=sweeper,
            rooms=rooms,
            redeemer=Redeemer(store, clock, tasks),
            ring=ring,
            quotas=quotas,
            clock=clock,
            ids=new_id,
            limits=_limits(settings),
            tasks=tasks,
            metrics=metrics,
        )
        await bus.start(functools.partial(_receive, hub, identity))
        sweeper.start()
        lag.start()
        identity.start(tasks)
        query_api = _query_api(services, identity)
        control = ControlPlane(services, identity.identities, identity.audit_log, query_api)
        watch(metrics, hub, chat, rooms, control)
        application = _Application(
            control, hub, _monitoring(settings, metrics, listening, chat_log.observe)
        )
        server = _Server(
            _http_config(settings, application, plane),
            functools.partial(_started, settings, identity.root, listening, announce),
        )
        with _signals(functools.partial(_stop, server, hub), identity.hang_up):
            await server.serve(sockets=[listening])
        hub.drain()
        reviewer.drain(settings.number("drain_timeout_seconds"))
        sweeper.stop()
        lag.stop()
        await chat_log.stop(settings.number("drain_timeout_seconds"))
        if publishing is not None:
            publishing.cancel()
        await destinations.close()
        await access.close()
        await identity.close()
        await bus.close()


def _query_api(services: Services, identity: IdentityService) -> QueryApi:
    iam = IamServices(
        identities=services.store.identities,
        clock=services.clock,
        entropy=services.nonces,
        sealer=identity.vault.sealer,
        ring=identity.session_ring,
    )
    return QueryApi(iam, lambda account: services.bus.publish(IdentitiesChanged(account)))


def _receive(hub: Hub, identity: IdentityService, envelope: Envelope) -> None:
    hub.receive(envelope)
    identity.receive(envelope)


def _publishing(
    settings: Settings, metrics: Metrics, access: AwsAccess, tasks: asyncio.TaskGroup
) -> asyncio.Task[None] | None:
    if settings.text("cloudwatch_metrics") != "on":
        return None
    region, namespace = settings.text("region"), settings.text("cloudwatch_namespace")
    return tasks.create_task(Publisher(metrics, access, region, namespace).run())


async def _start_chat_log(
    settings: Settings,
    store: Store,
    destinations: Destinations,
    tasks: asyncio.TaskGroup,
    metrics: Metrics,
) -> JournaledChatLog:
    clock = Clock()
    chat_log = JournaledChatLog(
        store,
        destinations.destination_for,
        tasks,
        clock=clock,
        random=random.random,
        bounds=_bounds(settings),
        metrics=metrics,
    )
    await chat_log.start()
    await finish_interrupted(store, chat_log, clock)
    return chat_log


def _bounds(settings: Settings) -> Bounds:
    return Bounds(
        size=settings.number("journal_bytes"),
        age_ns=settings.number("journal_age_hours") * NANOSECONDS_PER_HOUR,
        memory=settings.number("journal_memory_bytes"),
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        outbound_bytes=settings.number("outbound_queue_bytes"),
        frame_bytes=settings.number("frame_bytes"),
        handshake_seconds=settings.number("handshake_timeout_seconds"),
        close_seconds=settings.number("close_timeout_seconds"),
    )


def _monitoring(
    settings: Settings,
    metrics: Metrics,
    listening: socket.socket,
    refresh: Callable[[], None],
) -> Monitoring | None:
    if settings.text("metrics") == "off":
        return None
    local = is_loopback(listening.getsockname()[0])
    token = settings.optional_text("metrics_token")
    return Monitoring(metrics, token, local=local, refresh=refresh)


def _http_config(settings: Settings, application: "_Application", plane: Plane) -> uvicorn.Config:
    limits = HeadLimits(
        size=settings.number("head_bytes"),
        count=HEADER_COUNT,
        seconds=settings.number("handshake_timeout_seconds"),
    )
    return uvicorn.Config(
        application,
        http=functools.partial(Door, plane, limits),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=4096,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.number("drain_timeout_seconds"),
    )


def _started(
    settings: Settings,
    key: AccessKey,
    listening: socket.socket,
    announce: Callable[[Ready], None],
) -> None:
    # What was built at the start lives to the end: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    kept = settings.text("storage") == "sqlite"
    ready = Ready(
        pid=os.getpid(),
        api_url=f"http://{shown}:{port}",
        websocket_url=f"ws://{shown}:{port}/",
        health_url=f"http://{shown}:{port}/health",
        data_dir=str(settings.path("data_dir").resolve()) if kept else None,
        credentials_file=credentials.file_of(settings),
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        secret_given=settings.optional_text("secret_access_key") is not None,
        region=settings.text("region"),
        account=key.account,
    )
    announce(ready)
    log.info("ready", api_url=ready.api_url, version=__version__, data_dir=ready.data_dir)


class _Application:
    """What HTTP requests reach: `/health`, `/metrics`, else the control plane."""

    def __init__(
        self, control: ControlPlane, hub: Hub, monitoring: Monitoring | None = None
    ) -> None:
        self._control = control
        self._hub = hub
        self._monitoring = monitoring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["raw_path"] == b"/health" and scope["method"] in ("GET", "HEAD"):
            await self._health(send)
        elif self._monitoring is not None and self._monitoring.wants(scope):
            await self._monitoring(scope, receive, send)
        else:
            await self._control(scope, receive, send)

    async def _health(self, send: Send) -> None:
        status = "draining" if self._hub.draining else "ok"
        body = msgspec.json.encode({"status": status, "version": __version__})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        code = 503 if self._hub.draining else 200
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    """uvicorn's server, with our signals, that tells when it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _stop(server: _Server, hub: Hub) -> None:
    log.info("stopping", connections=hub.connections)
    server.should_exit = True
    hub.drain()


@contextlib.contextmanager
def _signals(stop: Callable[[], None], hang_up: Callable[[], None]) -> Iterator[None]:
    """Stop at the first SIGTERM or SIGINT; at the second leave at once, as the shell expects.

    SIGHUP, which ends a process that does not handle it, means: read your files again.
    """
    loop = asyncio.get_running_loop()
    stopping = False

    def receive(number: int) -> None:
        nonlocal stopping
        if stopping:
            os._exit(128 + number)
        stopping = True
        stop()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, receive, number)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        for number in (*numbers, signal.SIGHUP):
            loop.remove_signal_handler(number)


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


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    try:
        ((family, kind, protocol, _, address), *_) = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise AddressRefused(f"{host} is not an address: {error.strerror}") from None
    except UnicodeError:
        raise AddressRefused(f"{host} is not an address: a part is empty or too long") from None
    listening = socket.socket(family, kind, protocol)
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(4096)
        except OSError as error:
            raise AddressRefused(f"cannot listen on {host} port {port}: {error.strerror}") from None
        yield listening
