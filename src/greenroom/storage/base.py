"""The port to the durable store, and what every adapter of it guarantees.

- **Durability.** When a writing call returns, its effect survives the death of the process at any
  later instant. When it raises, nothing of it is kept.
- **Atomicity.** Each call is one transaction: a quota is counted and the row inserted, a
  configuration is found unused and deleted, with nothing in between.
- **Order.** Writing calls take effect in the order in which they are made, also when nobody waits
  in between. A reading call sees every write that was answered before it was made; one that is
  still under way it may see or not.
- **Isolation.** Nothing of another account or region is ever returned or changed: resources are
  named by their whole ARN, lists by account and region.
- **Lists.** A listing walks the rooms as they were ordered when its first page was made: each room
  that exists from the first page to the last is returned exactly once, whatever is created,
  updated or deleted in between. Order positions are kept for `LIST_LIFETIME_MS`.

Errors: the `ServiceError`s that each method names; `StorageUnavailable` when the store cannot
answer (disk full, queue full, closed).
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from greenroom.model.arn import Arn
from greenroom.model.errors import ServiceUnavailableException
from greenroom.model.logging_configuration import (
    LoggingConfiguration,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.model.room import Room, RoomChange, RoomFilter
from greenroom.storage.identities import IdentityStore
from greenroom.storage.journal import Journal

LIST_LIFETIME_MS = 3_600_000
"""How long a listing may take from its first page to its last: one hour."""


class StorageUnavailable(ServiceUnavailableException):
    """The store cannot answer now; nothing was kept."""

    @property
    def code(self) -> str:
        return "ServiceUnavailableException"


class StoreRefused(Exception):
    """The store cannot be opened: the message is one clear line for the operator."""


class StoreInUse(StoreRefused):
    """Another process has the store open."""


class StoreUnwritable(StoreRefused):
    """The place of the store cannot be written."""


class StoreForeign(StoreRefused):
    """The file is damaged, not ours, or of a newer version. It was not touched."""


class RoomCursor(msgspec.Struct, frozen=True, array_like=True):
    """A position in a listing of rooms.

    `snapshot` is the sequence number of the newest change when the listing began; `update_time`
    and `sequence` are the position of the last room returned.
    """

    snapshot: int
    update_time: int
    sequence: int


class RoomPage(msgspec.Struct, frozen=True):
    """Some rooms, and where the next ones begin, if there are any."""

    rooms: list[Room]
    next: RoomCursor | None


class LoggingConfigurationPage(msgspec.Struct, frozen=True):
    """Some configurations, and the sequence number after which the next ones come, if any."""

    configurations: list[LoggingConfiguration]
    next: int | None


TokenUse = tuple[str, int]
"""A chat token's id, and when it expires in milliseconds since the epoch."""


