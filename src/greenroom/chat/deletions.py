"""Deletes what a user has written lately, for both planes: all that the room has in its history.

- What is in memory is deleted at once, then what else the store has: nobody is told that nothing
  was there unless both were looked at.
- Connections that asked for events are told by one event of so many messages, others by IVS Chat's
  own event for each: of the newest `MOST_TOLD`, since SDKs know no other way.
- Messages that not everybody has seen are told of to those who have: what a shadowed user wrote, to
  himself and to moderators. He is told of them and of the others by the same event.
- Messages that wait until viewers may see them are deleted as those that everybody has seen: one
  may have been released meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Sequence

import msgspec

from greenroom.bus.base import Audience, Deliver, RoomHistory
from greenroom.chat.chat import Chat
from greenroom.chat.kept_messages import KeptMessages
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.held_message import HeldMessage
from greenroom.model.room import Room
from greenroom.protocol import events
from greenroom.protocol.actions import DeleteMessage, SendMessage
from greenroom.storage.held_messages import HeldMessages

OPERATION = "DeleteUserMessages"

MOST_TOLD = 200
"""Messages of which who did not ask for events is told."""

DELETED_SECONDS = 15
"""How long it takes at most until a message has been deleted, and clocks of nodes may differ."""

IDS_AT_ONCE = 1_000
"""Messages that one event names: it has 64 KB at most."""


class Written(msgspec.Struct, frozen=True, gc=False):
    """A message of a user; `is_shadowed`: he and moderators alone have seen it."""

    id: str
    is_shadowed: bool


class Deletions:
    """Deletes messages of users."""

    def __init__(
        self,
        chat: Chat,
        rooms: RoomHistory,
        kept: KeptMessages,
        clock: Clock,
        held: HeldMessages,
    ) -> None:
        self._chat = chat
        self._rooms = rooms
        self._kept = kept
        self._clock = clock
        self._held = held

    async def of_user(
        self, room_arn: str, user_id: str, seconds: int, reason: str = ""
    ) -> Sequence[str]:
        """Delete what a user wrote in the last seconds, 0: all; return the Ids, oldest first.

        Raises:
            ResourceNotFoundException: there is no such room.
            PendingVerification, ThrottlingException: as for `chat.Settings.change`.
            ServiceUnavailableException: as for `with_restriction`.
        """
        self._chat.check_may_change(Arn.parse(room_arn))
        return await self.with_restriction(room_arn, user_id, seconds, reason)

    async def with_restriction(
        self, room_arn: str, user_id: str, seconds: int, reason: str = ""
    ) -> Sequence[str]:
        """Do so as a part of restricting the user, which has counted at the moderators' rate.

        Raises:
            ResourceNotFoundException: there is no such room.
            ServiceUnavailableException: what he wrote cannot be read now, or what was deleted may
                come back: see `Chat.forget`. Try again.
        """
        room = await self._chat.room(Arn.parse(room_arn))
        since = self._clock.wall_ns() - seconds * 10**9 if seconds else 0
        telling = _Telling(self._chat, room, user_id, reason)
        newest = self._in_memory(room_arn, user_id, since)
        await telling.tell(newest)
        # Also of none: who tries again waits for what the attempt before has deleted.
        newest_ids = [each.id for each in newest]
        await self._chat.forget(room, newest_ids)
        known = set(newest_ids)
        # First what waits: what is released meanwhile is among what was kept then.
        await self._kept.catch_up(room_arn)
        held = await self._held.of_room(room_arn, user_id)
        older = [
            Written(each.frame.id, each.frame.audience == Audience.SHADOWED)
            for each in await self._kept.of_author(room_arn, user_id, since)
            if each.frame.id not in known and each.frame.audience in _SEEN
        ]
        known.update(each.id for each in older)
        waiting = [
            Written(each.id, each.is_shadowed)
            for each in held
            if each.id not in known and each.time_ns >= since
        ]
        older_ids = [each.id for each in older]
        if older or waiting:
            await telling.tell([*older, *waiting])
            await self._chat.forget(room, [*older_ids, *(each.id for each in waiting)])
        return [*older_ids, *newest_ids, *(each.id for each in waiting)]

    async def of_waiting(self, room_arn: str) -> None:
        """Delete all that waits in a room; in a pause those are told of it who have seen some.

        Without one, or if it ends, all are told: some of it may have been released before.

        Raises:
            ResourceNotFoundException: there is no such room.
            PendingVerification: the account is suspended.
            ThrottlingException: the account's moderators do too much.
            ServiceUnavailableException: as for `with_restriction`.
        """
        self._chat.check_may_change(Arn.parse(room_arn))
        room = await self._chat.room(Arn.parse(room_arn))
        await self._kept.catch_up(room_arn)
        found = await self._held.of_room(room_arn)
        is_paused = self._stays_paused(room)
        await self._tell_of_waiting(room, found, is_paused=is_paused)
        if is_paused and not self._stays_paused(await self._chat.room_anew(room.arn)):
            await self._tell_of_waiting(room, found, is_paused=False)
        await self._chat.forget(room, [each.id for each in found])

    def _stays_paused(self, room: Room) -> bool:
        return self._chat.settings.ahead(room, DELETED_SECONDS).paused

    async def _tell_of_waiting(
        self, room: Room, found: Sequence[HeldMessage], *, is_paused: bool
    ) -> None:
        by_author: dict[str, list[Written]] = {}
        for each in found:
            written = by_author.setdefault(each.author, [])
            written.append(Written(each.id, each.is_shadowed or is_paused))
        for author, written in by_author.items():
            await _Telling(self._chat, room, author, "").tell(written)

    def _in_memory(self, room_arn: str, user_id: str, since: int) -> list[Written]:
        """Return what is in memory of what he wrote, oldest first."""
        here = self._rooms.here(room_arn)
        deleted: set[str] = set()
        found: list[Written] = []
        for envelope in reversed((*here.before, *here.envelopes)):
            deleted.update(envelope.deletes)
            if (
                isinstance(envelope, Deliver)
                and envelope.author == user_id
                and envelope.action == SendMessage.operation
                and envelope.audience in _SEEN
                and envelope.time_ns >= since
                and envelope.id not in deleted
            ):
                found.append(Written(envelope.id, envelope.audience is Audience.SHADOWED))
        return found[::-1]


_SEEN = (Audience.EVERYBODY, Audience.SHADOWED)


class _Telling:
    """Tells a room of what of one user is deleted."""

    def __init__(self, chat: Chat, room: Room, user_id: str, reason: str) -> None:
        self._chat, self._room, self._user_id, self._reason = chat, room, user_id, reason
        self._left = MOST_TOLD

    async def tell(self, found: Sequence[Written]) -> None:
        """Tell all who have seen messages that they are not to be shown any more."""
        each_told = found[-self._left :] if self._left else ()
        self._left -= len(each_told)
        chunks = [found[at : at + IDS_AT_ONCE] for at in range(0, len(found), IDS_AT_ONCE)]
        # All at once, in this order: where many nodes share a room they travel together.
        await asyncio.gather(*map(self._tell_of_one, each_told), *map(self._tell_of_many, chunks))

    def _tell_of_one(self, message: Written) -> Awaitable[str]:
        told = events.delete_message_attributes(message.id, self._reason)
        audience = Audience.SHADOWED if message.is_shadowed else Audience.PLAIN
        user_id = self._user_id if message.is_shadowed else ""
        operation, name = DeleteMessage.operation, events.DELETE_MESSAGE
        return self._chat.tell(
            self._room, operation, name, told, audience, user_id, deletes=(message.id,)
        )

    def _tell_of_many(self, some: Sequence[Written]) -> Awaitable[str]:
        """Tell it in one event, whoever is told: a second would tell the user what was shadowed."""
        ids = tuple(each.id for each in some)
        seen = tuple(each.id for each in some if not each.is_shadowed)
        is_for_all = seen == ids
        return self._chat.tell(
            self._room,
            OPERATION,
            events.DELETE_MESSAGES,
            self._told(seen or ids),
            Audience.EVENTS if seen else Audience.SHADOWED,
            "" if is_for_all else self._user_id,
            deletes=ids,
            for_moderators=self._told(ids) if seen and not is_for_all else None,
        )

    def _told(self, ids: Sequence[str]) -> dict[str, str]:
        reason = {"Reason": self._reason} if self._reason else {}
        return {"UserId": self._user_id, "MessageIds": events.json_text(ids), **reason}
