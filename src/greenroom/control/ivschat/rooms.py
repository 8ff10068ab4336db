"""The five operations on rooms."""

from msgspec import UNSET

from greenroom.bus.base import RoomChanged, RoomDeleted
from greenroom.control.ivschat.context import Call
from greenroom.control.ivschat.pages import PageToken
from greenroom.control.pipeline import Result
from greenroom.model.arn import ResourceType
from greenroom.model.errors import FieldError, ValidationException
from greenroom.model.room import (
    DEFAULT_MESSAGE_LENGTH,
    DEFAULT_MESSAGE_RATE,
    FallbackResult,
    HandlerChange,
    MessageReviewHandler,
    Room,
    RoomChange,
    RoomFilter,
)
from greenroom.model.room_settings import tag_errors as setting_tag_errors
from greenroom.model.tags import tag_count_errors
from greenroom.storage.rooms import RoomCursor

DEFAULT_PAGE = 50
"""Rooms on a page when the request does not say (API reference, ListRooms)."""

_ATTACHMENTS = "loggingConfigurationIdentifiers"


async def create_room(call: Call) -> Result:
    """CreateRoom: every member is optional, names need not be unique."""
    tags = call.strings("tags")
    quota = call.services.quotas["tags_per_resource"]
    if errors := [*tag_count_errors(len(tags), quota), *setting_tag_errors(tags)]:
        raise ValidationException.of_fields(*errors)
    change = _handler_change(call)
    await _check_handler(call, change, None)
    now = call.services.clock.now_ms()
    room = Room(
        arn=call.new_arn(ResourceType.ROOM),
        name=call.optional_text("name"),
        maximum_message_rate_per_second=call.number(
            "maximumMessageRatePerSecond", DEFAULT_MESSAGE_RATE
        ),
        maximum_message_length=call.number("maximumMessageLength", DEFAULT_MESSAGE_LENGTH),
        message_review_handler=None if change is None else change.apply(None),
        logging_configuration_identifiers=call.optional(_ATTACHMENTS, tuple[str, ...]) or (),
        tags=tags,
        create_time=now,
        update_time=now,
    )
    room = await call.services.store.rooms.create(room, call.services.quotas["rooms"])
    return _described(room)


async def get_room(call: Call) -> Result:
    """GetRoom."""
    return _described(await call.services.store.rooms.get(call.resource("identifier")))


async def update_room(call: Call) -> Result:
    """UpdateRoom: what is absent stays, an empty `uri` or list clears."""
    arn = call.resource("identifier")
    handler_change = _handler_change(call)
    if handler_change is not None:
        before = (await call.services.store.rooms.get(arn)).message_review_handler
        await _check_handler(call, handler_change, before)
    change = RoomChange(
        name=call.given("name", str),
        maximum_message_rate_per_second=call.given("maximumMessageRatePerSecond", int),
        maximum_message_length=call.given("maximumMessageLength", int),
        message_review_handler=handler_change or UNSET,
        logging_configuration_identifiers=call.given(_ATTACHMENTS, tuple[str, ...]),
    )
    room = await call.services.store.rooms.update(arn, change, call.services.clock.now_ms())
    call.services.control.broadcast(RoomChanged(str(arn)))
    return _described(room)


async def delete_room(call: Call) -> Result:
    """DeleteRoom: connections stay open, publishing on them answers 404 (Chat User Guide, FAQs).

    Those that asked for events are told, by each node: `messaging.settings_teller`.
    """
    arn = call.resource("identifier")
    await call.services.store.rooms.delete(arn)
    call.services.control.broadcast(RoomDeleted(str(arn)))
    return {}


async def list_rooms(call: Call) -> Result:
    """ListRooms: newest update first; the next page continues the listing as it began.

    An empty filter is no filter, as an empty `nextToken` is none.
    """
    filters = RoomFilter(
        name=call.optional_text("name") or None,
        message_review_handler_uri=call.optional_text("messageReviewHandlerUri") or None,
        logging_configuration_identifier=_own_logging_configuration(call),
    )
    token = PageToken(call, "ListRooms", filters)
    page = await call.services.store.rooms.page(
        call.account,
        call.region,
        filters,
        call.number("maxResults", DEFAULT_PAGE),
        await token.after(RoomCursor),
    )
    result: Result = {"rooms": [_summary(room) for room in page.rooms]}
    if page.next is not None:
        result["nextToken"] = token.following(page.next)
    return result


def _own_logging_configuration(call: Call) -> str | None:
    if call.optional_text("loggingConfigurationIdentifier") is None:
        return None
    return str(call.resource("loggingConfigurationIdentifier"))


def _handler_change(call: Call) -> HandlerChange | None:
    handler = call.optional("messageReviewHandler", dict[str, str])
    if handler is None:
        return None
    return HandlerChange(
        uri=handler.get("uri", UNSET),
        fallback_result=FallbackResult(handler["fallbackResult"])
        if "fallbackResult" in handler
        else UNSET,
    )


async def _check_handler(
    call: Call, change: HandlerChange | None, before: MessageReviewHandler | None
) -> None:
    """Refuse a function that may not be invoked; one that the room has already is not looked at.

    Raises:
        ValidationException: naming `uri`, as the real service does.
    """
    if change is None or not change.uri or change.uri == (before.uri if before else ""):
        return
    problem = await call.services.reviewer.problem(change.uri)
    if problem is not None:
        raise ValidationException.of_fields(FieldError("uri", problem))


def _described(room: Room) -> Result:
    return {
        **_summary(room),
        "maximumMessageRatePerSecond": room.maximum_message_rate_per_second,
        "maximumMessageLength": room.maximum_message_length,
    }


def _summary(room: Room) -> Result:
    return {
        "arn": str(room.arn),
        "id": room.arn.id,
        "name": room.name,
        "createTime": room.create_time,
        "updateTime": room.update_time,
        "messageReviewHandler": _handler(room.message_review_handler),
        "tags": room.tags,
        _ATTACHMENTS: list(room.logging_configuration_identifiers),
    }


def _handler(handler: MessageReviewHandler | None) -> Result | None:
    if handler is None:
        return None
    return {"uri": handler.uri, "fallbackResult": handler.fallback_result.value}
