"""A messaging plane in memory: everything is real but the sockets and the clock."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from unittest import mock

import msgspec

from greenroom.bus.base import Deliver
from greenroom.bus.memory import MemoryBus
from greenroom.chat.chat import Chat
from greenroom.chat.deletions import Deletions
from greenroom.chat.held_alone import HeldAlone
from greenroom.chat.held_queues import HeldQueues
from greenroom.chat.history import History
from greenroom.chat.holding import Holding
from greenroom.chat.kept_history import KeptHistory
from greenroom.chat.kept_messages import KeptMessages
from greenroom.chat.listings import Listings
from greenroom.chat.moderation import Moderation
from greenroom.chat.originals import Originals
from greenroom.chat.pins import Pins
from greenroom.chat.posting import Posting
from greenroom.chat.presence import Alone
from greenroom.chat.recent_names import RecentNames
from greenroom.chat.releases import Releases
from greenroom.chat.replies import Replies
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.settings import Settings
from greenroom.chat.user_addresses import AddressesHere
from greenroom.chat.user_lists import UsersHere
from greenroom.chat.user_names import NamesHere
from greenroom.chatlog.recorded_line import RecordedLine
from greenroom.entrance.acceptor import AcceptorServices
from greenroom.entrance.http_connection import EntranceServices
from greenroom.messaging import deadlines as deadlines_module
from greenroom.messaging import fanout as fanout_module
from greenroom.messaging.actions import Actions
from greenroom.messaging.admission import Admission, Places
from greenroom.messaging.by_address import ByAddress
from greenroom.messaging.changed_roles import ChangedRoles
from greenroom.messaging.deadlines import Deadlines
from greenroom.messaging.edge import Edge
from greenroom.messaging.edge_services import ConnectionLimits, EdgeServices
from greenroom.messaging.fanout import Fanout
from greenroom.messaging.hub import Hub
from greenroom.messaging.moderation_trail import ModerationTrail
from greenroom.messaging.own_actions import OwnServices
from greenroom.messaging.present_users import NamedUsers, PresentUsers
from greenroom.messaging.redeemer import Redeemer
from greenroom.messaging.replays import Replays
from greenroom.messaging.room_messages import RoomMessages
from greenroom.messaging.sweeper import Sweeper
from greenroom.messaging.turns import Turns
from greenroom.messaging.upgrading import Upgrades, Upgrading
from greenroom.messaging.users_teller import UsersTeller
from greenroom.model.arn import Arn, ResourceType
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.model.room import Room
from greenroom.network import addresses
from greenroom.network.origins import AllowedOrigins
from greenroom.network.visitors import Visitors
from greenroom.process.memory_pressure import MemoryWatch
from greenroom.protocol.client_frames import encode_frame, frame_at
from greenroom.storage.memory.rooms import MemoryRooms
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.memory.token_uses import MemoryTokenUses
from greenroom.storage.token_uses import TokenUse
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.descriptors import DescriptorWatch
from greenroom.telemetry.metrics import Metrics
from greenroom.tokens.key_ring import KeyRing, seal_claims
from tests.stand_ins.hand_clock import START_MS, HandClock

ROOM = Arn("us-east-1", "123456789012", ResourceType.ROOM, "Room00000001")
RING = KeyRing({"k": bytes(32)}, "k")
LIMITS = ConnectionLimits(outbound_bytes=65_536, frame_bytes=16_384, close_seconds=3600)
NO_BOUND = Places()
UPGRADE = (
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
)
"""The headers of an upgrade request without a token."""
PING = b"\x89\x00"

_numbers = itertools.count(1)


class GatedStore(MemoryStore):
    """A store that answers only while its gate is open, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0
        self.error: Exception | None = None
        self.rooms = GatedRooms(self)
        self.token_uses = GatedUses(self)


