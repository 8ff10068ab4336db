"""A database is moved while no node runs on it: those that are ending are waited for."""

import asyncio
from typing import Any
from unittest.mock import AsyncMock, call, patch

import pytest

from greenroom.storage.base import StoreInUse
from greenroom.storage.postgres import moving
from greenroom.storage.tables import COUNT_ADDED, TABLES
from tests.storage.postgres.conftest import Open


class Database:
    """In place of a connection: tells, look by look, which nodes are there."""

    def __init__(self, *nodes: list[str]) -> None:
        self.looks = list(nodes)

    async def fetch(self, statement: str) -> list[tuple[str]]:
        """Return the next look's."""
        return [(address,) for address in self.looks.pop(0)]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look three times, at once."""
    monkeypatch.setattr(moving, "LOOK_SECONDS", 0)
    monkeypatch.setattr(moving, "LOOKS", 3)


@pytest.mark.parametrize("looks", [1, 2, 3])
async def test_nodes_that_end_are_waited_for(looks: int) -> None:
    """Nothing more is asked when the last one has gone."""
    database: Any = Database(*[["10.0.0.1"]] * (looks - 1), [], ["never asked"])
    with patch.object(asyncio, "sleep", AsyncMock()) as slept:
        await moving._without_nodes(database, "postgresql://db/r")
    assert database.looks == [["never asked"]]
    assert slept.await_args_list == [call(moving.LOOK_SECONDS)] * (looks - 1)


async def test_nodes_that_stay_are_told() -> None:
    """All of the last look, in their order."""
    database: Any = Database(["10.0.0.9"], ["10.0.0.9"], ["10.0.0.2", "10.0.0.1"], [])
    told = r"postgresql://db/r is in use by nodes on 10\.0\.0\.1, 10\.0\.0\.2: stop all of them"
    with pytest.raises(StoreInUse, match=told):
        await moving._without_nodes(database, "postgresql://db/r")
    assert database.looks == [[]]


async def test_a_secret_is_read() -> None:
    """By its name; None where nothing is kept under it."""
    for kept in (b"kept", None):
        database: Any = AsyncMock(fetchval=AsyncMock(return_value=kept))
        assert await moving.PostgresSide(database, "here").secret("name") == kept
        assert database.fetchval.await_args.args[1] == "name"


async def test_how_far_streams_were_read_is_read() -> None:
    """Of each which one it was, and its last message: other streams begin behind them."""
    rows = [(0, "2026-01-01", 7), (3, "2026-01-02", 9)]
    database: Any = AsyncMock(fetch=AsyncMock(return_value=rows))
    found = await moving.PostgresSide(database, "here").positions()
    assert found == {0: ("2026-01-01", 7), 3: ("2026-01-02", 9)}


async def test_all_that_moves_is_counted() -> None:
    """Table by table."""
    database: Any = AsyncMock(fetchval=AsyncMock(return_value=7))
    counted = await moving.PostgresSide(database, "here").counts()
    assert counted == {table.name: 7 for table in TABLES}


class Sequences:
    """In place of a connection: the newest numbers that tables have, and what is set behind them.

    A table without rows has none.
    """

    def __init__(self, **newest: int | None) -> None:
        self.newest = newest
        self.executed: list[tuple[object, ...]] = []

    async def fetch(self, _statement: str, schema: str) -> list[tuple[str, str, str]]:
        return [(table, "number", f"{schema}.{table}_seq") for table in self.newest]

    async def fetchval(self, statement: str) -> int | None:
        return self.newest[statement.rpartition(" ")[2]]

    async def execute(self, statement: str, *arguments: object) -> None:
        self.executed.append((statement, *arguments))


@pytest.mark.parametrize(("numbers", "journal"), [(0, 9), (9, 9), (12, 12)])
async def test_numbers_go_on_behind_those_that_were_used(numbers: int, journal: int) -> None:
    """Also behind those of records that are gone; a table without rows begins with 1."""
    database: Any = Sequences(journal=9, rooms=4, held=1, tokens=None)
    await moving.PostgresSide(database, "here").finish(numbers)
    counted, *settings = database.executed
    assert counted == (COUNT_ADDED,)
    assert [arguments for _, *arguments in settings] == [
        ["greenroom.journal_seq", journal, True],
        ["greenroom.rooms_seq", 4, True],
        ["greenroom.held_seq", 1, True],
        ["greenroom.tokens_seq", 1, False],
    ]


async def test_who_moves_waits_for_nobody_long(
    database: str, a_node: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But may take minutes itself between two statements: the other side may be slow."""
    # A real server takes its time to end a node's sessions.
    monkeypatch.setattr(moving, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(moving, "LOOKS", 400)
    await (await a_node()).close()

    async def look(side: moving.PostgresSide) -> list[str]:
        names = ("lock_timeout", "idle_in_transaction_session_timeout", "transaction_isolation")
        return [await side._connection.fetchval(f"SHOW {name}") for name in names]

    assert await moving.reading(database, None, look) == ["3s", "5min", "repeatable read"]
    assert await moving.filling(database, None, look) == ["3s", "5min", "read committed"]
