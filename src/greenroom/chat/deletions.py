"""Deletes what a user has written lately, for both planes: what the room has in its history.

- Connections that asked for events are told by one event of all messages, others by IVS Chat's own
  event for each: of the newest `MOST_TOLD`, since SDKs know no other way.
- Messages that not everybody has seen stay: to tell of them would tell that they are there.
"""

from collections.abc import Sequence

from greenroom.bus.base import MOST_KEPT, Audience, Deliver, Recovered, RoomHistory
from greenroom.chat.chat import Chat
from greenroom.chat.originals import UNREAD
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.errors import ServiceUnavailableException
from greenroom.protocol import events
from greenroom.protocol.actions import DeleteMessage, SendMessage

OPERATION = "DeleteUserMessages"

MOST_TOLD = 200
"""Messages of which who did not ask for events is told."""


class Deletions:
    """Deletes messages of users."""

    def __init__(self, chat: Chat, rooms: RoomHistory, clock: Clock) -> None:
        self._chat = chat
        self._rooms = rooms
        self._clock = clock

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
        found = await self._written(room_arn, user_id, seconds)
        for message_id in found[-MOST_TOLD:]:
            told = events.delete_message_attributes(message_id, reason)
            await self._chat.tell(
                room,
                DeleteMessage.operation,
                events.DELETE_MESSAGE,
                told,
                Audience.PLAIN,
                deletes=(message_id,),
            )
        if found:
            told = {"UserId": user_id, "MessageIds": events.json_text(found)}
            if reason:
                told["Reason"] = reason
            await self._chat.tell(
                room, OPERATION, events.DELETE_MESSAGES, told, Audience.EVENTS, deletes=tuple(found)
            )
        # Also of none: who tries again waits for what the attempt before has deleted.
        await self._chat.forget(room, found)
        return found

    async def _written(self, room_arn: str, user_id: str, seconds: int) -> list[str]:
        filling = self._rooms.recent(room_arn, MOST_KEPT)
        if not isinstance(filling, Recovered):
            filling = await filling
            if filling.is_unread:
                raise ServiceUnavailableException(UNREAD)
        here = self._rooms.here(room_arn)
        since = self._clock.wall_ns() - seconds * 10**9 if seconds else 0
        deleted: set[str] = set()
        found: list[str] = []
        for envelope in reversed((*here.before, *here.envelopes)):
            deleted.update(envelope.deletes)
            if (
                isinstance(envelope, Deliver)
                and envelope.author == user_id
                and envelope.action == SendMessage.operation
                and envelope.audience is Audience.EVERYBODY
                and envelope.time_ns >= since
                and envelope.id not in deleted
            ):
                found.append(envelope.id)
        return found[::-1]