class GatedRooms(MemoryRooms):
    """Its rooms."""

    def __init__(self, store: GatedStore) -> None:
        super().__init__(store.rooms._regions)
        self._store = store

    async def get(self, arn: Arn) -> Room:
        self._store.asked += 1
        room = None
        with contextlib.suppress(Exception):
            room = await super().get(arn)
        await self._store.gate.wait()
        if self._store.error is not None:
            raise self._store.error
        if room is None:
            raise arn.not_found()
        return room


class GatedUses(MemoryTokenUses):
    """Its token uses."""

    def __init__(self, store: GatedStore) -> None:
        super().__init__(store.token_uses._opened)
        self._store = store

    async def redeem(self, tokens: Sequence[TokenUse], now: int) -> list[bool]:
        await self._store.gate.wait()
        return await super().redeem(tokens, now)


class Transport(asyncio.Transport):
    """Records what a connection does to its socket, and how often it wrote behind the end."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.late_writes = 0
        self.reading = True
        self.closed = False
        self.ended = False
        self.aborted = False
        self.high: int | None = None
        self.queued = 0
        self.when_written: Callable[[], None] | None = None
        self.socket: socket.socket | None = None
        self.protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.socket if name == "socket" else super().get_extra_info(name, default)

    def write(self, data: Any) -> None:
        self.late_writes += self.closed or self.aborted or self.ended
        self.written.append(bytes(data))
        if self.when_written is not None:
            self.when_written()

    def take(self) -> list[bytes]:
        """Return what was written since the last time."""
        written, self.written = self.written, []
        return written

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return self.queued

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high


class Stage:
    """The plane, its collaborators, and connections to it."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        limits: ConnectionLimits,
        places: Places,
        handshake_seconds: float,
        **quotas: int,
    ) -> None:
        self.time = HandClock()
        clock = self.time.clock
        self.transports: list[Transport] = []
        self.store = GatedStore()
        self.bus = MemoryBus()
        self.rooms = RoomsCache(self.store.rooms, self.bus, tasks)
        numbers = itertools.count(1)
        self.quotas = Quotas(RateProfile.OFF, quotas)
        self.ids = lambda: f"Id{next(numbers):010}"
        self.restrictions = Restrictions(self.store.restrictions, self.bus, clock, tasks)
        self.chat = Chat(
            self.rooms,
            self._held_line(tasks),
            self.quotas,
            clock,
            self.ids,
            restrictions=self.restrictions,
        )
        self.settings = Settings(self.chat, self.rooms, self.store.rooms, self.bus, clock)
        self.metrics = Metrics()
        self.hub = Hub(self.bus, Fanout(self.metrics), Alone(clock))
        by_address = ByAddress(self.hub, self.restrictions.addressed)
        self.moderation = Moderation(
            self.chat,
            self.restrictions,
            clock,
            self.hub.is_moderator,
            AddressesHere(by_address.of_user),
        )
        self.restrictions.when_met(self.hub.enforce)
        self.restrictions.when_met(by_address.enforce)
        self.restrictions.when_met(ChangedRoles(self.hub, self.restrictions.roles).enforce)
        self.history = KeptHistory(self.store.history, lambda _: asyncio.sleep(0))
        originals = Originals(self.bus)
        replies = Replies(self.chat, originals, self.ids)
        self.pins = Pins(self.chat, self.rooms, self.store.rooms, self.bus, originals, clock)
        posting = Posting(
            self.chat, replies, self.store.sent_messages, clock, self.ids, self.metrics
        )
        self.users = UsersHere(PresentUsers(self.hub))
        self.users_teller = UsersTeller(
            self.hub, self.settings, self.rooms, self.users, clock, self.ids, tasks
        )
        self.own = OwnServices(
            settings=self.settings,
            moderation=self.moderation,
            presence=self.hub.elsewhere,
            posting=posting,
            replies=replies,
            pins=self.pins,
            users=self.users,
            may_list=self.users_teller.is_open,
            messages=RoomMessages(
                self.chat, History(self.bus, clock), Listings(self.bus, clock), self.settings
            ),
            names=RecentNames(self.users, clock, tasks),
            named=NamesHere(NamedUsers(self.hub)),
            deletions=Deletions(
                self.chat,
                self.bus,
                KeptMessages(self.store.history, self.history.catch_up, clock),
                clock,
                self.store.held_messages,
            ),
        )
        self._hold(tasks)
        self.sweeper = Sweeper(clock, 3)
        self.memory = MemoryWatch()
        self.descriptors = DescriptorWatch()
        self.logger = BoundedLog()
        self.visitors = Visitors()
        self.origins = AllowedOrigins()
        self.handshake_seconds = handshake_seconds
        self.actions = Actions(
            self.chat,
            self.hub,
            clock,
            self.ids,
            self.metrics,
            self.logger,
            ModerationTrail(),
            self.own,
        )
        self.admission = Admission(
            ring=RING,
            rooms=self.rooms,
            redeemer=Redeemer(self.store.token_uses, clock, tasks, 0),
            hub=self.hub,
            clock=clock,
            memory=self.memory,
            restrictions=self.restrictions,
            places=msgspec.structs.replace(
                places, connections_per_account=self.quotas["connections"]
            ),
        )
        self.replays = Replays(History(self.bus, clock), self.settings, clock, self.ids)
        self.bus.keep_with(self.history, tasks)
        self._limits, self._tasks, self.deadlines, self.turns = limits, tasks, Deadlines(), Turns()

    def _held_line(self, tasks: asyncio.TaskGroup) -> RecordedLine:
        """Return where rooms publish; no room of a stage has chat logs."""
        clock = self.time.clock
        self.queues = HeldQueues(clock)
        self.held = HeldAlone(
            self.queues,
            self.store.held_messages,
            self.store.history,
            self.bus.kept,
            clock,
            tasks,
        )
        self.line = RecordedLine(self.bus, mock.Mock(), self.held)
        return self.line

    def _hold(self, tasks: asyncio.TaskGroup) -> None:
        """Let messages wait."""
        self.chat.holding = Holding(self.queues)
        self.releases = Releases(
            self.queues,
            self.held,
            self.rooms,
            self.line,
            self.chat.settings,
            self.time.clock,
            tasks,
        )

    @property
    def edges(self) -> EdgeServices:
        """What connections share from now on."""
        return EdgeServices(
            actions=self.actions,
            hub=self.hub,
            addressed=self.restrictions.addressed,
            sweeper=self.sweeper,
            visitors=self.visitors,
            limits=self._limits,
            deadlines=self.deadlines,
            turns=self.turns,
            tasks=self._tasks,
            metrics=self.metrics,
            replays=self.replays,
            logger=self.logger,
        )

    @property
    def upgrades(self) -> Upgrades:
        """What takes upgrade requests from now on."""
        return Upgrades(
            admission=self.admission,
            origins=self.origins,
            clock=self.time.clock,
            ids=self.ids,
            handshake_seconds=self.handshake_seconds,
            rate=self.quotas["messaging_requests_per_connection"],
            edges=self.edges,
            settings=self.settings,
            rooms=self.rooms,
            replays=self.replays,
            users_teller=self.users_teller,
        )

    @property
    def entrance(self) -> EntranceServices:
        """What connections share before that."""
        return EntranceServices(
            visitors=self.visitors,
            clock=self.time.clock,
            deadlines=self.deadlines,
            turns=self.turns,
            metrics=self.metrics,
            upgrades=self.upgrades,
        )

    @property
    def acceptors(self) -> AcceptorServices:
        """What accepts connections."""
        return AcceptorServices(
            visitors=self.visitors,
            clock=self.time.clock,
            tasks=self._tasks,
            metrics=self.metrics,
            logger=self.logger,
            descriptors=self.descriptors,
        )

    def publish(self, payload: bytes) -> None:
        """Publish a frame's text in the room."""
        self.bus.publish(str(ROOM), lambda _: Deliver(payload, "SendEvent"))

    def begin(
        self,
        token: str | None = None,
        early: bytes = b"",
        method: bytes = b"GET",
        peer: bytes = addresses.UNKNOWN,
        more: Sequence[tuple[bytes, bytes]] = (),
        target: bytes = b"/",
    ) -> tuple[Upgrading, Transport]:
        """Start a connection with its upgrade request; nothing was answered yet."""
        transport = Transport()
        self.transports.append(transport)
        headers = [*UPGRADE, *more]
        if token is not None:
            headers.append((b"sec-websocket-protocol", token.encode()))
        visit = self.visitors.enter(peer, 0.0)
        self.upgrades.begin(transport, visit, method, headers, early, target)
        return transport.protocol, transport

    async def connect(self, user: str = "ann", **claims: Any) -> tuple[Edge, Transport]:
        """Return an open connection whose 101 was taken."""
        _, transport = self.begin(token(user_id=user, **claims))
        await settle()
        (answer,) = transport.take()
        assert answer.startswith(b"HTTP/1.1 101 ")
        return transport.protocol, transport


