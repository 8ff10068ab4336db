"""Logging configurations in PostgreSQL: each call runs a function of a connection."""

from collections.abc import Collection

from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import (
    LoggingConfiguration,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.storage import rules
from greenroom.storage.logging_configurations import LoggingConfigurationPage
from greenroom.storage.postgres import regions
from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.session import Connection, escaped
from greenroom.storage.regions import changed
from greenroom.storage.rows import CONFIGURATION_COLUMNS, configuration_from, configuration_row

State = LoggingConfigurationState


class PostgresLoggingConfigurations:
    """`LoggingConfigurations` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, configuration: LoggingConfiguration, quota: int) -> None:
        lane = regions.lane(configuration.arn)
        await self._database.write(lane, create, configuration, quota)

    async def get(self, arn: Arn) -> LoggingConfiguration:
        return await self._database.read(get, arn)

    async def update(
        self, arn: Arn, change: LoggingConfigurationChange, state: State, now: int
    ) -> LoggingConfiguration:
        return await self._database.write(regions.lane(arn), update, arn, change, state, now)

    async def move(self, arn: Arn, before: State, after: State, now: int) -> LoggingConfiguration:
        return await self._database.write(regions.lane(arn), move, arn, before, after, now)

    async def begin_delete(self, arn: Arn, now: int) -> None:
        await self._database.write(regions.lane(arn), begin_delete, arn, now)

    async def finish_delete(self, arn: Arn) -> None:
        await self._database.write(regions.lane(arn), finish_delete, arn)

    async def page(
        self, account: str, region: str, limit: int, after: int | None = None
    ) -> LoggingConfigurationPage:
        return await self._database.snapshot(page, account, region, limit, after)

    async def unfinished(self) -> list[LoggingConfiguration]:
        return await self._database.read(unfinished)


async def create(connection: Connection, configuration: LoggingConfiguration, quota: int) -> None:
    """Insert the configuration."""
    arn = configuration.arn
    region = await regions.hold(connection, arn)
    if await _find(connection, arn) is not None:
        raise rules.already_exists(arn)
    count = await connection.fetchval(
        "SELECT count(*) FROM logging_configurations WHERE region = $1", region.key
    )
    rules.check_quota(arn, count, quota)
    region = changed(region)
    await regions.save(connection, region)
    await connection.execute(
        f"INSERT INTO logging_configurations (region, sequence, {CONFIGURATION_COLUMNS})"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        region.key,
        region.sequence,
        *configuration_row(configuration),
    )


async def get(connection: Connection, arn: Arn) -> LoggingConfiguration:
    """Return the configuration or raise ResourceNotFoundException."""
    found = await _find(connection, arn)
    if found is None:
        raise arn.not_found()
    return found


async def update(
    connection: Connection,
    arn: Arn,
    change: LoggingConfigurationChange,
    state: State,
    now: int,
) -> LoggingConfiguration:
    """Move the configuration to the state and apply the change."""
    updated = change.apply((await _held(connection, arn)).moved_to(state, now))
    await _save(connection, updated)
    return updated


async def move(
    connection: Connection, arn: Arn, before: State, after: State, now: int
) -> LoggingConfiguration:
    """Move the configuration from one state to another."""
    moved = rules.moved(await _held(connection, arn), before, after, now)
    await _save(connection, moved)
    return moved


async def begin_delete(connection: Connection, arn: Arn, now: int) -> None:
    """Move the configuration to DELETING when no room has it attached."""
    configuration = await _held(connection, arn)
    rooms = await connection.fetchval(
        "SELECT count(*) FROM attachments WHERE configuration = $1", await key_of(connection, arn)
    )
    await _save(connection, rules.deleting(configuration, rooms, now))


async def finish_delete(connection: Connection, arn: Arn) -> None:
    """Remove the configuration if it is DELETING."""
    await regions.hold(connection, arn)
    await connection.execute(
        "DELETE FROM logging_configurations WHERE arn = $1 AND state = $2",
        str(arn),
        State.DELETING.value,
    )


async def page(
    connection: Connection, account: str, region: str, limit: int, after: int | None
) -> LoggingConfigurationPage:
    """Return configurations by descending sequence number, those below `after`."""
    found = await regions.find(connection, account, region)
    if found is None:
        return LoggingConfigurationPage([], None)
    rows = await connection.fetch(
        f"SELECT sequence, {CONFIGURATION_COLUMNS} FROM logging_configurations"
        " WHERE region = $1 AND sequence < $2 ORDER BY sequence DESC LIMIT $3",
        found.key,
        found.sequence + 1 if after is None else after,
        limit + 1,
    )
    following = rows[limit - 1][0] if len(rows) > limit else None
    return LoggingConfigurationPage(
        [configuration_from(row[1:]) for row in rows[:limit]], following
    )


async def unfinished(connection: Connection) -> list[LoggingConfiguration]:
    """Return the configurations of all accounts that are on their way to another state."""
    rows = await connection.fetch(
        f"SELECT {CONFIGURATION_COLUMNS} FROM logging_configurations"
        " WHERE state IN ($1, $2, $3) ORDER BY key",
        *(State.CREATING.value, State.UPDATING.value, State.DELETING.value),
    )
    return [configuration_from(tuple(row)) for row in rows]


async def key_of(connection: Connection, arn: Arn) -> int:
    """Return the configuration's key or raise ResourceNotFoundException."""
    key: int | None = await connection.fetchval(
        "SELECT key FROM logging_configurations WHERE arn = $1", str(arn)
    )
    if key is None:
        raise arn.not_found()
    return key


async def found(connection: Connection, identifiers: Collection[str]) -> rules.FindConfiguration:
    """Read the configurations of some ARNs; return the function that finds each."""
    rows = await connection.fetch(
        f"SELECT {CONFIGURATION_COLUMNS} FROM logging_configurations WHERE arn = ANY ($1::text[])",
        [escaped(each) for each in identifiers],
    )
    kept = {each.arn: each for each in (configuration_from(tuple(row)) for row in rows)}

    def find(arn: Arn) -> LoggingConfiguration:
        if arn not in kept:
            raise arn.not_found()
        return kept[arn]

    return find


async def _held(connection: Connection, arn: Arn) -> LoggingConfiguration:
    """Return the configuration, which nobody else changes until the commit."""
    await regions.hold(connection, arn)
    return await get(connection, arn)


async def _find(connection: Connection, arn: Arn) -> LoggingConfiguration | None:
    row = await connection.fetchrow(
        f"SELECT {CONFIGURATION_COLUMNS} FROM logging_configurations WHERE arn = $1", str(arn)
    )
    return None if row is None else configuration_from(tuple(row))


async def _save(connection: Connection, configuration: LoggingConfiguration) -> None:
    _arn, name, kind, destination, state, _tags, _created, updated = configuration_row(
        configuration
    )
    await connection.execute(
        "UPDATE logging_configurations SET name = $1, destination_kind = $2,"
        " destination_name = $3, state = $4, update_time = $5 WHERE arn = $6",
        *(name, kind, destination, state, updated, str(configuration.arn)),
    )
