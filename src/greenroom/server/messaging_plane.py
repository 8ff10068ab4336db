"""Builds the messaging plane: who may connect, and what its connections and the entrance share."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from greenroom.audit.log import AuditLog
from greenroom.bus.base import Control, RoomHistory
from greenroom.chat.chat import Chat
from greenroom.chat.history import History
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.settings import Settings as RoomSettings
from greenroom.clock import Clock
from greenroom.entrance.acceptor import AcceptorServices
from greenroom.entrance.http_connection import EntranceServices
from greenroom.messaging.actions import Actions
from greenroom.messaging.admission import Admission
from greenroom.messaging.deadlines import Deadlines
from greenroom.messaging.edge_services import EdgeServices
from greenroom.messaging.hub import Hub
from greenroom.messaging.moderation_trail import ModerationTrail
from greenroom.messaging.own_actions import OwnServices
from greenroom.messaging.redeemer import Redeemer
from greenroom.messaging.replays import Replays
from greenroom.messaging.settings_teller import SettingsTeller
from greenroom.messaging.sweeper import Sweeper
from greenroom.messaging.turns import Turns
from greenroom.messaging.upgrading import Upgrades
from greenroom.messaging.users_teller import UsersTeller
from greenroom.messaging.viewers_teller import ViewersTeller
from greenroom.network.origins import AllowedOrigins
from greenroom.process.memory_pressure import MemoryWatch
from greenroom.process.randomness import new_id
from greenroom.server import limits
from greenroom.settings.values import Settings
from greenroom.storage.token_uses import TokenUses
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.descriptors import DescriptorWatch
from greenroom.telemetry.metrics import Metrics
from greenroom.tokens.key_ring import KeyRing


class MessagingPlane(msgspec.Struct, frozen=True, kw_only=True):
    """What of the plane starts and stops, and what it gives to the entrance."""

    hub: Hub
    sweeper: Sweeper
    settings_teller: SettingsTeller
    viewers_teller: ViewersTeller
    users_teller: UsersTeller
    replays: Replays
    memory: MemoryWatch
    descriptors: DescriptorWatch
    entrance: EntranceServices
    acceptors: AcceptorServices


class Below(msgspec.Struct, frozen=True, kw_only=True):
    """What the plane stands on."""

    chat: Chat
    settings: RoomSettings
    restrictions: Restrictions
    own: OwnServices
    users_teller: UsersTeller
    rooms: RoomsCache
    history: RoomHistory
    control: Control
    token_uses: TokenUses
    ring: KeyRing
    read_keys: Callable[[], Awaitable[None]]
    clock: Clock
    metrics: Metrics
    lines: BoundedLog
    audit_log: AuditLog | None


def build(settings: Settings, below: Below, hub: Hub, tasks: asyncio.TaskGroup) -> MessagingPlane:
    """Make the plane of this node."""
    clock, metrics, lines = below.clock, below.metrics, below.lines
    memory, descriptors = limits.memory_watch(settings), DescriptorWatch(lines)
    edges = EdgeServices(
        actions=Actions(
            below.chat,
            hub,
            clock,
            new_id,
            metrics,
            lines,
            ModerationTrail(below.audit_log, clock),
            below.own,
        ),
        hub=hub,
        addressed=below.restrictions.addressed,
        sweeper=Sweeper(clock, settings.number("ping_interval_seconds")),
        visitors=limits.visitors(settings, metrics, lines),
        limits=limits.connection_limits(settings),
        deadlines=Deadlines(),
        turns=Turns(),
        tasks=tasks,
        metrics=metrics,
        replays=Replays(History(below.history, clock), below.settings, clock, new_id),
        logger=lines,
    )
    admission = Admission(
        ring=below.ring,
        read_keys=below.read_keys,
        rooms=below.rooms,
        redeemer=Redeemer(below.token_uses, clock, tasks),
        hub=hub,
        clock=clock,
        memory=memory,
        places=limits.places(settings),
        restrictions=below.restrictions,
    )
    return MessagingPlane(
        hub=hub,
        sweeper=edges.sweeper,
        settings_teller=SettingsTeller(
            hub, below.settings, below.rooms, clock, new_id, below.control
        ),
        viewers_teller=ViewersTeller(hub, clock, new_id),
        users_teller=below.users_teller,
        replays=edges.replays,
        memory=memory,
        descriptors=descriptors,
        entrance=_entrance(settings, below, edges, admission),
        acceptors=AcceptorServices(
            visitors=edges.visitors,
            clock=clock,
            tasks=tasks,
            metrics=metrics,
            logger=lines,
            descriptors=descriptors,
        ),
    )


def _entrance(
    settings: Settings, below: Below, edges: EdgeServices, admission: Admission
) -> EntranceServices:
    clock = below.clock
    upgrades = Upgrades(
        admission=admission,
        origins=AllowedOrigins(settings.texts("allowed_origins")),
        clock=clock,
        ids=new_id,
        handshake_seconds=settings.number("handshake_timeout_seconds"),
        rate=settings.quotas()["messaging_requests_per_connection"],
        edges=edges,
        settings=below.settings,
        rooms=below.rooms,
        replays=edges.replays,
        users_teller=below.users_teller,
    )
    return EntranceServices(
        visitors=edges.visitors,
        clock=clock,
        deadlines=edges.deadlines,
        turns=edges.turns,
        metrics=edges.metrics,
        upgrades=upgrades,
    )
