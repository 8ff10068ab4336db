"""The list of what moves is that of both schemas: a table or a column that is new is in it, too."""

import sqlite3
from collections.abc import Iterable

import asyncpg
import pytest

from greenroom.storage.postgres.store import PostgresStore
from greenroom.storage.schema import SQLITE, steps
from greenroom.storage.sqlite.database_file import upgrade
from greenroom.storage.tables import STAY, TABLES

Schema = dict[str, set[str]]


def schema_of(columns: Iterable[tuple[str, str]]) -> Schema:
    """Return the columns of each table."""
    schema: Schema = {}
    for table, column in columns:
        schema.setdefault(table, set()).add(column)
    return schema


def sqlite_schema() -> Schema:
    """Return what the steps of SQLite build."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    upgrade(connection, steps(SQLITE))
    found = connection.execute(
        "SELECT tables.name, columns.name FROM sqlite_master AS tables"
        " JOIN pragma_table_info(tables.name) AS columns"
        " WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'"
    ).fetchall()
    connection.close()
    return schema_of(found)


async def postgres_schema(url: str) -> Schema:
    """Return what the steps of PostgreSQL build."""
    await (await PostgresStore.open(url)).close()
    connection = await asyncpg.connect(url)
    found = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'greenroom'"
    )
    await connection.close()
    return schema_of((table, column) for table, column in found)


def test_all_of_sqlite_moves() -> None:
    """Each column of each table is written, and so is known."""
    assert {table.name: set(table.written(table.sqlite)) for table in TABLES} == sqlite_schema()


async def test_all_of_postgresql_moves_or_stays(database: str) -> None:
    """Each column is written; tables that only PostgreSQL has are named with the reason."""
    schema = await postgres_schema(database)
    assert set(STAY) <= set(schema)
    wanted = {name: columns for name, columns in schema.items() if name not in STAY}
    assert {table.name: set(table.written(table.postgres)) for table in TABLES} == wanted


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_what_is_not_in_one_is_derived_from_the_other(table: object) -> None:
    """A column that moves is in one of the two tables at least."""
    each = next(known for known in TABLES if known == table)
    assert not each.sqlite.lacks & each.postgres.lacks
