"""Rows of a database's tables to values and back, whichever database it is."""

from typing import Any

import msgspec

from greenroom.model.arn import Arn
from greenroom.model.held_message import HeldMessage
from greenroom.model.kept_frame import KeptFrame
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfiguration,
    LoggingConfigurationState,
)
from greenroom.model.restriction import Restriction
from greenroom.model.room import FallbackResult, MessageReviewHandler, Room
from greenroom.model.room_settings import Overrides
from greenroom.model.schedule import Schedules
from greenroom.model.sent_message import SentMessage

Row = tuple[Any, ...]

ROOM_COLUMNS = (
    "arn, name, maximum_message_rate_per_second, maximum_message_length, handler_uri,"
    " handler_fallback_result, logging_configuration_identifiers, tags, overrides, schedules,"
    " create_time, update_time"
)

CONFIGURATION_COLUMNS = (
    "arn, name, destination_kind, destination_name, state, tags, create_time, update_time"
)

SENT_COLUMNS = "key, fingerprint, message_id, asked_at, time_ns"

_tags = msgspec.json.Decoder(dict[str, str])
_identifiers = msgspec.json.Decoder(tuple[str, ...])
_overrides = msgspec.json.Decoder(Overrides)
_NO_OVERRIDES = Overrides()
_schedules = msgspec.json.Decoder(Schedules)


def room_from(row: Row) -> Room:
    """Return the room of `ROOM_COLUMNS`."""
    arn, name, rate, length, uri, fallback, identifiers, tags, overrides, schedules, *times = row
    create_time, update_time = times
    handler = None if uri is None else MessageReviewHandler(uri, FallbackResult(fallback))
    return Room(
        arn=Arn.parse(arn),
        name=name,
        maximum_message_rate_per_second=rate,
        maximum_message_length=length,
        message_review_handler=handler,
        logging_configuration_identifiers=_identifiers.decode(identifiers),
        tags=_tags.decode(tags),
        overrides=overrides_from(overrides),
        schedules=schedules_from(schedules),
        create_time=create_time,
        update_time=update_time,
    )


def room_row(room: Room) -> Row:
    """Return the values of `ROOM_COLUMNS`."""
    handler = room.message_review_handler
    return (
        str(room.arn),
        room.name,
        room.maximum_message_rate_per_second,
        room.maximum_message_length,
        handler.uri if handler else None,
        handler.fallback_result.value if handler else None,
        json_text(room.logging_configuration_identifiers),
        json_text(room.tags),
        overrides_text(room.overrides),
        schedules_text(room.schedules),
        room.create_time,
        room.update_time,
    )


def configuration_from(row: Row) -> LoggingConfiguration:
    """Return the logging configuration of `CONFIGURATION_COLUMNS`."""
    arn, name, kind, destination, state, tags, create_time, update_time = row
    return LoggingConfiguration(
        arn=Arn.parse(arn),
        name=name,
        destination=DestinationConfiguration(DestinationKind(kind), destination),
        state=LoggingConfigurationState(state),
        tags=_tags.decode(tags),
        create_time=create_time,
        update_time=update_time,
    )


def configuration_row(configuration: LoggingConfiguration) -> Row:
    """Return the values of `CONFIGURATION_COLUMNS`."""
    return (
        str(configuration.arn),
        configuration.name,
        configuration.destination.kind.value,
        configuration.destination.name,
        configuration.state.value,
        json_text(configuration.tags),
        configuration.create_time,
        configuration.update_time,
    )


_restriction = msgspec.json.Decoder(Restriction)


def restriction_from(text: str) -> Restriction:
    """Return the entry of a `value` column."""
    return _restriction.decode(text)


def latest_of(entry: Restriction) -> int:
    """Return what `latest` is of an entry until another replaces it, which makes it 0.

    Of one that says roles 2: a node of 0.2.0, to which 1 is a restriction in force, neither lists
    nor counts it.
    """
    return int(entry.replaces) if entry.roles is None else 2


def restriction_row(entry: Restriction) -> Row:
    """Return the values of an entry's row, in the order of the schema."""
    return (
        *(entry.account, entry.version, entry.scope, entry.user_id, entry.listed_kind),
        *(latest_of(entry), int(entry.lifted), entry.ends),
        msgspec.json.encode(entry).decode(),
    )


def sent_from(row: Row) -> SentMessage:
    """Return the sent message of `SENT_COLUMNS`."""
    key, fingerprint, message_id, asked_at, time_ns = row
    return SentMessage(
        key=key,
        fingerprint=fingerprint,
        message_id=message_id,
        asked_at=asked_at,
        time_ns=time_ns,
    )


def sent_row(sent: SentMessage) -> Row:
    """Return the values of `SENT_COLUMNS`."""
    return sent.key, sent.fingerprint, sent.message_id, sent.asked_at, sent.time_ns


HELD_COLUMNS = "room, id, author, time_ns, shadowed, recorded, payload, marked"


def held_from(row: Row) -> HeldMessage:
    """Return the message that waits of `HELD_COLUMNS`."""
    room, message_id, author, time_ns, shadowed, recorded, payload, marked = row
    flags = bool(shadowed), bool(recorded)
    return HeldMessage(room, message_id, author, time_ns, payload, marked, *flags)


def held_row(message: HeldMessage) -> Row:
    """Return the values of `HELD_COLUMNS`."""
    return (
        *(message.room, message.id, message.author, message.time_ns),
        *(int(message.is_shadowed), int(message.is_recorded), message.payload, message.marked),
    )


FRAME_COLUMNS = "id, time_ns, action, audience, user_id, author, deletes, payload, marked"


def frame_from(row: Row) -> KeptFrame:
    """Return the frame of `FRAME_COLUMNS`."""
    frame_id, time_ns, action, audience, user_id, author, deletes, payload, marked = row
    ids = _identifiers.decode(deletes) if deletes else ()
    return KeptFrame(frame_id, time_ns, action, payload, audience, user_id, author, marked, ids)


def frame_row(frame: KeptFrame) -> Row:
    """Return the values of `FRAME_COLUMNS`."""
    return (
        *(frame.id, frame.time_ns, frame.action, frame.audience, frame.user_id, frame.author),
        json_text(frame.deletes) if frame.deletes else "",
        *(frame.payload, frame.marked),
    )


def tags_from(text: str) -> dict[str, str]:
    """Return the tags of a `tags` column."""
    return _tags.decode(text)


def overrides_from(text: str) -> Overrides:
    """Return what is set in a room, of an `overrides` column."""
    return _NO_OVERRIDES if text == "{}" else _overrides.decode(text)


def overrides_text(overrides: Overrides) -> str:
    """Return the value of an `overrides` column."""
    return msgspec.json.encode(overrides).decode()


def schedules_from(text: str) -> Schedules:
    """Return what a room is told again and again, of a `schedules` column."""
    return () if text == "[]" else _schedules.decode(text)


def schedules_text(schedules: Schedules) -> str:
    """Return the value of a `schedules` column."""
    return msgspec.json.encode(schedules).decode()


def json_text(value: dict[str, str] | tuple[str, ...]) -> str:
    """Return the JSON of tags or identifiers."""
    return msgspec.json.encode(value).decode()
