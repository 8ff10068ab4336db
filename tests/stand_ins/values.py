"""Rooms, configurations and accounts for the tests of the store."""

import itertools

from greenroom.model.arn import Arn, ResourceType
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfiguration,
    LoggingConfigurationState,
)
from greenroom.model.room import FallbackResult, MessageReviewHandler, Room

ACCOUNT = "123456789012"
REGION = "us-east-1"
NOW = 1_700_000_000_000
PLENTY = 1_000_000

_numbers = itertools.count()


def new_account() -> str:
    """Return an account that no other test has."""
    return f"{next(_numbers):012}"


def room_arn(account: str = ACCOUNT, region: str = REGION) -> Arn:
    """Return the ARN of a room that does not exist."""
    return Arn(region, account, ResourceType.ROOM, f"Room{next(_numbers):08}")


def configuration_arn(account: str = ACCOUNT, region: str = REGION) -> Arn:
    """Return the ARN of a logging configuration that does not exist."""
    kind = ResourceType.LOGGING_CONFIGURATION
    return Arn(region, account, kind, f"Conf{next(_numbers):08}")


def a_room(
    *identifiers: str,
    arn: Arn | None = None,
    now: int = NOW,
    name: str | None = None,
    uri: str | None = None,
) -> Room:
    """Return a new room with those logging configurations."""
    return Room(
        arn=arn or room_arn(),
        name=name,
        message_review_handler=None if uri is None else MessageReviewHandler(uri),
        logging_configuration_identifiers=identifiers,
        create_time=now,
        update_time=now,
    )


def full_room(*identifiers: str) -> Room:
    """Return a room none of whose members has its default."""
    return Room(
        arn=room_arn(),
        name="studio-1",
        maximum_message_rate_per_second=77,
        maximum_message_length=123,
        message_review_handler=MessageReviewHandler("arn:aws:lambda:x", FallbackResult.DENY),
        logging_configuration_identifiers=identifiers,
        tags={"größe": "大きい", "b": "", "a": 'quote " and \\'},
        create_time=NOW,
        update_time=NOW + 5,
    )


def a_configuration(
    state: LoggingConfigurationState = LoggingConfigurationState.ACTIVE,
    *,
    arn: Arn | None = None,
    name: str | None = None,
) -> LoggingConfiguration:
    """Return a new logging configuration."""
    return LoggingConfiguration(
        arn=arn or configuration_arn(),
        name=name,
        destination=DestinationConfiguration(DestinationKind.FIREHOSE, "stream"),
        state=state,
        tags={"of": "the configuration"},
        create_time=NOW,
        update_time=NOW,
    )
