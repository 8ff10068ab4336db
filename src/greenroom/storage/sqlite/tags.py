"""Tags in SQLite: a column of what has them."""

from sqlite3 import Connection

from greenroom.model.arn import Arn, ResourceType
from greenroom.storage import rules
from greenroom.storage.rows import json_text, tags_from
from greenroom.storage.sqlite.worker import SqliteWorker

_TABLES = {
    ResourceType.ROOM: "rooms",
    ResourceType.LOGGING_CONFIGURATION: "logging_configurations",
}


class SqliteTags:
    """`Tags` in the worker's database."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker

    async def get(self, arn: Arn) -> dict[str, str]:
        return await self._worker.read(_get, arn)

    async def add(self, arn: Arn, tags: dict[str, str], quota: int) -> None:
        await self._worker.write(_add, arn, tags, quota)

    async def remove(self, arn: Arn, keys: tuple[str, ...]) -> None:
        await self._worker.write(_remove, arn, keys)


def _get(connection: Connection, arn: Arn) -> dict[str, str]:
    row = connection.execute(
        f"SELECT tags FROM {_TABLES[arn.type]} WHERE arn = ?", (str(arn),)
    ).fetchone()
    if row is None:
        raise arn.not_found()
    return tags_from(row[0])


def _add(connection: Connection, arn: Arn, tags: dict[str, str], quota: int) -> None:
    _put(connection, arn, rules.tagged(_get(connection, arn), tags, quota))


def _remove(connection: Connection, arn: Arn, keys: tuple[str, ...]) -> None:
    _put(connection, arn, rules.untagged(_get(connection, arn), keys))


def _put(connection: Connection, arn: Arn, tags: dict[str, str]) -> None:
    connection.execute(
        f"UPDATE {_TABLES[arn.type]} SET tags = ? WHERE arn = ?", (json_text(tags), str(arn))
    )
