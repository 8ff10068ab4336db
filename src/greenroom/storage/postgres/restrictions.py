"""Restrictions in PostgreSQL: a row for each entry, whole as JSON beside what it is found by.

Who adds one holds a lock of the account until the commit: so versions become visible in order.
"""

from collections.abc import Sequence

import msgspec

from greenroom.model.restriction import KEPT_MS, Restriction
from greenroom.storage import rules
from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.session import Connection
from greenroom.storage.rows import latest_of, restriction_from, restriction_row

_LANE = "restrictions"


class PostgresRestrictions:
    """`Restrictions` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entry: Restriction, quota: int) -> Restriction:
        return await self._database.write(_LANE, _add, entry, quota)

    async def since(self, account: str, version: int) -> Sequence[Restriction]:
        return await self._database.read(_since, account, version)

    async def accounts(self) -> frozenset[str]:
        return await self._database.read(_accounts)

    async def page(
        self, account: str, scope: str, user_id: str, before: int, limit: int
    ) -> Sequence[Restriction]:
        return await self._database.read(_page, account, scope, user_id, before, limit)

    async def prune(self, before: int) -> None:
        await self._database.write(_LANE, _prune, before)


_KEY = "account = $1 AND scope = $2 AND user_id = $3 AND kind = $4 AND latest > 0"


async def _add(connection: Connection, entry: Restriction, quota: int) -> Restriction:
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('restrictions ' || $1, 0))", entry.account
    )
    key = (entry.account, *entry.key)
    if entry.is_limited and not await connection.fetchval(
        f"SELECT 1 FROM restrictions WHERE {_KEY} AND lifted = 0", *key
    ):
        number = await connection.fetchval(
            "SELECT count(*) FROM restrictions"
            " WHERE account = $1 AND latest = $2 AND lifted = 0 AND ends > $3",
            entry.account,
            latest_of(entry),
            entry.at,
        )
        rules.check_restrictions(entry, number, quota)
    version = await connection.fetchval(
        "SELECT coalesce(max(version), 0) + 1 FROM restrictions WHERE account = $1", entry.account
    )
    entry = msgspec.structs.replace(entry, version=version)
    await connection.execute(
        f"UPDATE restrictions SET latest = 0, ends = $5 WHERE {_KEY}", *key, entry.at
    )
    await connection.execute(
        "INSERT INTO restrictions"
        " (account, version, scope, user_id, kind, latest, lifted, ends, value)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        *restriction_row(entry),
    )
    return entry


async def _since(connection: Connection, account: str, version: int) -> list[Restriction]:
    rows = await connection.fetch(
        "SELECT value FROM restrictions WHERE account = $1 AND latest > 0 AND version > $2"
        " ORDER BY version",
        account,
        version,
    )
    return [restriction_from(value) for (value,) in rows]


async def _accounts(connection: Connection) -> frozenset[str]:
    rows = await connection.fetch("SELECT DISTINCT account FROM restrictions")
    return frozenset(account for (account,) in rows)


async def _page(
    connection: Connection, account: str, scope: str, user_id: str, before: int, limit: int
) -> list[Restriction]:
    rows = await connection.fetch(
        "SELECT value FROM restrictions WHERE account = $1 AND ($2 = '' OR scope = $2)"
        " AND CASE WHEN $3 = '' THEN latest = 1 ELSE user_id = $3 END"
        " AND ($4::bigint = 0 OR version < $4) ORDER BY version DESC LIMIT $5",
        *(account, scope, user_id, before, limit),
    )
    return [restriction_from(value) for (value,) in rows]


async def _prune(connection: Connection, before: int) -> None:
    # The newest stays: its number must not come back.
    await connection.execute(
        "DELETE FROM restrictions AS each WHERE (ends < $1 OR (kind = 'ROLES' AND ends < $2))"
        " AND version < (SELECT max(version)"
        " FROM restrictions AS others WHERE others.account = each.account)",
        before,
        before + KEPT_MS,
    )
