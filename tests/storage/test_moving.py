"""From SQLite to PostgreSQL and back: what is kept is the same, and nothing else is touched.

Covers: greenroom.storage.sqlite.moving, greenroom.storage.postgres.moving
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import asyncpg
import msgspec
import pytest

from greenroom.model.held_message import HeldMessage
from greenroom.model.identity import User
from greenroom.model.room import RoomChange, RoomFilter
from greenroom.model.schedule import Put, Schedule
from greenroom.storage.base import StoreForeign, StoreInUse, StoreUnreachable, StoreUnwritable
from greenroom.storage.moving import Contents, NotMoved, contents, move
from greenroom.storage.postgres import moving as postgres
from greenroom.storage.postgres.moving import PostgresSide
from greenroom.storage.postgres.store import PostgresStore
from greenroom.storage.sqlite import moving as sqlite
from greenroom.storage.sqlite.moving import SqliteSide
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.storage.tables import Row, Table
from tests.running.servers import fresh_database
from tests.stand_ins.hasty_store import hasty_store
from tests.stand_ins.queues import Queues, numbers
from tests.stand_ins.redeeming import redeem
from tests.stand_ins.values import (
    ACCOUNT,
    NOW,
    PLENTY,
    REGION,
    a_configuration,
    a_room,
    full_room,
)

ODD = ["a\0b", "\x01\x02", "'; DROP TABLE rooms; --", "é😀\u2028"]


def quietly(name: str, rows: int) -> None:
    """Show nothing."""


async def to_database(directory: Path, url: str) -> Contents:
    """Move a directory's database into PostgreSQL."""
    with sqlite.reading(directory) as source:
        return await postgres.filling(url, None, lambda target: move(source, target, quietly))


async def to_directory(url: str, directory: Path) -> Contents:
    """Move the other way."""

    async def read(source: PostgresSide) -> Contents:
        with sqlite.filling(directory) as target:
            return await move(source, target, quietly)

    await asyncio.to_thread(directory.mkdir)
    return await postgres.reading(url, None, read)


async def read_all(url: str) -> Contents:
    """Return what PostgreSQL holds."""
    return await postgres.reading(url, None, lambda source: contents(source, quietly))


def dump(directory: Path) -> list[str]:
    """Return all that a directory's database holds, with its schema and its numbers."""
    with closing(sqlite3.connect(directory / "greenroom.db")) as connection:
        return [*connection.iterdump(), str(connection.execute("PRAGMA user_version").fetchone())]


def files(directory: Path) -> dict[str, str]:
    """Return the hash of each file of a directory."""
    return {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in directory.iterdir()
    }


