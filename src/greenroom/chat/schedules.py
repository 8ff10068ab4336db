"""Scheduled announcements: made, changed and removed, and told when they are due.

- They are kept with their room: any node tells them, they outlast restarts, and go with the room.
- Of all nodes one tells: who claims it in the store. If it dies in that moment, or does not hear
  whether the message has its place, nobody tells it again: it is told at most once.
- One that nobody has written behind is passed over. Who takes a message into its place notes its
  time; that is kept with the next look, so a look that comes first waits for those of others.
- What is refused for a reason that passes, as a rate is, is tried again; else at the next time.
"""

import asyncio
from contextlib import suppress

import msgspec
import structlog

from greenroom.bus.base import BusUnavailable, Control, RoomChanged
from greenroom.chat.chat import Chat
from greenroom.chat.posting import Posting
from greenroom.clock import NANOSECONDS_PER_MILLISECOND, Clock
from greenroom.model.arn import Arn
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.errors import (
    ResourceNotFoundException,
    ServiceError,
    ServiceQuotaExceededException,
    ServiceUnavailableException,
    ThrottlingException,
)
from greenroom.model.message import IdSource
from greenroom.model.room import Room
from greenroom.model.schedule import (
    MOST_SCHEDULES,
    PASSED_OVER,
    REFUSED,
    TOLD,
    UNKNOWN,
    Claim,
    Put,
    Remove,
    Schedule,
    ScheduleChange,
    Schedules,
    Settle,
    TooManySchedules,
    Written,
)
from greenroom.model.token_attributes import SERVICE_USER
from greenroom.protocol.errors import ActionError
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.rooms import Rooms
from greenroom.telemetry.metrics import Metrics

LOOK_SECONDS = 2
"""How often it is looked whether one is due."""

AGAIN_MS = 10_000
"""After which time it is tried again what was refused for a reason that passes."""

ROOMS_AT_ONCE = 50
"""Rooms in which something is told at once."""

MOST_NOTED = 20_000
"""Rooms of which a node remembers that somebody wrote until that is kept, and then that it is."""

log = structlog.get_logger()


