"""Logging configurations in memory."""

from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import (
    LoggingConfiguration,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.storage import rules
from greenroom.storage.logging_configurations import LoggingConfigurationPage
from greenroom.storage.memory.region import KeptConfiguration, Regions

State = LoggingConfigurationState


class MemoryLoggingConfigurations:
    """`LoggingConfigurations` in dictionaries."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    async def create(self, configuration: LoggingConfiguration, quota: int) -> None:
        arn = configuration.arn
        region = self._regions.of(arn.account, arn.region)
        if arn in region.configurations:
            raise rules.already_exists(arn)
        rules.check_quota(arn, len(region.configurations), quota)
        region.sequence += 1
        region.configurations[arn] = KeptConfiguration(configuration, region.sequence)

    async def get(self, arn: Arn) -> LoggingConfiguration:
        return self._regions.configuration(arn).configuration

    async def update(
        self, arn: Arn, change: LoggingConfigurationChange, state: State, now: int
    ) -> LoggingConfiguration:
        kept = self._regions.configuration(arn)
        kept.configuration = change.apply(kept.configuration.moved_to(state, now))
        return kept.configuration

    async def move(self, arn: Arn, before: State, after: State, now: int) -> LoggingConfiguration:
        kept = self._regions.configuration(arn)
        kept.configuration = rules.moved(kept.configuration, before, after, now)
        return kept.configuration

    async def begin_delete(self, arn: Arn, now: int) -> None:
        kept = self._regions.configuration(arn)
        identifier = str(arn)
        attached = sum(
            identifier in kept_room.room.logging_configuration_identifiers
            for kept_room in self._regions.of(arn.account, arn.region).rooms.values()
        )
        kept.configuration = rules.deleting(kept.configuration, attached, now)

    async def finish_delete(self, arn: Arn) -> None:
        configurations = self._regions.of(arn.account, arn.region).configurations
        kept = configurations.get(arn)
        if kept is not None and kept.configuration.state is State.DELETING:
            del configurations[arn]

    async def page(
        self, account: str, region: str, limit: int, after: int | None = None
    ) -> LoggingConfigurationPage:
        found = [
            kept
            for kept in reversed(self._regions.of(account, region).configurations.values())
            if after is None or kept.sequence < after
        ]
        following = found[limit - 1].sequence if len(found) > limit else None
        return LoggingConfigurationPage([kept.configuration for kept in found[:limit]], following)

    async def unfinished(self) -> list[LoggingConfiguration]:
        unfinished = (State.CREATING, State.UPDATING, State.DELETING)
        return [
            kept.configuration
            for region in self._regions.all().values()
            for kept in region.configurations.values()
            if kept.configuration.state in unfinished
        ]