class Store(Protocol):
    """What the service keeps.

    `now` arguments are milliseconds since the epoch; a `quota` of 0 is no limit.
    """

    @property
    def journal(self) -> Journal:
        """The journal of chat logging, in the same place."""

    @property
    def identities(self) -> IdentityStore:
        """Return the part that keeps users, roles, access keys and policies."""

    async def create_room(self, room: Room, quota: int) -> Room:
        """Insert the room and return it as stored: its update time is raised as by `update_room`.

        Raises:
            ServiceQuotaExceededException: the account has `quota` rooms in the region.
            ResourceNotFoundException: a logging configuration does not exist there.
            ConflictException: a logging configuration is not ACTIVE, or the room exists already.
        """

    async def get_room(self, arn: Arn) -> Room:
        """Return the room.

        Raises:
            ResourceNotFoundException: there is none.
        """

    async def update_room(self, arn: Arn, change: RoomChange, now: int) -> Room:
        """Apply the change and return the room as changed; `now` becomes its update time.

        Within a region `now` is raised to the newest update time, unless that is more than
        `SMALL_STEP_MS` later: then the clock was ahead, and the times follow it back.

        Raises:
            ResourceNotFoundException: no such room or logging configuration.
            ConflictException: a newly attached logging configuration is not ACTIVE.
        """

    async def delete_room(self, arn: Arn) -> None:
        """Delete the room.

        Raises:
            ResourceNotFoundException: there is none.
        """

    async def list_rooms(
        self,
        account: str,
        region: str,
        filters: RoomFilter,
        limit: int,
        after: RoomCursor | None = None,
    ) -> RoomPage:
        """Return up to `limit` rooms that pass the filters, newest change first.

        Raises:
            ResourceNotFoundException: the filter's logging configuration does not exist.
        """

    async def create_logging_configuration(
        self, configuration: LoggingConfiguration, quota: int
    ) -> None:
        """Insert the configuration in the state that it has.

        Raises:
            ServiceQuotaExceededException: the account has `quota` of them in the region.
            ConflictException: the configuration exists already.
        """

    async def get_logging_configuration(self, arn: Arn) -> LoggingConfiguration:
        """Return the configuration.

        Raises:
            ResourceNotFoundException: there is none.
        """

    async def update_logging_configuration(
        self,
        arn: Arn,
        change: LoggingConfigurationChange,
        state: LoggingConfigurationState,
        now: int,
    ) -> LoggingConfiguration:
        """Move the configuration to `state` and apply the change; return the result.

        Raises:
            ResourceNotFoundException: there is none.
            ConflictException: its present state does not allow that move.
        """

    async def move_logging_configuration(
        self,
        arn: Arn,
        before: LoggingConfigurationState,
        after: LoggingConfigurationState,
        now: int,
    ) -> LoggingConfiguration:
        """Move the configuration from one state to another; return the result.

        Raises:
            ResourceNotFoundException: there is none.
            ConflictException: it is not in the state `before`, or that does not allow the move.
        """

    async def begin_delete_logging_configuration(self, arn: Arn, now: int) -> None:
        """Move the configuration to DELETING, if no room has it attached.

        Raises:
            ResourceNotFoundException: there is none.
            ConflictException: a room has it attached, or its state does not allow the move.
        """

    async def finish_delete_logging_configuration(self, arn: Arn) -> None:
        """Remove a configuration that is DELETING; without one, do nothing."""

    async def list_logging_configurations(
        self, account: str, region: str, limit: int, after: int | None = None
    ) -> LoggingConfigurationPage:
        """Return up to `limit` configurations, newest first; `after` is a page's `next`."""

    async def unfinished_logging_configurations(self) -> list[LoggingConfiguration]:
        """Return every configuration, of all accounts, that is CREATING, UPDATING or DELETING."""

    async def get_tags(self, arn: Arn) -> dict[str, str]:
        """Return the resource's tags.

        Raises:
            ResourceNotFoundException: there is no such resource.
        """

    async def tag(self, arn: Arn, tags: dict[str, str], quota: int) -> None:
        """Add or overwrite tags. Update times do not change.

        Raises:
            ResourceNotFoundException: there is no such resource.
            ValidationException: it would have more than `quota` tags.
        """

    async def untag(self, arn: Arn, keys: tuple[str, ...]) -> None:
        """Remove tags; keys that are not there are no error.

        Raises:
            ResourceNotFoundException: there is no such resource.
        """

    async def redeem(self, tokens: Sequence[TokenUse], now: int) -> list[bool]:
        """Mark chat tokens as used; return for each whether this was the first use of it.

        Exactly one of any number of uses of one token is the first, within one call, among many
        and across restarts. Marks are kept until an hour after the token's expiry at least.
        """

    async def regions_in_use(self) -> frozenset[str]:
        """Return every region in which any account has a room or a logging configuration."""

    async def secret(self, name: str, candidate: bytes) -> bytes:
        """Return the secret kept under the name; when there is none, keep the candidate."""

    async def kept_secret(self, name: str) -> bytes | None:
        """Return the secret kept under the name, or None."""

    async def replace_secret(self, name: str, expected: bytes, replacement: bytes) -> bool:
        """Keep the replacement if what is kept is as expected; return whether it was."""

    async def check_writable(self) -> None:
        """Write something that changes nothing, as durably as all else.

        Raises:
            StorageUnavailable: no write can be kept now.
        """

    async def close(self) -> None:
        """Finish what was accepted and close. Later calls raise StorageUnavailable."""
