"""Rules that every adapter of the store applies alike, to what it has read.

Pure: the adapters fetch and keep, these functions decide and word the error.
"""

from collections.abc import Callable, Mapping

from greenroom.clock import SMALL_STEP_MS, is_set_back
from greenroom.model.arn import Arn
from greenroom.model.errors import (
    ConflictException,
    ServiceQuotaExceededException,
    ValidationException,
)
from greenroom.model.logging_configuration import LoggingConfiguration, LoggingConfigurationState
from greenroom.model.restriction import Restriction
from greenroom.model.tags import tag_count_errors
from greenroom.storage.base import StorageUnavailable

PRUNE_EVERY = 100
"""After so many additions what has expired is removed, at most twice as many rows: no call is slow
because of it, and more is removed than is added."""

REDEEMED_KEPT_MS = 3_600_000
"""How long a token's mark stays after the token's expiry: one hour."""

FindConfiguration = Callable[[Arn], LoggingConfiguration]
"""Returns a logging configuration or raises ResourceNotFoundException."""


def check_quota(arn: Arn, count: int, quota: int) -> None:
    """Refuse the new resource when the region has `quota` of its kind already; 0 is no limit.

    Raises:
        ServiceQuotaExceededException: it has.
    """
    if quota and count >= quota:
        raise ServiceQuotaExceededException(
            f"The account has its limit of {quota} resources of type {arn.type} in {arn.region}",
            resource_id=arn.id,
            resource_type=arn.type.wire_name,
            limit=quota,
        )


def update_time(newest: int, now: int) -> int:
    """Return the update time of a change now in a region whose newest one is given."""
    return now if is_set_back(newest, now, SMALL_STEP_MS) else max(newest, now)


def check_restrictions(entry: Restriction, number: int, quota: int) -> None:
    """Return while an account with so many restrictions may have one more.

    Raises:
        ServiceQuotaExceededException: it may not.
    """
    what = "restrictions of users" if entry.roles is None else "users with roles"
    if quota and number >= quota:
        raise ServiceQuotaExceededException(
            f"Quota exceeded: {quota} {what}",
            resource_id=entry.account,
            resource_type="RESTRICTION",
            limit=quota,
        )


def already_exists(arn: Arn) -> ConflictException:
    """Return the error for creating a resource whose name is taken."""
    return ConflictException(
        f"Resource: {arn} already exists", resource_id=arn.id, resource_type=arn.type.wire_name
    )


def within(identifier: str, account: str, region: str) -> Arn:
    """Parse the ARN of something that a room of the account and region refers to.

    Raises:
        ResourceNotFoundException: it belongs to another account or region.
    """
    arn = Arn.parse(identifier)
    if (arn.account, arn.region) != (account, region):
        raise arn.not_found()
    return arn


def check_attachments(
    room: Arn, wanted: tuple[str, ...], attached: tuple[str, ...], find: FindConfiguration
) -> None:
    """Check that the room may have the wanted logging configurations; some are `attached` now.

    Raises:
        ResourceNotFoundException: one does not exist in the room's account and region.
        ConflictException: one that is not yet attached is not ACTIVE.
    """
    for identifier in wanted:
        configuration = find(within(identifier, room.account, room.region))
        active = configuration.state is LoggingConfigurationState.ACTIVE
        if not active and identifier not in attached:
            raise configuration.conflict(f"is {configuration.state} and cannot be attached")


def moved(
    configuration: LoggingConfiguration,
    before: LoggingConfigurationState,
    after: LoggingConfigurationState,
    now: int,
) -> LoggingConfiguration:
    """Return the configuration in its next state.

    Raises:
        ConflictException: it is not in the state `before`, or that does not allow the move.
    """
    if configuration.state is not before:
        raise configuration.conflict(f"is {configuration.state} and not {before}")
    return configuration.moved_to(after, now)


def deleting(configuration: LoggingConfiguration, rooms: int, now: int) -> LoggingConfiguration:
    """Return the configuration as DELETING; `rooms` is how many have it attached.

    Raises:
        ConflictException: a room has it attached, or its state does not allow the move.
    """
    if rooms:
        raise configuration.conflict(f"is attached to {rooms} room{'s' if rooms > 1 else ''}")
    return configuration.moved_to(LoggingConfigurationState.DELETING, now)


def tagged(before: Mapping[str, str], added: Mapping[str, str], quota: int) -> dict[str, str]:
    """Return the tags with some added or overwritten.

    Raises:
        ValidationException: they are more than `quota`.
    """
    tags = {**before, **added}
    if errors := tag_count_errors(len(tags), quota):
        raise ValidationException.of_fields(*errors)
    return tags


def untagged(before: Mapping[str, str], keys: tuple[str, ...]) -> dict[str, str]:
    """Return the tags without those of the keys."""
    return {key: value for key, value in before.items() if key not in keys}


def closed() -> StorageUnavailable:
    """Return the error for calls after `close`."""
    return StorageUnavailable("The store is closed")
