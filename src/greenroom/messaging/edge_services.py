"""What the connections of a node share, and what is noted when one comes or goes."""

import asyncio
import logging
from typing import Protocol

import msgspec
import structlog

from greenroom.chat.addressed import Addressed
from greenroom.messaging.actions import Actions
from greenroom.messaging.deadlines import Deadlines
from greenroom.messaging.hub import Hub
from greenroom.messaging.replays import Replays
from greenroom.messaging.resumes import UNCLEAN, Place
from greenroom.messaging.sockets import Connection, Way
from greenroom.messaging.sweeper import Sweeper, Swept
from greenroom.messaging.turns import Turns
from greenroom.model.arn import Arn
from greenroom.network.visitors import Visitors
from greenroom.protocol.errors import DisconnectReason
from greenroom.protocol.session import Session
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.metrics import Metrics

log = structlog.get_logger()

_ORDINARY = frozenset(
    {
        DisconnectReason.PEER_CLOSED,
        DisconnectReason.PEER_LOST,
        DisconnectReason.EXPIRED,
        DisconnectReason.REVOKED,
        DisconnectReason.DRAIN,
    }
)
"""Ends that say nothing about a fault: logged at debug level."""


class Entrant(Connection, Swept, Protocol):
    """What is asked of a connection that comes or goes."""

    slot: int
    """Which of the sweeper's slots it is in."""

    place: Place | None
    """Where it goes on if it breaks."""

    @property
    def session(self) -> Session:
        """What its token allows."""

    def address(self) -> str:
        """Return the client's address, as text."""

    def names(self) -> dict[str, str]:
        """Return what log lines call it."""


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a connection; see the settings table for the defaults."""

    outbound_bytes: int
    frame_bytes: int
    close_seconds: float


class EdgeServices(msgspec.Struct, frozen=True, kw_only=True):
    """What the connections of a node share."""

    actions: Actions
    hub: Hub
    addressed: Addressed
    sweeper: Sweeper
    visitors: Visitors
    limits: ConnectionLimits
    deadlines: Deadlines
    turns: Turns
    tasks: asyncio.TaskGroup
    metrics: Metrics
    replays: Replays
    logger: BoundedLog
    """Takes the log's lines that clients can cause."""
    tells_each: bool = msgspec.field(default_factory=lambda: log.is_enabled_for(logging.DEBUG))
    """Whether the log takes a line about each connection that comes or goes as usual."""

    def enter(self, connection: Entrant, straight: Way) -> None:
        """Take a connection into its room; `straight` as for the hub's `join`."""
        claims = connection.session.claims
        connection.slot = self.sweeper.add(connection, claims.session_expires)
        if self.tells_each:
            log.debug("connection opened", **connection.names())
        if self.addressed:
            account = Arn.parse(claims.room_arn).account
            self.addressed.enter(account, claims, connection.origin)
        self.hub.join(claims.room_arn, connection, straight)

    def place(self, connection: Entrant) -> str:
        """Return the place of a connection after what was written to it; "" if nobody can say."""
        room = connection.session.claims.room_arn
        return "" if self.hub.is_writing(room) else self.replays.place(room, self.hub.to_come(room))

    def leave(self, connection: Entrant, why: DisconnectReason) -> None:
        """Take a connection out of its room, count and log its end."""
        claims = connection.session.claims
        if connection.place is not None and why in UNCLEAN:
            self.replays.resumes.leave(claims.room_arn, claims.user_id, connection.place)
        self.hub.leave(claims.room_arn, connection)
        self.addressed.leave(claims)
        self.sweeper.remove(connection, connection.slot, claims.session_expires)
        self.metrics.disconnects.labels(why).inc()
        if self.tells_each:
            log.debug("connection ended", reason=why.value, **connection.names())
        if self.tells_each or why in _ORDINARY:
            return
        # What a client can cause as often as it likes has a bound in the log.
        kind = {"reason": why.value}
        self.logger.write(
            "info", "connection ended", kind, address=connection.address(), **connection.names()
        )
