"""The port to the kept logging configurations; its guarantees are those of `storage.base`."""

from typing import Protocol

import msgspec

from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import (
    LoggingConfiguration,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)


class LoggingConfigurationPage(msgspec.Struct, frozen=True):
    """Some configurations, and the sequence number after which the next ones come, if any."""

    configurations: list[LoggingConfiguration]
    next: int | None


class LoggingConfigurations(Protocol):
    """Logging configurations by their ARN, and in the order of their creation."""

    async def create(self, configuration: LoggingConfiguration, quota: int) -> None:
        """Insert the configuration in the state that it has.

        Raises:
            ServiceQuotaExceededException: the account has `quota` of them in the region.
            ConflictException: the configuration exists already.
        """

    async def get(self, arn: Arn) -> LoggingConfiguration:
        """Return the configuration.

        Raises:
            ResourceNotFoundException: there is none.
        """

    async def update(
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

    async def move(
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

    async def begin_delete(self, arn: Arn, now: int) -> None:
        """Move the configuration to DELETING, if no room has it attached.

        Raises:
            ResourceNotFoundException: there is none.
            ConflictException: a room has it attached, or its state does not allow the move.
        """

    async def finish_delete(self, arn: Arn) -> None:
        """Remove a configuration that is DELETING; without one, do nothing."""

    async def page(
        self, account: str, region: str, limit: int, after: int | None = None
    ) -> LoggingConfigurationPage:
        """Return up to `limit` configurations, newest first; `after` is a page's `next`."""

    async def unfinished(self) -> list[LoggingConfiguration]:
        """Return every configuration, of all accounts, that is CREATING, UPDATING or DELETING."""