class ScheduledAnnouncements:
    """Changes the schedules of rooms, and tells them."""

    def __init__(
        self,
        chat: Chat,
        posting: Posting,
        rooms: Rooms,
        control: Control,
        clock: Clock,
        ids: IdSource,
        metrics: Metrics,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Make it; `tasks` owns each look."""
        self._chat = chat
        self._posting = posting
        self._rooms = rooms
        self._control = control
        self._clock = clock
        self._ids = ids
        self._outcomes = metrics.scheduled_announcements
        self._tasks = tasks
        self._looking: asyncio.Task[None] | None = None
        self._has_failed = self._stopping = False
        # When somebody wrote, and the schedules that the room was known to have.
        self._written: dict[Arn, tuple[int, Schedules]] = {}
        # Until when it is of no use to note it once more, with the same schedules.
        self._noted: dict[Arn, tuple[int, Schedules]] = {}
        chat.when_written = self.note_written

    async def put(
        self, room_arn: Arn, name: str, content: str, style: str, seconds: int, by: str
    ) -> Schedule:
        """Make a schedule, or change that of its name; return it.

        Raises:
            ResourceNotFoundException: there is no such room.
            ServiceQuotaExceededException: the room has as many as it may.
            PendingVerification, ThrottlingException: as for `chat.Settings.change`.
        """
        self._chat.check_may_change(room_arn)
        now = self._clock.now_ms()
        new = Schedule(
            name=name,
            content=content,
            style=style,
            seconds=seconds,
            by=by,
            created=now,
            due=now + seconds * 1000,
        )
        try:
            room = await self._change(room_arn, Put(new))
        except TooManySchedules:
            raise ServiceQuotaExceededException(
                f"The room has {MOST_SCHEDULES} scheduled announcements: delete one first",
                resource_id=room_arn.id,
                resource_type=room_arn.type.wire_name,
                limit=MOST_SCHEDULES,
            ) from None
        return next(each for each in room.schedules if each.name == name)

    async def remove(self, room_arn: Arn, name: str) -> None:
        """Remove a schedule, which need not be there.

        Raises: as `put`.
        """
        self._chat.check_may_change(room_arn)
        await self._change(room_arn, Remove(name))

    async def of(self, room_arn: Arn) -> Schedules:
        """Return the schedules of a room, by their names.

        Raises:
            ResourceNotFoundException: there is no such room.
        """
        return (await self._rooms.get(room_arn)).schedules

    async def _change(self, room_arn: Arn, change: ScheduleChange) -> Room:
        room = await self._rooms.schedule(room_arn, change)
        self._control.broadcast(RoomChanged(str(room_arn)))
        return room

    def note_written(self, room: Room, time_ns: int) -> None:
        """Note that somebody wrote something, no announcement, in a room that has schedules."""
        self._note(room.arn, time_ns // NANOSECONDS_PER_MILLISECOND, room.schedules)

    def _note(self, room_arn: Arn, at: int, schedules: Schedules) -> None:
        until, known = self._noted.get(room_arn, (0, ()))
        if (at >= until or known is not schedules) and len(self._written) < MOST_NOTED:
            self._written[room_arn] = at, schedules

    def tick(self) -> None:
        """Begin a look, unless the last one is still under way."""
        if not self._stopping and (self._looking is None or self._looking.done()):
            self._looking = self._tasks.create_task(self._look())

    def stop(self) -> None:
        """Begin to tell nothing more: what is due is another node's, or the next process's."""
        self._stopping = True

    async def close(self) -> None:
        """Stop; return when what is being told has been, and it is kept where somebody wrote."""
        self.stop()
        if self._looking is not None:
            await asyncio.wait([self._looking])
        with suppress(StorageUnavailable):
            await self._keep_written()

    async def _look(self) -> None:
        try:
            await self.look()
            self._has_failed = False
        except StorageUnavailable:
            if not self._has_failed:
                log.warning("scheduled announcements wait: the store cannot be asked now")
            self._has_failed = True
        except Exception as error:
            # An exception that left this task would end the node.
            log.exception("scheduled announcements crashed", error=type(error).__name__)

    async def look(self) -> None:
        """Keep where somebody wrote, then tell what is due.

        Raises:
            StorageUnavailable: the store cannot say.
        """
        await self._keep_written()
        while not self._stopping:
            rooms = await self._rooms.scheduled(self._clock.now_ms(), ROOMS_AT_ONCE)
            told = await asyncio.gather(*map(self._come_to, rooms))
            if not all(told):
                raise StorageUnavailable("What was due was not all settled")
            if len(rooms) < ROOMS_AT_ONCE:
                return

    async def _keep_written(self) -> None:
        if len(self._noted) > MOST_NOTED:
            self._noted.clear()
        while self._written:
            room_arn, (at, schedules) = next(iter(self._written.items()))
            try:
                kept = await self._rooms.schedule(room_arn, Written(at))
            except ResourceNotFoundException:
                del self._written[room_arn]
                continue
            until = min((each.due for each in kept.schedules), default=0)
            self._noted[room_arn] = until, schedules
            later = self._written.pop(room_arn)
            if later != (at, schedules):
                self._note(room_arn, *later)

    async def _come_to(self, room: Room) -> bool:
        """Do what is due in a room; return whether the store took it."""
        now = self._clock.now_ms()
        try:
            for each in room.schedules:
                if each.looked_at <= now and not self._stopping:
                    await self._come_to_one(room, each, now)
        except ResourceNotFoundException:
            # It was deleted meanwhile.
            return True
        except StorageUnavailable:
            # Others go on: what they have told is to be settled.
            return False
        return True

    async def _come_to_one(self, room: Room, seen: Schedule, now: int) -> None:
        if seen.claim:
            # Told or not: nobody knows, so it is not told again.
            log.warning("a node ended while it told a scheduled announcement", room=str(room.arn))
            due = seen.following(seen.claimed)
            await self._settle(room, Settle(seen, due, seen.claimed), UNKNOWN)
        elif not seen.is_wanted:
            await self._settle(room, Settle(seen, seen.following(now)), PASSED_OVER)
        else:
            await self._tell(room, seen, now)

    async def _settle(self, room: Room, settle: Settle, outcome: str) -> None:
        await self._rooms.schedule(room.arn, settle)
        self._outcomes.labels(outcome).inc()

    async def _tell(self, room: Room, seen: Schedule, now: int) -> None:
        claim = Claim(seen, self._ids(), now)
        kept = await self._rooms.schedule(room.arn, claim)
        claimed = claim.of(kept.schedules)
        if claimed is None:
            return
        settled, outcome = Settle(claimed, claimed.following(now)), REFUSED
        try:
            post = await self._posting.announce(
                _service(room), claimed.content, claimed.style, "", claim.message_id
            )
            told = post.time_ns // NANOSECONDS_PER_MILLISECOND
            settled, outcome = msgspec.structs.replace(settled, told=told), TOLD
        except (ThrottlingException, ServiceUnavailableException) as error:
            if isinstance(error, BusUnavailable) and error.is_open:
                # It may have its place yet: as if this node had ended.
                return
            settled = msgspec.structs.replace(settled, due=now + AGAIN_MS)
        except (ActionError, ServiceError) as error:
            log.warning("a scheduled announcement is refused", room=str(room.arn), error=error.code)
        await self._settle(room, settled, outcome)


def _service(room: Room) -> ChatTokenClaims:
    """Return what the token of the service itself would say."""
    return ChatTokenClaims(
        token_id="",
        room_arn=str(room.arn),
        user_id=SERVICE_USER,
        capabilities=(Capability.SEND_MESSAGE,),
        attributes={},
        token_expires=0,
        session_expires=0,
    )