@contextlib.asynccontextmanager
async def stage(
    limits: ConnectionLimits = LIMITS,
    places: Places = NO_BOUND,
    handshake_seconds: float = 3600,
    **quotas: int,
) -> AsyncIterator[Stage]:
    """Give a plane whose room exists; at its end no socket may have been written to too late."""
    with (
        mock.patch.object(fanout_module, "FLUSH_INTERVAL", 0),
        mock.patch.object(deadlines_module, "RESOLUTION", 1e-6),
    ):
        async with asyncio.TaskGroup() as tasks:
            made = Stage(tasks, limits, places, handshake_seconds, **quotas)
            room = Room(arn=ROOM, create_time=START_MS, update_time=START_MS)
            await made.store.rooms.create(room, quota=0)
            await made.history.start(tasks)
            await made.bus.start()
            yield made
            await made.history.close()
    assert not any(transport.late_writes for transport in made.transports)


def claims_of(**changes: Any) -> ChatTokenClaims:
    """Return the claims of a token that nobody used yet."""
    number = next(_numbers)
    claims = ChatTokenClaims(
        token_id=f"token{number}",
        room_arn=str(ROOM),
        user_id="ann",
        capabilities=tuple(Capability),
        attributes={},
        token_expires=START_MS + 60_000,
        session_expires=START_MS + 3_600_000,
    )
    return msgspec.structs.replace(claims, **changes)


