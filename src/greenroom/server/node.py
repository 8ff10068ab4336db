"""Builds what runs of what is open: the two planes, what they share, and what watches them."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import msgspec

from greenroom.bus.base import Bus, IdentitiesChanged, RoomLine
from greenroom.bus.figures import Figures
from greenroom.bus.memory import MemoryBus
from greenroom.chat import account_rates, history_sweeper
from greenroom.chat import schedules as schedules_module
from greenroom.chat.account_rates import AccountRates
from greenroom.chat.chat import Chat
from greenroom.chat.kept_history import KeptHistory
from greenroom.chat.kept_messages import KeptMessages
from greenroom.chat.presence import Alone, Presence
from greenroom.chat.releases import TICK_SECONDS as RELEASE_SECONDS
from greenroom.chat.releases import Releases
from greenroom.chat.restrictions import LOOK_SECONDS, SWEEP_SECONDS, Restrictions
from greenroom.chat.role_changes import RoleChanges
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.schedules import ScheduledAnnouncements
from greenroom.chat.settings import Settings
from greenroom.chatlog.base import ChatLog
from greenroom.chatlog.log import JournaledChatLog
from greenroom.chatlog.recorded_line import RecordedLine
from greenroom.chatlog.streamed import StreamedChatLog
from greenroom.control import asgi
from greenroom.control.app import ControlPlane
from greenroom.control.greenroom.api import greenroom_api
from greenroom.control.greenroom.call import GreenroomServices
from greenroom.control.iam.api import IamApi, iam_apis
from greenroom.control.iam.call import IamServices
from greenroom.control.ivschat.api import ivschat_api
from greenroom.control.ivschat.context import Services
from greenroom.control.pipeline import Pipeline
from greenroom.control.request_body import Bodies
from greenroom.entrance import certificate
from greenroom.entrance.application import Application
from greenroom.entrance.health import SHARED_STORE, Health, Part, StoreCheck
from greenroom.entrance.metrics_endpoint import Monitoring, watch_loop, watch_nodes
from greenroom.identities.service import IdentityService
from greenroom.messaging import settings_teller, sweeper, users_teller, viewers_teller
from greenroom.messaging.admission import read_no_keys
from greenroom.messaging.fanout import Fanout
from greenroom.messaging.hub import Hub
from greenroom.messaging.lost_nodes import LostNodes
from greenroom.messaging.own_actions import OwnServices
from greenroom.messaging.shared_places import SharedPlaces
from greenroom.messaging.users_teller import UsersTeller
from greenroom.network.this_machine import is_loopback
from greenroom.process import memory_pressure
from greenroom.process.randomness import new_id
from greenroom.process.ticker import Ticker
from greenroom.server import (
    chat_logs,
    messaging_plane,
    node_states,
    own_services,
    restricting,
    watched,
)
from greenroom.server import held as held_module
from greenroom.server import history as history_module
from greenroom.server.adapters import Adapters
from greenroom.server.held import Held
from greenroom.server.node_states import NodeStates, name_of_process
from greenroom.server.processes.together import Together
from greenroom.server.stream_watch import StreamWatch
from greenroom.telemetry import descriptors, loop_lag
from greenroom.telemetry.cloudwatch import Publisher
from greenroom.telemetry.loop_lag import LoopLag
from greenroom.vault.token_keys import TokenKeys

BACKSTOP_SECONDS = 60
"""How old what is known of rooms and restrictions may be where others change them, too."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """What runs: the planes, what they share, and what ticks."""

    opened: Adapters
    plane: messaging_plane.MessagingPlane
    tasks: asyncio.TaskGroup
    control: ControlPlane
    keys: TokenKeys
    presence: Presence | None
    states: NodeStates | None
    chat_log: JournaledChatLog | StreamedChatLog
    schedules: ScheduledAnnouncements
    history: KeptHistory | None
    """Keeps what rooms show; None in a cluster, where the readers of the streams do."""
    releases: Releases
    tickers: Sequence[Ticker]
    publishing: "asyncio.Task[None] | None"
    watching: "asyncio.Task[None] | None"
    """Looks at the streams of a cluster."""


async def build_node(opened: Adapters, tasks: asyncio.TaskGroup) -> Node:
    """Make the node, and start what has no connection to wait for; `tasks` owns what it runs."""
    identity, metrics = opened.identity, opened.metrics
    rooms = RoomsCache(
        opened.store.rooms,
        opened.bus,
        tasks,
        clock=opened.clock,
        backstop_seconds=_backstop_seconds(opened),
    )
    presence = await _presence(opened)
    hub = Hub(opened.bus, Fanout(metrics, opened.sender), presence or Alone(opened.clock))
    keys = await TokenKeys.open(identity.vault, opened.bus, opened.clock, tasks)
    keys.when_killed(hub.revoke)
    restrictions = await restricting.restrictions(opened, hub, tasks, _backstop_seconds(opened))
    history = await history_module.keep_history(opened, tasks)
    held = await held_module.open_held(opened, hub, tasks)
    chat_log = await chat_logs.start(opened, tasks, presence, held)
    line = opened.parts.line(_line(opened.bus, chat_log, held))
    services = _services(opened, rooms, line, keys, chat_log, restrictions)
    moderation = restricting.moderation(opened, services, hub, presence, tasks)
    users_teller = own_services.users_teller(opened, services, hub, presence, tasks)
    kept = history_module.kept_messages(opened, history)
    named = own_services.user_names(opened, hub, presence, tasks)
    own = own_services.build(opened, services, moderation, users_teller, hub, kept, named, tasks)
    schedules = own_services.schedules(opened, services, own, tasks)
    plane = messaging_plane.build(
        opened.settings, _below(opened, services, own, users_teller), hub, tasks
    )
    control = _control_plane(opened, services, keys, own, hub, kept, schedules)
    lag = LoopLag(metrics.loop_lag_seconds)
    tickers = [*_tickers(opened, plane, lag), *_shared_rates(opened, services, control)]
    tickers += _upkeep(opened, restrictions, schedules, tasks)
    # Before the bus: what came while all this was read may have to be read again.
    identity.start(tasks)
    await opened.bus.start()
    states = _states(opened, presence, hub, chat_log, tasks)
    _tell_others(opened, presence, plane)
    watched.watch_node(opened, services, plane, control, history)
    watch_loop(metrics, lag)
    releases = held_module.releases(opened, services, line, held, tasks, _may_hold(states))
    tickers.append(Ticker(RELEASE_SECONDS, releases.tick))
    if presence is not None and states is not None:
        watch_nodes(metrics, presence, states)
        tickers.append(Ticker(node_states.TELL_SECONDS, states.tick))
    return Node(
        opened=opened,
        keys=keys,
        presence=presence,
        states=states,
        plane=plane,
        tasks=tasks,
        control=control,
        chat_log=chat_log,
        schedules=schedules,
        history=history,
        releases=releases,
        tickers=tickers,
        publishing=_publishing(opened, tasks),
        watching=_watching(opened, presence, tasks),
    )


def _may_hold(states: NodeStates | None) -> Callable[[], bool]:
    """Return what says whether all nodes know of messages that wait."""
    return lambda: states is None or states.all_hold


def _tell_others(
    opened: Adapters, presence: Presence | None, plane: messaging_plane.MessagingPlane
) -> None:
    """Begin to tell the nodes of a cluster who is here, and where users stand who break off."""
    if presence is not None:
        shared = SharedPlaces(opened.bus, presence.node, plane.replays.resumes)
        plane.replays.lost = LostNodes(shared, presence, opened.clock, partial(_hears, opened.bus))
        presence.start()


def _hears(bus: Bus) -> bool:
    return bus.figures is not None and bus.figures.connected


def application(node: Node, check: StoreCheck) -> asgi.Application:
    """Return what answers the node's requests."""
    base_path, plane = node.opened.settings.optional_text("base_path") or "", node.plane
    if node.states is not None:
        node.states.failing = partial(_failing, node, check)
    health, monitoring, link = _health(node, check), _monitoring(node), node.opened.parts.link
    if link is not None:
        Together(link, health, monitoring, node.opened.metrics)
    made = Application(node.control, health, monitoring, base_path)
    return node.opened.parts.application(made, plane.hub, plane.sweeper)


