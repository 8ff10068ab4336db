"""What moderators, hosts and viewers do in a room of Greenroom's that IVS Chat has no actions for.

Each raises as `ChatRoom.send_message` does; `docs/reference/extensions.md` says what each needs.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

from greenroom.client.own_events import Occupancy, with_time
from greenroom.client.setting_names import SettingValue, camel
from greenroom.model.room_settings import RoomSettings
from greenroom.protocol.received import ChatMessage

T = TypeVar("T")


class Restricted(msgspec.Struct, frozen=True, rename="pascal"):
    """What was done to a user; `until` is None for ever."""

    user_id: str
    kind: str
    until: datetime | None = None


class _Users(msgspec.Struct, frozen=True, rename="pascal"):
    users: tuple[str, ...]
    next_token: str | None = None


class _Messages(msgspec.Struct, frozen=True, rename="pascal"):
    messages: tuple[ChatMessage, ...]
    more: bool


class RoomActions(ABC):
    """The actions; a room performs them."""

    @abstractmethod
    async def act(
        self, action: str, members: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        """Perform one of the service's own actions by its name, `SET`; return what it answers."""

    async def set_settings(
        self,
        settings: Mapping[str, SettingValue | None],
        *,
        expires_in_seconds: int | None = None,
        discard_waiting: bool = False,
    ) -> RoomSettings:
        """Set settings of the room, `{"emoji_only": True}`, and reset those that are None.

        `discard_waiting` deletes the messages that wait by then, as in a room that is `paused`.
        """
        given = {camel(name): value for name, value in settings.items()}
        members = {
            "Settings": given,
            "ExpiresInSeconds": expires_in_seconds,
            "DiscardWaiting": True if discard_waiting else None,
        }
        return _member(await self.act("SET", members), "Settings", RoomSettings)

    async def restrict(
        self,
        user_id: str,
        kind: str,
        *,
        duration_seconds: int | None = None,
        reason: str | None = None,
        delete_messages_since_seconds: int | None = None,
    ) -> Restricted:
        """Restrict a user in the room: `BAN`, `MUTE`, `SHADOW`, `HOLD` or `MONITOR`."""
        members = {
            "UserId": user_id,
            "Kind": kind,
            "DurationSeconds": duration_seconds,
            "Reason": reason,
            "DeleteMessagesSinceSeconds": delete_messages_since_seconds,
        }
        return _result(with_time(await self.act("RESTRICT", members)), Restricted)

    async def lift(self, user_id: str, kind: str) -> Restricted:
        """End a restriction of a user in the room."""
        answer = await self.act("LIFT", {"UserId": user_id, "Kind": kind})
        return _result(with_time(answer), Restricted)

    async def delete_user_messages(
        self, user_id: str, *, since_seconds: int | None = None, reason: str | None = None
    ) -> tuple[str, ...]:
        """Delete what a user wrote lately; return the Ids of the messages."""
        members = {"UserId": user_id, "SinceSeconds": since_seconds, "Reason": reason}
        answer = await self.act("DELETE_USER_MESSAGES", members)
        return _member(answer, "MessageIds", tuple[str, ...])

    async def announce(self, content: str, style: str = "INFO") -> str:
        """Send an announcement, `INFO`, `SUCCESS` or `WARNING`; return its Id."""
        return _member(await self.act("ANNOUNCE", {"Content": content, "Style": style}), "Id", str)

    async def pin(self, message_id: str, *, duration_seconds: int | None = None) -> tuple[str, ...]:
        """Pin a message; return the Ids of those that are pinned then."""
        members = {"MessageId": message_id, "DurationSeconds": duration_seconds}
        return _member(await self.act("PIN", members), "Pins", tuple[str, ...])

    async def unpin(self, message_id: str) -> tuple[str, ...]:
        """Take a pin down; return the Ids of those that are pinned then."""
        answer = await self.act("UNPIN", {"MessageId": message_id})
        return _member(answer, "Pins", tuple[str, ...])

    async def viewers(self) -> Occupancy:
        """Return how many are in the room."""
        return _result(await self.act("VIEWERS"), Occupancy)

    async def list_messages(
        self, *, before: str | None = None, limit: int | None = None
    ) -> tuple[tuple[ChatMessage, ...], bool]:
        """Return messages that the room keeps, oldest first, and whether there are earlier ones."""
        answer = await self.act("LIST_MESSAGES", {"Before": before, "Limit": limit})
        found = _result(answer, _Messages)
        return found.messages, found.more

    async def users(self) -> AsyncIterator[str]:
        """Give the ids of the users in the room, in their order."""
        token: str | None = None
        while True:
            page = _result(await self.act("LIST_USERS", {"NextToken": token}), _Users)
            for user_id in page.users:
                yield user_id
            token = page.next_token
            if not token:
                return


def _result(answer: Mapping[str, object], kind: type[T]) -> T:
    """Return what an action answered; raises msgspec.ValidationError if it is of another form."""
    return msgspec.convert(answer, kind)


def _member(answer: Mapping[str, object], name: str, kind: type[T]) -> T:
    return msgspec.convert(answer.get(name), kind)
