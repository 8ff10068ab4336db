"""What the operations of ivschat return, and the structures that they take.

Attributes are the model's members in snake case; one that the answer does not have is None.
"""

from datetime import datetime

import msgspec

from greenroom.client.api.own_results import OWN_RESULTS
from greenroom.client.api.structure import Structure
from greenroom.client.entities import ChatToken


class MessageReviewHandler(Structure, frozen=True, rename="camel"):
    """A function that reviews messages, and what becomes of them when it does not answer."""

    uri: str | None = None
    fallback_result: str | None = None
    """`ALLOW` or `DENY`."""


class S3DestinationConfiguration(Structure, frozen=True, rename="camel"):
    """A bucket for the records of a chat."""

    bucket_name: str


class CloudWatchLogsDestinationConfiguration(Structure, frozen=True, rename="camel"):
    """A log group for the records of a chat."""

    log_group_name: str


class FirehoseDestinationConfiguration(Structure, frozen=True, rename="camel"):
    """A delivery stream for the records of a chat."""

    delivery_stream_name: str


class DestinationConfiguration(Structure, frozen=True, rename="camel"):
    """Where the records of a chat go: one of the three."""

    s3: S3DestinationConfiguration | None = None
    cloud_watch_logs: CloudWatchLogsDestinationConfiguration | None = None
    firehose: FirehoseDestinationConfiguration | None = None


class RoomSummary(Structure, frozen=True, rename="camel"):
    """A room as `list_rooms` shows it."""

    arn: str
    id: str
    name: str | None = None
    message_review_handler: MessageReviewHandler | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None
    tags: dict[str, str] | None = None
    logging_configuration_identifiers: list[str] | None = None


class Room(RoomSummary, frozen=True, rename="camel"):
    """A room."""

    maximum_message_rate_per_second: int | None = None
    maximum_message_length: int | None = None


class LoggingConfiguration(Structure, frozen=True, rename="camel"):
    """Where records of rooms are kept."""

    arn: str
    id: str
    create_time: datetime | None = None
    update_time: datetime | None = None
    name: str | None = None
    destination_configuration: DestinationConfiguration | None = None
    state: str | None = None
    """`CREATING`, `CREATE_FAILED`, `DELETING`, `DELETE_FAILED`, `UPDATING`, `UPDATE_FAILED` or
    `ACTIVE`."""
    tags: dict[str, str] | None = None


class RoomPage(Structure, frozen=True, rename="camel"):
    """A page of rooms; without `next_token` it is the last one."""

    rooms: list[RoomSummary]
    next_token: str | None = None


class LoggingConfigurationPage(Structure, frozen=True, rename="camel"):
    """A page of logging configurations; without `next_token` it is the last one."""

    logging_configurations: list[LoggingConfiguration]
    next_token: str | None = None


class Identified(Structure, frozen=True, rename="camel"):
    """The event that was sent."""

    id: str


class Tags(Structure, frozen=True, rename="camel"):
    """The tags of a resource."""

    tags: dict[str, str]


class _ChatToken(Structure, frozen=True, rename="camel"):
    token: str
    token_expiration_time: datetime | None = None
    session_expiration_time: datetime | None = None


RESULTS: dict[str, type[Structure]] = {
    **OWN_RESULTS,
    "CreateChatToken": _ChatToken,
    "CreateLoggingConfiguration": LoggingConfiguration,
    "CreateRoom": Room,
    "DeleteMessage": Identified,
    "GetLoggingConfiguration": LoggingConfiguration,
    "GetRoom": Room,
    "ListLoggingConfigurations": LoggingConfigurationPage,
    "ListRooms": RoomPage,
    "ListTagsForResource": Tags,
    "SendEvent": Identified,
    "UpdateLoggingConfiguration": LoggingConfiguration,
    "UpdateRoom": Room,
}
"""What an operation's answer becomes; the others have none."""


def result_of(operation: str, answer: dict[str, object], *, convert: bool) -> object:
    """Return the result that an answer holds, None of an operation without one.

    Members that the model does not have are left out, and so are those that are null. Times are
    datetimes, without `convert` the texts of the answer.

    Raises:
        msgspec.ValidationError: the answer is not as the model says.
    """
    kind = RESULTS.get(operation)
    if kind is None:
        return None
    found: object = msgspec.convert(_without_null(answer), kind)
    if not convert:
        found = _with_texts(found, answer)
    if isinstance(found, _ChatToken):
        return ChatToken(found.token, found.session_expiration_time, found.token_expiration_time)
    return found


def _without_null(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_null(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_null(each) for each in value]
    return value


def _with_texts(found: object, answer: object) -> object:
    """Return a result whose times are the texts that stand in the answer."""
    match found, answer:
        case datetime(), _:
            return answer
        case Structure(), dict():
            members = {
                field.name: _with_texts(getattr(found, field.name), answer.get(field.encode_name))
                for field in msgspec.structs.fields(found)
            }
            return msgspec.structs.replace(found, **members)
        case list(), list():
            return [_with_texts(each, of) for each, of in zip(found, answer, strict=True)]
        case _:
            return found