def _tickers(opened: Adapters, plane: messaging_plane.MessagingPlane, lag: LoopLag) -> list[Ticker]:
    made = [
        Ticker(sweeper.TICK_SECONDS, plane.sweeper.tick),
        Ticker(settings_teller.TICK_SECONDS, plane.settings_teller.tick),
        Ticker(viewers_teller.TICK_SECONDS, plane.viewers_teller.tick),
        Ticker(users_teller.TICK_SECONDS, plane.users_teller.tick),
        Ticker(loop_lag.LAG_SECONDS, lag.observe),
        Ticker(memory_pressure.LOOK_SECONDS, plane.memory.look),
        Ticker(descriptors.LOOK_SECONDS, plane.descriptors.look),
    ]
    if opened.certificate is not None:
        made.append(Ticker(certificate.LOOK_SECONDS, opened.certificate.look))
    return made


def _upkeep(
    opened: Adapters,
    restrictions: Restrictions,
    schedules: ScheduledAnnouncements,
    tasks: asyncio.TaskGroup,
) -> list[Ticker]:
    """Return what removes what is over, and does what is due."""
    return [
        Ticker(schedules_module.LOOK_SECONDS, schedules.tick),
        Ticker(SWEEP_SECONDS, restrictions.tick),
        Ticker(LOOK_SECONDS, restrictions.look),
        Ticker(history_sweeper.SWEEP_SECONDS, history_module.sweeper(opened, tasks).tick),
    ]