@pytest.fixture(params=["postgresql_newest", "postgresql_oldest"])
def any_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give an empty database of the newest PostgreSQL, and of the oldest that is supported."""
    with fresh_database(request.getfixturevalue(request.param)) as url:
        yield url


@pytest.fixture
async def full(tmp_path: Path) -> Path:
    """Return the directory of a store that holds something of everything."""
    directory = tmp_path / "data"
    store = await hasty_store(directory)
    configuration = a_configuration()
    await store.logging_configurations.create(configuration, PLENTY)
    room = await store.rooms.create(full_room(str(configuration.arn)), PLENTY)
    await store.rooms.update(room.arn, RoomChange(name="renamed"), NOW + 10)
    schedule = Schedule(
        name="rules",
        content="\0 é",
        style="INFO",
        seconds=60,
        by="ann",
        created=NOW,
        due=NOW + 60_000,
    )
    await store.rooms.schedule(room.arn, Put(schedule))
    for text in ODD:
        odd = msgspec.structs.replace(a_room(name=text, uri=text), tags={text: text})
        await store.rooms.create(odd, PLENTY)
        await redeem(store, text, NOW, NOW)
        await store.secrets.keep(text, text.encode())
    await store.rooms.delete((await store.rooms.create(a_room(), PLENTY)).arn)
    user = User(account=ACCOUNT, name="Anna", id="AIDA1", create_date=NOW, tags={"é": "\0"})
    await store.identities.create_user(user)
    queues = Queues(store, 3)
    await queues.append(6, *queues.arns[:2])
    await queues.append(2, queues.arns[2])
    batch = await queues.batch(queue=2)
    await store.journal.delivered(queues.arns[2], batch[-1].sequence)
    await queues.batch(8)
    waiting = [HeldMessage(str(room.arn), f"M{n}", text, NOW, b"{}") for n, text in enumerate(ODD)]
    waiting.append(HeldMessage("a", "b", "c", 1, b"", b"1", is_shadowed=True, is_recorded=True))
    await store.held_messages.add(waiting)
    await store.close()
    return directory


async def test_there_and_back(full: Path, any_database: str, tmp_path: Path) -> None:
    """SQLite, PostgreSQL, SQLite: the last is the first, to the numbers; the source stays."""
    before, text = files(full), dump(full)
    there = await to_database(full, any_database)
    assert there.rows > 20
    assert await to_directory(any_database, tmp_path / "back") == there
    assert dump(tmp_path / "back") == text
    assert await read_all(any_database) == there
    assert files(full) == before


async def test_what_the_stores_say(full: Path, database: str) -> None:
    """PostgreSQL answers as SQLite did; and goes on where that ended."""
    sqlite_store = await SqliteStore.open(full)
    pages = await sqlite_store.rooms.page(ACCOUNT, REGION, RoomFilter(), 100)
    backlogs = await sqlite_store.journal.backlogs()
    first, _ = backlogs
    batch = await sqlite_store.journal.batch(first, 1)
    await sqlite_store.close()
    await to_database(full, database)
    store = await PostgresStore.open(database)
    assert await store.rooms.page(ACCOUNT, REGION, RoomFilter(), 100) == pages
    assert await store.journal.backlogs() == backlogs
    assert await store.journal.batch(first, PLENTY) == batch
    assert numbers(batch) == [1, 2]
    for text in ODD:
        assert not await redeem(store, text, NOW, NOW)
        assert await store.secrets.get(text) == text.encode()
    assert (await store.identities.get_user(ACCOUNT, "anna")).tags == {"é": "\0"}
    queues = Queues(store, 1)
    await queues.append(1)
    # Numbers of records that were delivered long ago do not come back: objects are named by them.
    assert (await queues.batch())[0].sequence == 15
    room = await store.rooms.create(a_room(), PLENTY)
    assert room.arn not in {each.arn for each in pages.rooms}
    await store.close()


async def test_a_batch_with_gaps(any_database: str, tmp_path: Path) -> None:
    """Records that were committed late stay in order, behind the batch that they are not in."""
    store = await PostgresStore.open(any_database)
    queues = Queues(store, 2)
    await queues.append(5)
    await queues.append(1, queues.arns[1])
    batch = await queues.batch()
    await queues.append(2)
    await store.close()
    connection = await asyncpg.connect(any_database)
    late = [batch[1].sequence, batch[3].sequence]
    await connection.execute(
        "UPDATE greenroom.journal SET batch = NULL WHERE sequence = ANY ($1)", late
    )
    await connection.close()
    moved = await to_directory(any_database, tmp_path / "back")
    assert await read_all(any_database) == moved
    there = await SqliteStore.open(tmp_path / "back")
    arn = queues.arns[0]
    first = await there.journal.batch(arn, PLENTY)
    assert first == [batch[0], batch[2], batch[4]]
    assert (await there.journal.backlogs())[arn].records == 7
    await there.journal.delivered(arn, first[-1].sequence)
    second = await there.journal.batch(arn, PLENTY)
    assert numbers(second) == [2, 4, 7, 8]
    assert [each.sequence for each in second] == [16, 17, 18, 19]
    await there.close()


async def test_a_queue_that_is_empty(database: str, tmp_path: Path) -> None:
    """PostgreSQL keeps it, SQLite has none: it is not missed."""
    store = await PostgresStore.open(database)
    queues = Queues(store)
    await queues.append(2)
    configuration = a_configuration(arn=queues.arns[0])
    await store.logging_configurations.create(configuration, PLENTY)
    await store.journal.delivered(queues.arns[0], (await queues.batch())[-1].sequence)
    await store.close()
    moved = await to_directory(database, tmp_path / "back")
    assert moved.tables["journal_queues"].rows == 0
    assert moved.numbers == 2
    assert await read_all(database) == moved


async def test_somebody_uses_the_source(
    full: Path, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory with a service, and a database with a node, are refused."""
    store = await SqliteStore.open(full)
    with pytest.raises(StoreInUse, match="in use by process"):
        await to_database(full, database)
    await store.close()
    node = await PostgresStore.open(database)
    await node.check_writable()
    monkeypatch.setattr(postgres, "LOOK_SECONDS", 0.001)
    with pytest.raises(StoreInUse, match=r"in use by nodes on 127\.0\.0\.1: stop all"):
        await to_directory(database, tmp_path / "back")
    with pytest.raises(StoreInUse, match="in use by nodes"):
        await to_database(full, database)
    await node.close()
    monkeypatch.undo()
    await to_directory(database, tmp_path / "again")


