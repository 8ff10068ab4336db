"""Shows everybody the messages that waited, when their room is not paused and their delay is over.

- **Order.** Those of a room are released one after another, in the order in which they came: none
  goes before one that waits.
- **Once.** A message is released by who knows that it still waits as it gets its place: so neither
  is one that was deleted before, nor one that was released before.
- A frame is released as it was shown: with its Id and its SendTime. Its place in the room, in
  history and in chat logs is that of its release, and what the room logs and keeps then holds.
- Messages of a room that is gone are gone, too.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

import structlog

from greenroom.bus.base import Audience, Before, Deliver, History, RoomLine, Stage
from greenroom.chat.held_queues import HeldQueues, Waiting
from greenroom.chat.in_force import SettingsInForce
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.send_times import SendTimes
from greenroom.clock import Clock
from greenroom.model.errors import ResourceNotFoundException, ServiceError
from greenroom.model.held_message import HeldMessage
from greenroom.model.room import Room
from greenroom.model.room_settings import RoomSettings
from greenroom.protocol.actions import SendMessage

TICK_SECONDS = 0.1
"""How often it is looked what is to be released: so much later it is at most."""

AT_ONCE = 100
BYTES_AT_ONCE = 64 << 10
"""Messages of a room that are released in one go, and about how many bytes; its next ones at the
next tick. Viewers whose lines are slow are to keep up with it."""

LAST_SECONDS = 5.0
"""How long the end waits for what is being released; who is next releases it otherwise."""

IN_A_TURN = 20
"""Messages of all rooms that are released in one turn of the loop, about."""

MOST_ROOMS = 500
"""Rooms that a tick begins with; the others come first at the next one."""

log = structlog.get_logger()


class Gone(Exception):
    """The message no longer waits."""


class Upkeep(Protocol):
    """Keeps what waits, on a node that is alone or on many."""

    def is_prepared(self, room: str) -> bool:
        """Return whether all is known of a room, and stays so."""

    async def prepare(self, room: str) -> bool:
        """Return whether all is known of a room that messages wait in: when not, ask again.

        Raises:
            ServiceError: nobody can say now.
        """

    async def released(self, room: str, ids: Collection[str]) -> None:
        """Keep messages no longer that everybody was shown; what cannot be done is done later."""

    async def dropped(self, room: str, ids: Collection[str]) -> None:
        """Keep messages no longer of a room that is gone.

        Raises:
            ServiceError: they are kept, and are dropped at the next start.
        """

    def empty(self, room: str) -> None:
        """Take note that nothing waits in a room any more."""


class Releases:
    """Releases what waits on this node; `tick` looks, and `tasks` owns what it begins."""

    def __init__(
        self,
        queues: HeldQueues,
        upkeep: Upkeep,
        rooms: RoomsCache,
        line: RoomLine,
        settings: SettingsInForce,
        clock: Clock,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._queues = queues
        self._upkeep = upkeep
        self._rooms = rooms
        self._line = line
        self._settings = settings
        self._clock = clock
        self._tasks = tasks
        self._send_time = SendTimes(clock, line).following
        self._running: dict[str, asyncio.Task[None]] = {}
        # Many rooms may go on at once, and the loop has other things to do.
        self._turn = asyncio.Lock()
        self._in_turn = 0
        # How many rooms were passed over to begin with.
        self._passed = 0
        self._begins = float("-inf")
        self._failing = self._stopping = False
        self.released = 0
        """How many messages were released here."""
        self.overdue_seconds = 0.0
        """How long what is to be released has been by now, of all the longest."""

    def begin_after(self, seconds: float) -> None:
        """Release nothing before."""
        self._begins = self._clock.monotonic() + seconds

    def tick(self) -> None:
        """Begin to release where something is due."""
        if self._clock.monotonic() < self._begins:
            return
        late = {room: self._late(room) for room in self._queues.rooms}
        self.overdue_seconds = max((each or 0.0 for each in late.values()), default=0.0)
        idle = [each for each in late if self._is_to_run(each, late[each])]
        self._passed %= len(idle) or 1
        for room in (*idle[self._passed :], *idle[: self._passed])[:MOST_ROOMS]:
            self._running[room] = self._tasks.create_task(self._run(room))
        self._passed += MOST_ROOMS

    def _is_to_run(self, room: str, late: float | None) -> bool:
        """Return whether something is to be done in a room; ahead of time where that takes some."""
        is_due = late is not None or not self._upkeep.is_prepared(room)
        return is_due and room not in self._running and self._queues.first(room) is not None

    async def stop(self) -> None:
        """Release nothing more; return when what is being released has been."""
        self._stopping = True
        if self._running:
            await asyncio.wait(self._running.values(), timeout=LAST_SECONDS)

    def _late(self, room_arn: str) -> float | None:
        """Return how long a room's first message has been due, None if it is not.

        Also where another node is to release it: if that does not, this one says so, too.
        """
        waiting = self._queues.oldest(room_arn)
        if waiting is None:
            return None
        try:
            room = self._rooms.peek(room_arn)
        except KeyError:
            self._rooms.read_ahead(room_arn)
            return None
        except ResourceNotFoundException:
            return 0.0
        return self._due(self._settings.of(room_arn, room), waiting)

    def _due(self, settings: RoomSettings, waiting: Waiting) -> float | None:
        if settings.paused:
            return None
        late = self._clock.monotonic() - waiting.since - settings.delay_seconds
        return late if late >= 0 else None

    async def _run(self, room: str) -> None:
        try:
            await self._release(room)
            self._failing = False
        except ServiceError as error:
            if not self._failing:
                self._failing = True
                log.warning("messages that wait cannot be released now", reason=error.code)
        except Exception as error:
            # Raised here, it would end the node.
            log.exception("releasing messages crashed", error=type(error).__name__)
        finally:
            del self._running[room]

    async def _release(self, room_arn: str) -> None:
        if not await self._upkeep.prepare(room_arn):
            return
        released: list[str] = []
        try:
            await self._release_due(room_arn, released)
        except ResourceNotFoundException:
            ids = self._queues.remove(room_arn, self._queues.ids(room_arn))
            await self._upkeep.dropped(room_arn, ids)
        finally:
            if released:
                self.released += len(released)
                await self._upkeep.released(room_arn, released)
        if room_arn not in self._queues:
            self._upkeep.empty(room_arn)

    async def _release_due(self, room_arn: str, released: list[str]) -> None:
        """Release what is due, and add it to what is."""
        size = 0
        while len(released) < AT_ONCE and size < BYTES_AT_ONCE and not self._stopping:
            await self._its_turn()
            room = await self._rooms.get(room_arn)
            waiting = self._queues.first(room_arn)
            if waiting is None or waiting.message is None:
                return
            if not self._upkeep.is_prepared(room_arn):
                return
            if self._due(self._settings.of(room_arn, room), waiting) is None:
                return
            message = waiting.message
            try:
                published = self._line.publish(room_arn, self._grant(room, message))
                if not isinstance(published, int):
                    await published
            except Gone:
                continue
            self._queues.remove(room_arn, (message.id,))
            released.append(message.id)
            size += len(message.payload)

    async def _its_turn(self) -> None:
        """Wait until one more message may be released."""
        async with self._turn:
            self._in_turn += 1
            if self._in_turn >= IN_A_TURN:
                self._in_turn = 0
                await asyncio.sleep(0)

    def _grant(self, room: Room, message: HeldMessage) -> Callable[[Before], Deliver]:
        history = self._settings.history(room)
        is_for_all = not message.is_shadowed
        logs = is_for_all and not message.is_recorded

        def grant(before: Before) -> Deliver:
            is_here = self._queues.is_here(message.room, message.id)
            if not is_here or message.id in before.deleted:
                raise Gone
            return Deliver(
                message.payload,
                SendMessage.operation,
                Audience.EVERYBODY if is_for_all else Audience.SHADOWED,
                "" if is_for_all else message.author,
                id=message.id,
                time_ns=self._send_time(before),
                configurations=room.logging_configuration_identifiers if logs else (),
                history=history,
                marked=message.marked,
                author="" if history is History.NONE else message.author,
                stage=Stage.RELEASED,
            )

        return grant