def _backstop_seconds(opened: Adapters) -> float:
    """Return how old what is known may be; 0, for ever, where nobody else changes it."""
    return 0 if opened.bus.figures is None else BACKSTOP_SECONDS


def _shared_rates(opened: Adapters, services: Services, control: ControlPlane) -> list[Ticker]:
    """Have what accounts do count on all nodes of a cluster; return what tells it."""
    if opened.shared is None:
        return []
    rates = AccountRates(opened.bus, new_id(), opened.clock)
    services.chat.rates.share(rates)
    control.share_rates(rates)
    return [Ticker(account_rates.TELL_SECONDS, rates.tick)]


def _services(
    opened: Adapters,
    rooms: RoomsCache,
    line: RoomLine,
    keys: TokenKeys,
    chat_log: ChatLog,
    restrictions: Restrictions,
) -> Services:
    quotas = opened.settings.quotas()
    chat = Chat(
        rooms,
        line,
        quotas,
        opened.clock,
        check_account=opened.identity.accounts.check,
        reviewer=opened.reviewer,
        restrictions=restrictions,
    )
    return Services(
        store=opened.store,
        control=opened.bus,
        chat=chat,
        settings=Settings(chat, rooms, opened.store.rooms, opened.bus, opened.clock),
        restrictions=restrictions,
        chat_log=chat_log,
        rooms=rooms,
        reviewer=opened.reviewer,
        ring=keys.ring,
        # Nobody else makes keys of a single node.
        read_keys=read_no_keys if isinstance(opened.bus, MemoryBus) else keys.read_again,
        quotas=quotas,
        clock=opened.clock,
        ids=new_id,
        # Not drawn ahead: with those of a machine that is copied while it runs, both would seal.
        nonces=secrets.token_bytes,
        metrics=opened.metrics,
    )


def _line(bus: Bus, chat_log: ChatLog, held: Held) -> RoomLine:
    """Return where rooms publish: a single node records what logs before it is seen."""
    return RecordedLine(bus, chat_log, held.alone) if isinstance(bus, MemoryBus) else bus


def _below(
    opened: Adapters, services: Services, own: OwnServices, users_teller: UsersTeller
) -> messaging_plane.Below:
    return messaging_plane.Below(
        chat=services.chat,
        settings=services.settings,
        restrictions=services.restrictions,
        own=own,
        users_teller=users_teller,
        rooms=services.rooms,
        history=opened.bus,
        control=opened.bus,
        token_uses=opened.store.token_uses,
        ring=services.ring,
        read_keys=services.read_keys,
        clock=opened.clock,
        metrics=opened.metrics,
        lines=opened.lines,
        audit_log=opened.identity.audit_log,
    )


