"""Logging configurations in SQLite: each call runs a function of a connection in a transaction."""

from sqlite3 import Connection

from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import (
    LoggingConfiguration,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.storage import rules
from greenroom.storage.logging_configurations import LoggingConfigurationPage
from greenroom.storage.regions import changed
from greenroom.storage.rows import (
    CONFIGURATION_COLUMNS,
    configuration_from,
    configuration_row,
)
from greenroom.storage.sqlite import regions
from greenroom.storage.sqlite.worker import SqliteWorker

State = LoggingConfigurationState


class SqliteLoggingConfigurations:
    """`LoggingConfigurations` in the worker's database."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker

    async def create(self, configuration: LoggingConfiguration, quota: int) -> None:
        await self._worker.write(create, configuration, quota)

    async def get(self, arn: Arn) -> LoggingConfiguration:
        return await self._worker.read(get, arn)

    async def update(
        self, arn: Arn, change: LoggingConfigurationChange, state: State, now: int
    ) -> LoggingConfiguration:
        return await self._worker.write(update, arn, change, state, now)

    async def move(self, arn: Arn, before: State, after: State, now: int) -> LoggingConfiguration:
        return await self._worker.write(move, arn, before, after, now)

    async def begin_delete(self, arn: Arn, now: int) -> None:
        await self._worker.write(begin_delete, arn, now)

    async def finish_delete(self, arn: Arn) -> None:
        await self._worker.write(finish_delete, arn)

    async def page(
        self, account: str, region: str, limit: int, after: int | None = None
    ) -> LoggingConfigurationPage:
        return await self._worker.read(page, account, region, limit, after)

    async def unfinished(self) -> list[LoggingConfiguration]:
        return await self._worker.read(unfinished)


def create(connection: Connection, configuration: LoggingConfiguration, quota: int) -> None:
    """Insert the configuration."""
    arn = configuration.arn
    if _find(connection, arn) is not None:
        raise rules.already_exists(arn)
    region = regions.find_or_create(connection, arn.account, arn.region)
    (count,) = connection.execute(
        "SELECT count(*) FROM logging_configurations WHERE region = ?", (region.key,)
    ).fetchone()
    rules.check_quota(arn, count, quota)
    region = changed(region)
    regions.save(connection, region)
    connection.execute(
        f"INSERT INTO logging_configurations (region, sequence, {CONFIGURATION_COLUMNS})"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (region.key, region.sequence, *configuration_row(configuration)),
    )


def get(connection: Connection, arn: Arn) -> LoggingConfiguration:
    """Return the configuration or raise ResourceNotFoundException."""
    found = _find(connection, arn)
    if found is None:
        raise arn.not_found()
    return found


def update(
    connection: Connection,
    arn: Arn,
    change: LoggingConfigurationChange,
    state: State,
    now: int,
) -> LoggingConfiguration:
    """Move the configuration to the state and apply the change."""
    updated = change.apply(get(connection, arn).moved_to(state, now))
    _save(connection, updated)
    return updated


def move(
    connection: Connection, arn: Arn, before: State, after: State, now: int
) -> LoggingConfiguration:
    """Move the configuration from one state to another."""
    moved = rules.moved(get(connection, arn), before, after, now)
    _save(connection, moved)
    return moved


def begin_delete(connection: Connection, arn: Arn, now: int) -> None:
    """Move the configuration to DELETING when no room has it attached."""
    configuration = get(connection, arn)
    (rooms,) = connection.execute(
        "SELECT count(*) FROM attachments WHERE configuration = ?", (key_of(connection, arn),)
    ).fetchone()
    _save(connection, rules.deleting(configuration, rooms, now))


def finish_delete(connection: Connection, arn: Arn) -> None:
    """Remove the configuration if it is DELETING."""
    connection.execute(
        "DELETE FROM logging_configurations WHERE arn = ? AND state = ?",
        (str(arn), State.DELETING.value),
    )


def page(
    connection: Connection, account: str, region: str, limit: int, after: int | None
) -> LoggingConfigurationPage:
    """Return configurations by descending sequence number, those below `after`."""
    found = regions.find(connection, account, region)
    if found is None:
        return LoggingConfigurationPage([], None)
    rows = connection.execute(
        f"SELECT sequence, {CONFIGURATION_COLUMNS} FROM logging_configurations"
        " WHERE region = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?",
        (found.key, found.sequence + 1 if after is None else after, limit + 1),
    ).fetchall()
    following = rows[limit - 1][0] if len(rows) > limit else None
    return LoggingConfigurationPage(
        [configuration_from(row[1:]) for row in rows[:limit]], following
    )


def unfinished(connection: Connection) -> list[LoggingConfiguration]:
    """Return the configurations of all accounts that are on their way to another state."""
    rows = connection.execute(
        f"SELECT {CONFIGURATION_COLUMNS} FROM logging_configurations"
        " WHERE state IN (?, ?, ?) ORDER BY key",
        (State.CREATING.value, State.UPDATING.value, State.DELETING.value),
    ).fetchall()
    return [configuration_from(row) for row in rows]


def key_of(connection: Connection, arn: Arn) -> int:
    """Return the configuration's key or raise ResourceNotFoundException."""
    row = connection.execute(
        "SELECT key FROM logging_configurations WHERE arn = ?", (str(arn),)
    ).fetchone()
    if row is None:
        raise arn.not_found()
    key: int = row[0]
    return key


def _find(connection: Connection, arn: Arn) -> LoggingConfiguration | None:
    row = connection.execute(
        f"SELECT {CONFIGURATION_COLUMNS} FROM logging_configurations WHERE arn = ?", (str(arn),)
    ).fetchone()
    return None if row is None else configuration_from(row)


def _save(connection: Connection, configuration: LoggingConfiguration) -> None:
    _arn, name, kind, destination, state, _tags, _created, updated = configuration_row(
        configuration
    )
    connection.execute(
        "UPDATE logging_configurations SET name = ?, destination_kind = ?, destination_name = ?,"
        " state = ?, update_time = ? WHERE arn = ?",
        (name, kind, destination, state, updated, str(configuration.arn)),
    )
