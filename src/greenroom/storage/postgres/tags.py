"""Tags in PostgreSQL: a column of what has them."""

from greenroom.model.arn import Arn, ResourceType
from greenroom.storage import rules
from greenroom.storage.postgres import regions
from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.session import Connection
from greenroom.storage.rows import json_text, tags_from

_TABLES = {
    ResourceType.ROOM: "rooms",
    ResourceType.LOGGING_CONFIGURATION: "logging_configurations",
}


class PostgresTags:
    """`Tags` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, arn: Arn) -> dict[str, str]:
        return await self._database.read(_get, arn)

    async def add(self, arn: Arn, tags: dict[str, str], quota: int) -> None:
        await self._database.write(regions.lane(arn), _add, arn, tags, quota)

    async def remove(self, arn: Arn, keys: tuple[str, ...]) -> None:
        await self._database.write(regions.lane(arn), _remove, arn, keys)


async def _get(connection: Connection, arn: Arn) -> dict[str, str]:
    tags = await connection.fetchval(
        f"SELECT tags FROM {_TABLES[arn.type]} WHERE arn = $1", str(arn)
    )
    if tags is None:
        raise arn.not_found()
    return tags_from(tags)


async def _add(connection: Connection, arn: Arn, tags: dict[str, str], quota: int) -> None:
    await regions.hold(connection, arn)
    await _put(connection, arn, rules.tagged(await _get(connection, arn), tags, quota))


async def _remove(connection: Connection, arn: Arn, keys: tuple[str, ...]) -> None:
    await regions.hold(connection, arn)
    await _put(connection, arn, rules.untagged(await _get(connection, arn), keys))


async def _put(connection: Connection, arn: Arn, tags: dict[str, str]) -> None:
    await connection.execute(
        f"UPDATE {_TABLES[arn.type]} SET tags = $1 WHERE arn = $2", json_text(tags), str(arn)
    )
