"""Restrictions in SQLite: a row for each entry, whole as JSON beside what it is found by."""

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from greenroom.model.restriction import KEPT_MS, Restriction
from greenroom.storage import rules
from greenroom.storage.rows import latest_of, restriction_from, restriction_row
from greenroom.storage.sqlite.worker import SqliteWorker


class SqliteRestrictions:
    """`Restrictions` in the worker's database."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker

    async def add(self, entry: Restriction, quota: int) -> Restriction:
        return await self._worker.write(_add, entry, quota)

    async def since(self, account: str, version: int) -> Sequence[Restriction]:
        return await self._worker.read(_since, account, version)

    async def accounts(self) -> frozenset[str]:
        return await self._worker.read(_accounts)

    async def page(
        self, account: str, scope: str, user_id: str, before: int, limit: int
    ) -> Sequence[Restriction]:
        return await self._worker.read(_page, account, scope, user_id, before, limit)

    async def prune(self, before: int) -> None:
        await self._worker.write(_prune, before)


_KEY = "account = ? AND scope = ? AND user_id = ? AND kind = ? AND latest > 0"


def _add(connection: Connection, entry: Restriction, quota: int) -> Restriction:
    key = (entry.account, *entry.key)
    if entry.is_limited and not _is_restricted(connection, key):
        (number,) = connection.execute(
            "SELECT count(*) FROM restrictions"
            " WHERE account = ? AND latest = ? AND lifted = 0 AND ends > ?",
            (entry.account, latest_of(entry), entry.at),
        ).fetchone()
        rules.check_restrictions(entry, number, quota)
    (version,) = connection.execute(
        "SELECT coalesce(max(version), 0) + 1 FROM restrictions WHERE account = ?", (entry.account,)
    ).fetchone()
    entry = msgspec.structs.replace(entry, version=version)
    connection.execute(
        f"UPDATE restrictions SET latest = 0, ends = ? WHERE {_KEY}", (entry.at, *key)
    )
    connection.execute(
        "INSERT INTO restrictions"
        " (account, version, scope, user_id, kind, latest, lifted, ends, value)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        restriction_row(entry),
    )
    return entry


def _is_restricted(connection: Connection, key: tuple[str, ...]) -> bool:
    found = connection.execute(f"SELECT 1 FROM restrictions WHERE {_KEY} AND lifted = 0", key)
    return found.fetchone() is not None


def _since(connection: Connection, account: str, version: int) -> list[Restriction]:
    rows = connection.execute(
        "SELECT value FROM restrictions WHERE account = ? AND latest > 0 AND version > ?"
        " ORDER BY version",
        (account, version),
    )
    return [restriction_from(value) for (value,) in rows]


def _accounts(connection: Connection) -> frozenset[str]:
    rows = connection.execute("SELECT DISTINCT account FROM restrictions")
    return frozenset(account for (account,) in rows)


def _page(
    connection: Connection, account: str, scope: str, user_id: str, before: int, limit: int
) -> list[Restriction]:
    conditions, values = "", [account]
    if scope:
        conditions, values = conditions + " AND scope = ?", [*values, scope]
    if user_id:
        conditions, values = conditions + " AND user_id = ?", [*values, user_id]
    else:
        conditions += " AND latest = 1"
    rows = connection.execute(
        f"SELECT value FROM restrictions WHERE account = ?{conditions}"
        " AND (? = 0 OR version < ?) ORDER BY version DESC LIMIT ?",
        (*values, before, before, limit),
    )
    return [restriction_from(value) for (value,) in rows]


def _prune(connection: Connection, before: int) -> None:
    # The newest stays: its number must not come back.
    connection.execute(
        "DELETE FROM restrictions AS each WHERE (ends < ? OR (kind = 'ROLES' AND ends < ?))"
        " AND version < (SELECT max(version)"
        " FROM restrictions AS others WHERE others.account = each.account)",
        (before, before + KEPT_MS),
    )
