"""Messages: sent, scheduled, listed, deleted and pinned without a connection."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from datetime import UTC, datetime
from typing import TypedDict, Unpack
from uuid import uuid4

from greenroom.client.api import paging
from greenroom.client.api.client import Client
from greenroom.client.api.own_results import (
    AnnouncementScheduleMade,
    AnnouncementSchedules,
    KeptMessage,
    MessagePage,
    MessagesDeleted,
    MessageSent,
    Pins,
)


class ListMessages(TypedDict, total=False):
    """Which of a room's messages are listed; a datetime without a time zone is in UTC."""

    room_identifier: str | None
    since: str | None
    before: str | None
    from_: datetime | str | None
    to: datetime | str | None
    user_id: str | None
    reply_root: str | None
    include_deleted: bool | None
    next_token: str | None
    max_results: int | None


class MessageOperations(Client):
    """The operations about messages."""

    async def send_message(  # noqa: PLR0913 - the members are the operation's
        self,
        *,
        room_identifier: str | None = None,
        user_id: str | None = None,
        content: str | None = None,
        attributes: Mapping[str, str] | None = None,
        sender_attributes: Mapping[str, str] | None = None,
        skip_checks: bool | None = None,
        reply_to: str | None = None,
        announcement: str | None = None,
        request_id: str | None = None,
    ) -> MessageSent:
        """Send a message in the name of a user, who needs no connection.

        What comes with the same `request_id` within ten minutes is sent once; without one each call
        has its own, so that its further attempts never write twice.
        """
        return await self._call(
            "SendMessage",
            MessageSent,
            room_identifier=room_identifier,
            user_id=user_id,
            content=content,
            attributes=attributes,
            sender_attributes=sender_attributes,
            skip_checks=skip_checks,
            reply_to=reply_to,
            announcement=announcement,
            request_id=request_id or str(uuid4()),
        )

    async def list_messages(self, **asked: Unpack[ListMessages]) -> MessagePage:
        """Get a page of what a room's history has, the newest first, or behind `since` the oldest.

        `ListMessages` has what can be asked for.
        """
        params: dict[str, object] = dict(asked)
        params["from"] = _text(params.pop("from_", None))
        params["to"] = _text(params.get("to"))
        return await self._call("ListMessages", MessagePage, **params)

    def message_pages(self, **asked: Unpack[ListMessages]) -> AsyncIterator[MessagePage]:
        """Give each page of `list_messages`; `recovered` stands on the pages."""

        def page(token: str | None) -> Awaitable[MessagePage]:
            following: ListMessages = {**asked, "next_token": token}
            return self.list_messages(**following)

        return paging.pages(asked.get("next_token"), page)

    async def messages(self, **asked: Unpack[ListMessages]) -> AsyncIterator[KeptMessage]:
        """Give each message of all pages; `max_results` is a page's."""
        async for page in self.message_pages(**asked):
            for message in page.messages:
                yield message

    async def delete_user_messages(
        self,
        *,
        room_identifier: str | None = None,
        user_id: str | None = None,
        since_seconds: int | None = None,
        reason: str | None = None,
    ) -> MessagesDeleted:
        """Delete what a user wrote lately, of what the room has in its history."""
        return await self._call(
            "DeleteUserMessages",
            MessagesDeleted,
            room_identifier=room_identifier,
            user_id=user_id,
            since_seconds=since_seconds,
            reason=reason,
        )

    async def pin_message(
        self,
        *,
        room_identifier: str | None = None,
        message_id: str | None = None,
        duration_seconds: int | None = None,
    ) -> Pins:
        """Pin a message that the room has in its history; return what is pinned then."""
        return await self._call(
            "PinMessage",
            Pins,
            room_identifier=room_identifier,
            message_id=message_id,
            duration_seconds=duration_seconds,
        )

    async def unpin_message(
        self, *, room_identifier: str | None = None, message_id: str | None = None
    ) -> Pins:
        """Take a pin down; return what is pinned then."""
        return await self._call(
            "UnpinMessage", Pins, room_identifier=room_identifier, message_id=message_id
        )

    async def put_announcement_schedule(
        self,
        *,
        room_identifier: str | None = None,
        name: str | None = None,
        content: str | None = None,
        style: str | None = None,
        every_seconds: int | None = None,
    ) -> AnnouncementScheduleMade:
        """Have a room told something again and again, while somebody writes there."""
        return await self._call(
            "PutAnnouncementSchedule",
            AnnouncementScheduleMade,
            room_identifier=room_identifier,
            name=name,
            content=content,
            style=style,
            every_seconds=every_seconds,
        )

    async def list_announcement_schedules(
        self, *, room_identifier: str | None = None
    ) -> AnnouncementSchedules:
        """Get what a room is told again and again."""
        return await self._call(
            "ListAnnouncementSchedules", AnnouncementSchedules, room_identifier=room_identifier
        )

    async def delete_announcement_schedule(
        self, *, room_identifier: str | None = None, name: str | None = None
    ) -> None:
        """Have a room told something no longer."""
        await self._call(
            "DeleteAnnouncementSchedule",
            type(None),
            room_identifier=room_identifier,
            name=name,
        )


def _text(time: object) -> object:
    if not isinstance(time, datetime):
        return time
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()
