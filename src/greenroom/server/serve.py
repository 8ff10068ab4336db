"""Runs a node to its end: announces it, hands it over or drains it, and closes what was opened.

What a process consists of is opened from the bottom up and closed in the opposite order.
"""

import asyncio
import contextlib
import functools
import gc
import os
from collections.abc import AsyncIterator, Callable

import structlog

from greenroom import __version__
from greenroom.chatlog.choice import chosen
from greenroom.entrance.health import StoreCheck
from greenroom.entrance.http_server import HttpServer, entrance, http_config
from greenroom.entrance.ready import Ready, description
from greenroom.entrance.sockets import Listening, listening
from greenroom.entrance.takeover import Before, Predecessor, predecessor
from greenroom.entrance.takeover_offer import Offer, Offered, Takes
from greenroom.messaging.hub import Hub
from greenroom.network.this_machine import is_loopback
from greenroom.process import address_file, signals, systemd
from greenroom.process.address_file import Address
from greenroom.process.ticker import Ticker
from greenroom.server.adapters import Adapters, open_adapters
from greenroom.server.node import Node, application, build_node
from greenroom.server.parts import AS_CONFIGURED, Parts
from greenroom.server.processes.link import ALIVE_SECONDS, Link
from greenroom.settings.values import Settings, SettingsRefused
from greenroom.telemetry import logs
from greenroom.telemetry.bounded_log import BoundedLog

HANDOVER_SECONDS = 2
"""How long requests under way, and destinations of chat logs, may hold up a takeover each."""

LAST_WORDS_SECONDS = 0.3
"""How long the last connections of a drain have for what waits to be written to them."""

SETTLE_SECONDS = 10
"""How long a drain waits at most for what was sent to have its outcome: the bus knows by then."""

GC_THRESHOLDS = (10_000, 20, 50)
"""Connections are many objects that live long, and make no cycles: the collector looks at them
less often than Python's default of 700 new objects."""

log = structlog.get_logger()


