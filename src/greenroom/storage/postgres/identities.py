"""Identities in PostgreSQL: a table for each kind of value, each rule one serializable transaction.

Whatever rules of several nodes read and write meanwhile, the result is that of one after the other:
a rule that would see something else is run once more.
"""

from collections.abc import Awaitable
from typing import Generic, ParamSpec, TypeVar

import msgspec

from greenroom.storage.identity_rules.transaction import Rule, Table
from greenroom.storage.identity_tables import IdentityTables
from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.session import Connection

P = ParamSpec("P")
T = TypeVar("T")

_LANE = "identities"


class PostgresTransactions:
    """Runs rules over tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, rule: Rule[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a rule that changes nothing."""

        def run(connection: Connection) -> Awaitable[T]:
            return rule(_Tables(connection), *args, **kwargs)

        return await self._database.snapshot(run)

    async def write(self, rule: Rule[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a rule and return when what it put is kept."""

        def run(connection: Connection) -> Awaitable[T]:
            return rule(_Tables(connection), *args, **kwargs)

        return await self._database.serialize(_LANE, run)


class _Table(Generic[T]):
    """One table: a table whose values are JSON."""

    def __init__(self, connection: Connection, name: str, decoder: msgspec.json.Decoder[T]) -> None:
        self._connection = connection
        self._name = name
        self._decoder = decoder

    async def get(self, account: str, key: str) -> T | None:
        value = await self._connection.fetchval(
            f"SELECT value FROM {self._name} WHERE account = $1 AND key = $2", account, key
        )
        return None if value is None else self._decoder.decode(value)

    async def put(self, account: str, key: str, value: T) -> None:
        await self._connection.execute(
            f"INSERT INTO {self._name} (account, key, value) VALUES ($1, $2, $3)"
            " ON CONFLICT (account, key) DO UPDATE SET value = excluded.value",
            *(account, key, msgspec.json.encode(value).decode()),
        )

    async def remove(self, account: str, key: str) -> None:
        await self._connection.execute(
            f"DELETE FROM {self._name} WHERE account = $1 AND key = $2", account, key
        )

    async def values(self, account: str, after: str = "", before: str = "\x7f") -> list[T]:
        rows = await self._connection.fetch(
            f"SELECT value FROM {self._name} WHERE account = $1 AND key > $2 AND key < $3"
            " ORDER BY key",
            *(account, after, before),
        )
        return [self._decoder.decode(value) for (value,) in rows]

    async def count(self, account: str) -> int:
        number: int = await self._connection.fetchval(
            f"SELECT count(*) FROM {self._name} WHERE account = $1", account
        )
        return number


class _Tables(IdentityTables):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        super().__init__()

    def table(self, name: str, decoder: msgspec.json.Decoder[T]) -> Table[T]:
        return _Table(self._connection, name, decoder)
