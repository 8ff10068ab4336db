"""Messages: sent, scheduled, listed, deleted and pinned without a connection."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
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

    async def list_messages(  # noqa: PLR0913 - the members are the operation's
        self,
        *,
        room_identifier: str | None = None,
        since: str | None = None,
        before: str | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        user_id: str | None = None,
        reply_root: str | None = None,
        include_deleted: bool | None = None,
        next_token: str | None = None,
        max_results: int | None = None,
    ) -> MessagePage:
        """Get a page of what a room's history has, the newest first, or behind `since` the oldest.

        A datetime without a time zone is in UTC.
        """
        return await self._call(
            "ListMessages",
            MessagePage,
            **{"from": _text(from_)},
            room_identifier=room_identifier,
            since=since,
            before=before,
            to=_text(to),
            user_id=user_id,
            reply_root=reply_root,
            include_deleted=include_deleted,
            next_token=next_token,
            max_results=max_results,
        )

    def message_pages(  # noqa: PLR0913 - the members are the operation's
        self,
        *,
        room_identifier: str | None = None,
        since: str | None = None,
        before: str | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        user_id: str | None = None,
        reply_root: str | None = None,
        include_deleted: bool | None = None,
        next_token: str | None = None,
        max_results: int | None = None,
    ) -> AsyncIterator[MessagePage]:
        """Give each page of `list_messages`; `recovered` stands on the pages."""
        return paging.pages(
            next_token,
            lambda token: self.list_messages(
                room_identifier=room_identifier,
                since=since,
                before=before,
                from_=from_,
                to=to,
                user_id=user_id,
                reply_root=reply_root,
                include_deleted=include_deleted,
                next_token=token,
                max_results=max_results,
            ),
        )

    async def messages(  # noqa: PLR0913 - the members are the operation's
        self,
        *,
        room_identifier: str | None = None,
        since: str | None = None,
        before: str | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        user_id: str | None = None,
        reply_root: str | None = None,
        include_deleted: bool | None = None,
        max_results: int | None = None,
    ) -> AsyncIterator[KeptMessage]:
        """Give each message of all pages; `max_results` is a page's."""
        async for page in self.message_pages(
            room_identifier=room_identifier,
            since=since,
            before=before,
            from_=from_,
            to=to,
            user_id=user_id,
            reply_root=reply_root,
            include_deleted=include_deleted,
            max_results=max_results,
        ):
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


def _text(time: datetime | str | None) -> str | None:
    if not isinstance(time, datetime):
        return time
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()
