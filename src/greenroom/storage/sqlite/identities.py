"""Identities in SQLite: a table for each kind of value, each rule one call of the worker."""

from sqlite3 import Connection
from typing import Generic, ParamSpec, TypeVar

import msgspec

from greenroom.storage.identity_rules.transaction import Rule, Table, run_at_once
from greenroom.storage.identity_tables import IdentityTables
from greenroom.storage.sqlite.worker import SqliteWorker

P = ParamSpec("P")
T = TypeVar("T")


class SqliteTransactions:
    """Runs rules on the worker's thread, over tables."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker

    async def read(self, rule: Rule[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a rule that changes nothing."""
        return await self._worker.read(
            lambda connection: run_at_once(rule(_Tables(connection), *args, **kwargs))
        )

    async def write(self, rule: Rule[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a rule and return when what it put is on the disk."""
        return await self._worker.write(
            lambda connection: run_at_once(rule(_Tables(connection), *args, **kwargs))
        )


class _Table(Generic[T]):
    """One table: a table whose values are JSON."""

    def __init__(self, connection: Connection, name: str, decoder: msgspec.json.Decoder[T]) -> None:
        self._connection = connection
        self._name = name
        self._decoder = decoder

    async def get(self, account: str, key: str) -> T | None:
        row = self._connection.execute(
            f"SELECT value FROM {self._name} WHERE account = ? AND key = ?", (account, key)
        ).fetchone()
        return None if row is None else self._decoder.decode(row[0])

    async def put(self, account: str, key: str, value: T) -> None:
        self._connection.execute(
            f"INSERT INTO {self._name} (account, key, value) VALUES (?, ?, ?)"
            " ON CONFLICT (account, key) DO UPDATE SET value = excluded.value",
            (account, key, msgspec.json.encode(value).decode()),
        )

    async def remove(self, account: str, key: str) -> None:
        self._connection.execute(
            f"DELETE FROM {self._name} WHERE account = ? AND key = ?", (account, key)
        )

    async def values(self, account: str, after: str = "", before: str = "\x7f") -> list[T]:
        rows = self._connection.execute(
            f"SELECT value FROM {self._name} WHERE account = ? AND key > ? AND key < ?"
            " ORDER BY key",
            (account, after, before),
        )
        return [self._decoder.decode(value) for (value,) in rows]

    async def count(self, account: str) -> int:
        row = self._connection.execute(
            f"SELECT count(*) FROM {self._name} WHERE account = ?", (account,)
        ).fetchone()
        number: int = row[0]
        return number


class _Tables(IdentityTables):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        super().__init__()

    def table(self, name: str, decoder: msgspec.json.Decoder[T]) -> Table[T]:
        return _Table(self._connection, name, decoder)
