"""Tells those who asked for events which users come and go, in rooms with `presence` on.

- Each node tells its own connections, of what it knows of all nodes, once a second at most.
- Who is replaced by a connection of the same user does neither: a user leaves `LEFT_SECONDS` after
  the last connection has ended.
- In a room of more than `MOST_USERS` nobody is told who comes and goes, until `RESUME_USERS` or
  fewer are there; then the list begins anew, as it does for who connects.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import structlog

from greenroom.bus.base import Audience, Deliver
from greenroom.chat.occupancy import Occupancies, User
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.settings import Settings
from greenroom.chat.user_lists import UserLists
from greenroom.clock import Clock
from greenroom.messaging.hub import Hub
from greenroom.messaging.members import Members
from greenroom.model.errors import ResourceNotFoundException, ServiceUnavailableException
from greenroom.model.message import IdSource
from greenroom.protocol import events
from greenroom.protocol.frames import text_frame

TICK_SECONDS = 1.0

LEFT_SECONDS = 10.0

MOST_USERS = 200
RESUME_USERS = 150

NAMES_AT_ONCE = 50
"""Users that one event names: the longest ids, spelt as JSON in JSON, are below 64 KB then."""

READS_AT_ONCE = 8
"""Rooms whose users' names are asked for at once; the others wait for their turn."""

OPERATION = "ListUsers"
"""What metrics call it."""

log = structlog.get_logger()


class _Told(msgspec.Struct):
    """What those in a room were told: users by what stands for them, with their names."""

    users: dict[User, str] = {}
    gone: dict[User, float] = {}
    """Who of them has no connection any more, and since when."""
    names: dict[User, str] = {}
    """Of users who were listed."""
    version: int = -1
    """Of the room as it was looked at last."""
    suspended: bool = False
    begun: bool = False
    """Whether anything was told."""


class UsersTeller:
    """Looks at the rooms of this node in which somebody asked for events."""

    def __init__(
        self,
        hub: Hub,
        settings: Settings,
        rooms: RoomsCache,
        users: UserLists,
        clock: Clock,
        ids: IdSource,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._hub = hub
        self._settings = settings
        self._rooms = rooms
        self.users = users
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._told: dict[str, _Told] = {}
        self._reading: set[str] = set()
        # In the order in which they came: rooms that change all the time keep no other waiting.
        self._to_read: dict[str, None] = {}

    def tick(self) -> None:
        """Tell who has come and gone since the last time."""
        occupancies = self._hub.elsewhere.occupancies()
        present = {
            room_arn: members
            for room_arn, members in self._hub.with_events()
            if self.is_on(room_arn)
        }
        for room_arn in self._told.keys() - present.keys():
            del self._told[room_arn]
        for room_arn, members in present.items():
            told = self._told.setdefault(room_arn, _Told())
            self._look(room_arn, members, told, occupancies)

    def is_on(self, room_arn: str) -> bool:
        """Return whether users of a room are told who is there."""
        try:
            return self._settings.in_force(self._rooms.peek(room_arn)).presence
        except KeyError:
            self._rooms.read_ahead(room_arn)
            return room_arn in self._told
        except ResourceNotFoundException:
            return False

    def is_open(self, room_arn: str) -> bool:
        """Return whether users of a room may ask who is there: it is on, and they are not many."""
        few = self._hub.elsewhere.occupancies().of(room_arn).users <= MOST_USERS
        return few and self.is_on(room_arn)

    def first(self, room_arn: str) -> bytes:
        """Return the frames that tell who connects which users are there, as others were told."""
        told = self._told.get(room_arn)
        if told is None or not told.begun or not self.is_on(room_arn):
            return b""
        names = () if told.suspended else tuple(told.users.values())
        frames = self._frames(names, (), suspended=told.suspended, reset=True)
        return b"".join(map(text_frame, frames))

    def _look(self, room_arn: str, members: Members, told: _Told, occupancies: Occupancies) -> None:
        number = occupancies.of(room_arn).users
        if number > (RESUME_USERS if told.suspended else MOST_USERS):
            if not told.suspended:
                self._told[room_arn] = _Told(suspended=True, begun=True)
                self._show(members, self._frames((), (), suspended=True, reset=True))
            return
        if told.suspended:
            told = self._told[room_arn] = _Told()
        version = occupancies.version(room_arn)
        if version == told.version and not told.gone:
            return
        present = occupancies.users(room_arn)
        unknown = any(user not in told.users and user not in told.names for user in present)
        told.version = -1 if unknown else version
        if unknown:
            self._read(room_arn)
        if told.begun or told.names or not unknown:
            self._tell(members, told, present)

    def _tell(self, members: Members, told: _Told, present: Mapping[User, int]) -> None:
        joined = {
            user: told.names[user]
            for user in present
            if user in told.names and user not in told.users
        }
        left = self._left(told, present)
        told.users |= joined
        told.names.clear()
        if joined or left or not told.begun:
            frames = self._frames(tuple(joined.values()), left, reset=not told.begun)
            told.begun = True
            self._show(members, frames)

    def _left(self, told: _Told, present: Mapping[User, int]) -> list[str]:
        """Return who has been away for long enough, and count him no longer."""
        now = self._clock.monotonic()
        for user in [user for user in told.gone if user in present]:
            del told.gone[user]
        for user in told.users.keys() - present.keys():
            told.gone.setdefault(user, now)
        over = [user for user, since in told.gone.items() if now >= since + LEFT_SECONDS]
        for user in over:
            del told.gone[user]
        return [told.users.pop(user) for user in over]

    def _read(self, room_arn: str) -> None:
        if room_arn not in self._reading:
            self._to_read[room_arn] = None
            self._read_next()

    def _read_next(self) -> None:
        while self._to_read and len(self._reading) < READS_AT_ONCE:
            room_arn = next(iter(self._to_read))
            del self._to_read[room_arn]
            if room_arn in self._told:
                self._reading.add(room_arn)
                self._tasks.create_task(self._read_names(room_arn))

    async def _read_names(self, room_arn: str) -> None:
        """Learn the names of all in a room; the next tick tells of those that are new."""
        try:
            page = await self.users.page(room_arn, "", MOST_USERS, names_only=True)
        except ServiceUnavailableException:
            # Asked again by the next tick.
            return
        except Exception as error:
            # Raised here, it would end the node.
            log.exception("users could not be listed", error=type(error).__name__)
            return
        finally:
            self._reading.discard(room_arn)
            self._read_next()
        key_of, told = self._hub.elsewhere.key_of, self._told.get(room_arn)
        if told is not None:
            told.names = {key_of(room_arn, each.user_id): each.user_id for each in page}

    def _frames(
        self,
        joined: Sequence[str],
        left: Sequence[str],
        *,
        reset: bool,
        suspended: bool = False,
    ) -> list[bytes]:
        """Return the events that name users, so many in each; with `reset` the list begins."""
        frames = []
        for start in range(0, max(len(joined), len(left), 1), NAMES_AT_ONCE):
            end = start + NAMES_AT_ONCE
            attributes = {
                "Joined": events.json_text(joined[start:end]),
                "Left": events.json_text(left[start:end]),
                "Suspended": "true" if suspended else "false",
                "Reset": "true" if reset and not start else "false",
            }
            event_id, time_ns = self._ids(), self._clock.wall_ns()
            frames.append(events.encode_event(event_id, "", events.USERS, attributes, time_ns))
        return frames

    def _show(self, members: Members, frames: Iterable[bytes]) -> None:
        shown = [Deliver(frame, OPERATION, Audience.EVENTS) for frame in frames]
        self._hub.fanout.show(members, shown)