def token(**changes: Any) -> str:
    """Return a sealed token that nobody used yet."""
    return seal_claims(RING, claims_of(**changes), next(_numbers).to_bytes(12, "big"))


async def settle(turns: int = 10) -> None:
    """Let everything run that can, or give the loop so many turns."""
    for _ in range(turns):
        await asyncio.sleep(0)


def client_frame(payload: bytes, first: int = 0x81) -> bytes:
    """Return a client's frame, by default of text."""
    return encode_frame(first, payload, b"\x01\x02\x03\x04")


def action(name: str = "SEND_MESSAGE", **members: str) -> bytes:
    """Return the frame of an action."""
    if name == "SEND_MESSAGE":
        members.setdefault("Content", "hi")
    return client_frame(msgspec.json.encode({"Action": name, **members}))


def frames_of(written: list[bytes]) -> list[tuple[int, bytes]]:
    """Return the server's frames as first bytes and payloads."""
    data, frames, start = b"".join(written), [], 0
    while found := frame_at(data, start):
        first, payload, start = found
        frames.append((first, payload))
    assert start == len(data), "not whole"
    return frames


def texts(written: list[bytes]) -> list[dict[str, Any]]:
    """Return the JSON of the text frames, which all frames must be."""
    frames = frames_of(written)
    assert {first for first, _ in frames} <= {0x81}
    return [msgspec.json.decode(payload) for _, payload in frames]
