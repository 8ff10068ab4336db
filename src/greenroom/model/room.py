"""Rooms: the central resource, through which clients connect and exchange messages."""

from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType

from greenroom.model.arn import Arn
from greenroom.model.room_settings import Overrides
from greenroom.model.schedule import Schedules

DEFAULT_MESSAGE_RATE = 10
"""Messages per second in a room, by all clients (API reference, CreateRoom)."""

DEFAULT_MESSAGE_LENGTH = 500
"""Code points in one message (API reference, CreateRoom)."""


class FallbackResult(StrEnum):
    """What happens to a message when its review handler does not answer."""

    ALLOW = "ALLOW"
    DENY = "DENY"


class MessageReviewHandler(msgspec.Struct, frozen=True):
    """The function that reviews a room's messages; an empty `uri` means none."""

    uri: str = ""
    fallback_result: FallbackResult = FallbackResult.ALLOW


class HandlerChange(msgspec.Struct, frozen=True, kw_only=True):
    """A partial change of a review handler: what is UNSET stays."""

    uri: str | UnsetType = UNSET
    fallback_result: FallbackResult | UnsetType = UNSET

    def apply(self, handler: MessageReviewHandler | None) -> MessageReviewHandler:
        """Return the changed handler, never None: a cleared one keeps `uri: ""`."""
        before = handler or MessageReviewHandler()
        return MessageReviewHandler(
            before.uri if self.uri is UNSET else self.uri,
            before.fallback_result if self.fallback_result is UNSET else self.fallback_result,
        )


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """A room as stored. Times are milliseconds since the epoch."""

    arn: Arn
    name: str | None = None
    maximum_message_rate_per_second: int = DEFAULT_MESSAGE_RATE
    maximum_message_length: int = DEFAULT_MESSAGE_LENGTH
    message_review_handler: MessageReviewHandler | None = None
    logging_configuration_identifiers: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    overrides: Overrides = Overrides()
    """What is set in it beside the defaults that its tags say."""
    schedules: Schedules = ()
    """What it is told again and again."""
    create_time: int
    update_time: int


class RoomChange(msgspec.Struct, frozen=True, kw_only=True):
    """A partial update of a room: what is UNSET stays (API reference, UpdateRoom)."""

    name: str | UnsetType = UNSET
    maximum_message_rate_per_second: int | UnsetType = UNSET
    maximum_message_length: int | UnsetType = UNSET
    message_review_handler: HandlerChange | UnsetType = UNSET
    logging_configuration_identifiers: tuple[str, ...] | UnsetType = UNSET

    def apply(self, room: Room, update_time: int) -> Room:
        """Return the changed room."""
        changes = {
            field: value
            for field in self.__struct_fields__
            if (value := getattr(self, field)) is not UNSET
        }
        if isinstance(self.message_review_handler, HandlerChange):
            changes["message_review_handler"] = self.message_review_handler.apply(
                room.message_review_handler
            )
        return msgspec.structs.replace(room, update_time=update_time, **changes)


class RoomFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The three filters of ListRooms; None matches every room."""

    name: str | None = None
    message_review_handler_uri: str | None = None
    logging_configuration_identifier: str | None = None

    def matches(self, room: Room) -> bool:
        """Return whether the room passes every filter that is set."""
        handler = room.message_review_handler
        return (
            (self.name is None or self.name == (room.name or ""))
            and (
                self.message_review_handler_uri is None
                or self.message_review_handler_uri == (handler.uri if handler else "")
            )
            and (
                self.logging_configuration_identifier is None
                or self.logging_configuration_identifier in room.logging_configuration_identifiers
            )
        )