async def run_service(
    settings: Settings,
    announce: Callable[[Ready], None],
    *,
    taking_over: bool = False,
    parts: Parts = AS_CONFIGURED,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the process at once.

    With `taking_over`, in place of the process that runs on the data directory, if one does. In
    turn, serve until another one takes over; when it fails, serve again. `parts` are for those who
    embed the service.

    Raises:
        SettingsRefused: a target of message review, the certificate or the identities file cannot
            be used.
        StoreRefused: the data directory, or the key of the secrets in it, cannot be used.
        FileUnwritable: a file beside the store cannot be written.
        AddressRefused: the address is taken or not this machine's.
    """
    lines = BoundedLog()
    asyncio.get_running_loop().set_exception_handler(logs.FaultHandler(lines))
    async with met_before(settings, taking_over=taking_over) as before:
        with listening(settings, None if before is None else before.listening) as found:
            parts.admits(found)
            again = await _run(settings, parts, found, lines, before, announce)
            while again:
                again = await _run(settings, parts, found, lines, None, _say_nothing)
    lines.close()
    # The last word: a log without it is that of a process that was killed.
    log.info("stopped")


async def run_one_of(settings: Settings, link: Link, *, taking_over: bool) -> None:
    """Serve as one of several processes until the supervisor ends it, then drain.

    Raises:
        StartRefused: as for `run_service`.
    """
    lines = BoundedLog()
    asyncio.get_running_loop().set_exception_handler(logs.FaultHandler(lines))
    link.open()
    ticker = Ticker(ALIVE_SECONDS, link.alive)
    ticker.start()
    parts, found = Parts(link=link), link.listening
    before = link if taking_over else None
    while await _run(settings, parts, found, lines, before, link.announce):
        before = None
    ticker.stop()
    lines.close()


async def _run(
    settings: Settings,
    parts: Parts,
    found: Listening,
    lines: BoundedLog,
    before: Before | None,
    announce: Callable[[Ready], None],
) -> bool:
    """Serve to the end; return whether to serve again, because who was to take over failed."""
    async with contextlib.AsyncExitStack() as stack:
        opened = await open_adapters(settings, found, lines, before, stack, parts)
        async with task_group() as tasks:
            try:
                node = await build_node(opened, tasks)
                again = await _serve(node, before, announce)
            finally:
                # Who is told begins tasks, and soon nobody owns them.
                opened.bus.stop()
    return again


async def _serve(node: Node, before: Before | None, announce: Callable[[Ready], None]) -> bool:
    """Serve, drain and close; return whether to serve again."""
    opened, hub, link = node.opened, node.plane.hub, node.opened.parts.link
    settings = opened.settings
    check = StoreCheck(opened.store.check_writable, opened.clock)
    offer = _offer(node)
    server = HttpServer(
        http_config(settings, application(node, check), node.plane.entrance),
        functools.partial(_started, opened, offer, before, announce),
        entrance(settings, opened.certificate, node.plane.entrance),
        node.plane.acceptors,
    )
    spread = min(settings.number("drain_spread_seconds"), settings.number("drain_timeout_seconds"))
    for ticker in node.tickers:
        ticker.start()
    offer.wanted = functools.partial(_let_go, server, hub)
    if link is not None:
        link.accept_from = server.accept_from
    with (
        contextlib.closing(offer),
        contextlib.closing(check),
        signals.handled(
            functools.partial(_stop, opened, server, hub, spread, offer),
            functools.partial(_hang_up, opened),
            # Of several processes the supervisor decides: signals to a group come to both.
            signals.leave_at_once if link is None else None,
        ),
    ):
        await server.serve(sockets=opened.listening.copies())
        if offer.successor is None:
            opened.listening.close()
            await _drained(hub, spread)
            _end_presence(node)
            await _close(node)
            return False
        taken = await _hand_over(node, offer.successor)
        hub.drain(spread if taken else 0)
        await _drained(hub, spread)
        _end_presence(node)
        return not taken and not offer.is_withdrawn


async def _hand_over(node: Node, successor: Takes) -> bool:
    """Let go of the store and keep the viewers; return whether the other process serves them."""
    node.plane.hub.hold()
    await _close(node, HANDOVER_SECONDS)
    await node.opened.store.close()
    node.opened.let_go()
    taken = await successor.serves()
    if taken:
        # Not before, and not by the successor: while it may still fail, this is the main process,
        # and systemd ends a service whose main process has ended.
        systemd.notify(f"MAINPID={successor.pid}")
    return taken


def _end_presence(node: Node) -> None:
    """Count for the other nodes no more, when the last connection has ended."""
    if node.presence is not None:
        node.presence.stop()


async def _close(node: Node, delivering: float | None = None) -> None:
    """End what runs; what was opened is closed afterwards.

    `delivering` bounds the seconds that destinations of chat logs may take, beside the drain's.
    """
    opened = node.opened
    seconds = opened.settings.number("drain_timeout_seconds")
    for ticker in node.tickers:
        ticker.stop()
    node.schedules.stop()
    await node.releases.stop()
    # First: what is reviewed or announced yet has its record too, and the log's end is bounded.
    await opened.reviewer.drain(seconds)
    await node.schedules.close()
    await node.chat_log.stop(seconds, delivering)
    if node.history is not None:
        await node.history.close()
    for task in (node.publishing, node.watching):
        if task is not None:
            task.cancel()
    node.keys.close()
    # The upkeep is a task of the group, which waits for it.
    await opened.identity.close()


def _stop(opened: Adapters, server: HttpServer, hub: Hub, spread: int, offer: Offered) -> None:
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


def _offer(node: Node) -> Offered:
    opened = node.opened
    if opened.parts.link is not None:
        return opened.parts.link
    kept = opened.settings.text("storage") != "memory"
    directory = opened.settings.path("data_dir") if kept else None
    offer = Offer(directory, opened.listening, node.tasks)
    offer.unfit = lambda: "chat logs wait in memory for the disk" if node.chat_log.is_behind else ""
    return offer


def met_before(
    settings: Settings, *, taking_over: bool
) -> contextlib.AbstractAsyncContextManager[Predecessor | None]:
    """Meet the process that runs on the data directory, if it is to be taken over."""
    if not taking_over:
        return contextlib.nullcontext()
    if settings.text("storage") == "memory":
        raise SettingsRefused("--takeover needs storage sqlite: memory cannot be handed over")
    return predecessor(settings.path("data_dir"))


def _say_nothing(ready: Ready) -> None:
    """Announce nothing: what was announced at the start still holds."""


def _hang_up(opened: Adapters) -> None:
    """Read the files again: certificate, identities, and a new audit log."""
    if opened.certificate is not None:
        opened.certificate.reload()
    opened.identity.hang_up()


async def _drained(hub: Hub, spread: int) -> None:
    """Wait until the connections have ended that end over time, and a moment for the last ones."""
    if not hub.drained.is_set():
        settling = SETTLE_SECONDS if hub.settling else 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(spread + settling + LAST_WORDS_SECONDS):
                await hub.drained.wait()
        await asyncio.sleep(LAST_WORDS_SECONDS)
    hub.drain()


def _started(
    opened: Adapters, offer: Offered, before: Before | None, announce: Callable[[Ready], None]
) -> None:
    # What was built at the start lives to the end: the collector need not look at it again.
    # Not again after a takeover that failed: what its first node left is to be collected.
    if not gc.get_freeze_count():
        gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    settings, listening = opened.settings, opened.listening
    ready = description(settings, opened.identity.root, listening, opened.certificate)
    if opened.parts.link is None or opened.parts.link.number == 1:
        if ready.data_dir is not None:
            address = Address(ready.api_url, ready.certificate_to_trust)
            address_file.write(settings.path("data_dir"), address)
        _warn(opened, ready)
    # First: who waits for the announcement may want to take over at once.
    offer.start()
    announce(ready)
    log.info("ready", api_url=ready.api_url, version=__version__, data_dir=ready.data_dir)
    if before is None:
        systemd.notify(systemd.READY)
    else:
        if not before.names_successor:
            systemd.notify(f"MAINPID={ready.pid}")
        before.serving()


def _warn(opened: Adapters, ready: Ready) -> None:
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
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Own tasks as `TaskGroup` does, and raise a lone error as itself, not as a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