def _states(
    opened: Adapters,
    presence: Presence | None,
    hub: Hub,
    chat_log: JournaledChatLog | StreamedChatLog,
    tasks: asyncio.TaskGroup,
) -> NodeStates | None:
    if presence is None or not isinstance(chat_log, StreamedChatLog):
        return None
    link = opened.parts.link
    number = 0 if link is None else link.number
    read = node_states.reader(presence.node, opened.clock, hub, chat_log, number)
    made = NodeStates(opened.bus, opened.clock, tasks, read, presence.other_nodes)
    made.start()
    return made


async def _failing(node: Node, check: StoreCheck) -> Sequence[str]:
    return list((await _health(node, check).report()).failing)


async def _presence(opened: Adapters) -> Presence | None:
    """Return what counts connections over the nodes of a cluster; None for a node alone."""
    if opened.shared is None:
        return None
    key = await opened.identity.vault.secret("presence-key", secrets.token_bytes(32))
    name = name_of_process()
    return Presence(opened.bus, opened.bus, opened.clock, key, opened.shared.behind, name=name)


def _watching(
    opened: Adapters, presence: Presence | None, tasks: asyncio.TaskGroup
) -> "asyncio.Task[None] | None":
    if opened.shared is None or presence is None:
        return None
    watch = StreamWatch(opened.shared.look_at_streams, opened.metrics, lambda: presence.nodes)
    return tasks.create_task(watch.run())


def _publishing(opened: Adapters, tasks: asyncio.TaskGroup) -> "asyncio.Task[None] | None":
    settings = opened.settings
    if settings.text("cloudwatch_metrics") != "on":
        return None
    region, namespace = settings.text("region"), settings.text("cloudwatch_namespace")
    return tasks.create_task(Publisher(opened.metrics, opened.access, region, namespace).run())


def _control_plane(
    opened: Adapters,
    services: Services,
    keys: TokenKeys,
    own: OwnServices,
    hub: Hub,
    kept_messages: KeptMessages,
    schedules: ScheduledAnnouncements,
) -> ControlPlane:
    settings, identity = opened.settings, opened.identity
    regions = settings.served_regions()
    pipeline = Pipeline(
        identity.callers,
        identity.accounts,
        services.clock,
        services.quotas,
        services.metrics,
        identity.audit_log,
        Bodies(settings.number("request_bodies_bytes")),
        opened.lines,
    )
    pipeline.signing_clock = opened.parts.signing_clock
    greenroom = GreenroomServices(
        keys=keys,
        accounts=identity.accounts,
        identities=opened.store.identities,
        end_sessions=identity.end_sessions,
        reviews=opened.reviewer.recent,
        rooms=opened.store.rooms,
        tags=opened.store.tags,
        settings=services.settings,
        moderation=own.moderation,
        role_changes=RoleChanges(services.chat, services.restrictions, services.clock),
        kept_messages=kept_messages,
        posting=own.posting,
        pins=own.pins,
        schedules=schedules,
        deletions=own.deletions,
        restrictions=services.restrictions,
        kept_restrictions=opened.store.restrictions,
        connections=hub.connections_of_user,
        presence=hub.elsewhere,
        users=own.users,
        clock=services.clock,
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


def _monitoring(node: Node) -> Monitoring | None:
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


def _health(node: Node, check: StoreCheck) -> Health:
    plane, certificate, clock = node.plane, node.opened.certificate, node.opened.clock
    figures = node.opened.bus.figures
    return Health(
        check,
        {
            Part.CERTIFICATE: lambda: (
                certificate is not None and not certificate.is_valid(clock.now())
            ),
            Part.MEMORY: lambda: plane.memory.pressed,
            Part.DRAINING: lambda: plane.hub.draining,
            **({} if figures is None else {Part.BUS: lambda: not figures.serving}),
        },
        {} if figures is None else {Part.STORE: SHARED_STORE},
        {} if figures is None else {Part.BUS: lambda: _stuck(figures)},
    )


def _stuck(figures: Figures) -> str:
    """Say which streams take nothing."""
    if not figures.stuck:
        return ""
    streams = ", ".join(figures.stuck)
    return f"{streams} of NATS: in the rooms of these streams what is sent gets 503"