async def test_somebody_else_holds_a_table(
    full: Path, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes there by other means is not waited for."""
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.1)
    await to_database(full, database)
    connection = await asyncpg.connect(database)
    async with connection.transaction():
        await connection.execute("DELETE FROM greenroom.rooms WHERE false")
        with pytest.raises(StoreInUse, match="somebody else uses its tables"):
            await to_directory(database, tmp_path / "back")
    await connection.close()


async def test_nothing_is_there(full: Path, database: str, tmp_path: Path) -> None:
    """A directory without a database, and a database without our schema."""
    with pytest.raises(StoreForeign, match=r"holds no greenroom\.db"):
        await to_database(tmp_path / "nowhere", database)
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(StoreForeign, match="holds nothing of Greenroom's"):
        await to_directory(database, tmp_path / "back")


async def test_older_versions(full: Path, database: str, tmp_path: Path) -> None:
    """What an older version has left is brought to this one by a start, not here."""
    await to_database(full, database)
    connection = await asyncpg.connect(database)
    await connection.execute(
        "DELETE FROM greenroom.schema_steps"
        " WHERE number = (SELECT max(number) FROM greenroom.schema_steps)"
    )
    await connection.close()
    with pytest.raises(StoreForeign, match=r"older version \(schema \d, this one's is \d+\)"):
        await to_directory(database, tmp_path / "back")
    with closing(sqlite3.connect(full / "greenroom.db")) as file:
        file.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreForeign, match=r"older version \(schema 1, this one's is \d+\)"):
        await to_database(full, database)


class Forgetful(PostgresSide):
    """Loses a row."""

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        await super().add(table, rows[:-1] if table.name == "rooms" else rows)


class Inventive(SqliteSide):
    """Writes something else."""

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        changed = [(key, *rest, 0) for key, *rest, _ in rows] if table.name == "rooms" else rows
        await super().add(table, changed)


async def test_what_does_not_arrive_is_noticed(
    full: Path, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row too few, or another value: nothing of it is kept, and the line says where."""
    with monkeypatch.context() as forgetting:
        forgetting.setattr(postgres, "PostgresSide", Forgetful)
        with pytest.raises(NotMoved, match="rooms has 4 rows instead of 5; it was not kept"):
            await to_database(full, database)
    assert (await read_all(database)).rows == 0
    await to_database(full, database)
    monkeypatch.setattr(sqlite, "SqliteSide", Inventive)
    with pytest.raises(NotMoved, match="rooms has other values"):
        await to_directory(database, tmp_path / "back")


async def test_numbers_that_are_lost() -> None:
    """The numbers of records count as well."""
    assert "numbers" in Contents({}, 1).difference(Contents({}, 2))


async def test_a_damaged_source(full: Path, database: str) -> None:
    """A page that cannot be read ends it in one line."""
    file = full / "greenroom.db"
    file.write_bytes(file.read_bytes()[:4096] + bytes(len(file.read_bytes()) - 4096))
    with pytest.raises(StoreForeign, match="is damaged"):
        await to_database(full, database)


async def test_a_database_that_goes(full: Path, tmp_path: Path) -> None:
    """One that does not answer is told as at a start."""
    with pytest.raises(StoreUnreachable):
        await to_database(full, "postgresql://nobody@127.0.0.1:1/none")


async def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    """What cannot be written is told by its name."""
    with (
        pytest.raises(StoreUnwritable, match=r"greenroom\.db cannot be written"),
        sqlite.filling(tmp_path / "nowhere"),
    ):
        pytest.fail("there is no such place")
