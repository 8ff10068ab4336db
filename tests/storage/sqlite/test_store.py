"""What the embedded store guarantees beyond the port: files, group commit, a full disk, speed."""

import asyncio
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from greenroom.model.arn import Arn
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.logging_configuration import (
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.model.restriction import Kind, Restriction
from greenroom.model.room import Room, RoomChange, RoomFilter
from greenroom.storage import rules
from greenroom.storage.base import StorageUnavailable, StoreForeign, StoreInUse, StoreUnwritable
from greenroom.storage.regions import Region
from greenroom.storage.rooms import LIST_LIFETIME_MS
from greenroom.storage.sqlite import rooms as sqlite_rooms
from greenroom.storage.sqlite.store import SqliteStore
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


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Give a new store."""
    opened = await SqliteStore.open(tmp_path)
    yield opened
    await opened.close()


async def query(store: SqliteStore, sql: str) -> list[tuple[object, ...]]:
    """Run a statement on the connection that writes and return its rows."""
    return await store._worker.write(lambda connection: connection.execute(sql).fetchall())


async def rooms_of(store: SqliteStore) -> list[Room]:
    """Return the rooms of the account, at most 1,000."""
    return (await store.rooms.page(ACCOUNT, REGION, RoomFilter(), 1_000)).rooms


async def test_reopening_finds_everything(tmp_path: Path) -> None:
    """Whatever was kept is there in the next process, listings and marks included."""
    store = await SqliteStore.open(tmp_path)
    configuration = a_configuration(name="c")
    await store.logging_configurations.create(configuration, PLENTY)
    rooms = [await store.rooms.create(full_room(str(configuration.arn)), 3) for _ in range(3)]
    page = await store.rooms.page(ACCOUNT, REGION, RoomFilter(), 1)
    rooms[0] = await store.rooms.update(rooms[0].arn, RoomChange(name="u"), NOW)
    await store.rooms.delete(rooms[1].arn)
    await store.tags.add(rooms[2].arn, {"t": "1"}, 50)
    await store.logging_configurations.update(
        configuration.arn, LoggingConfigurationChange(), LoggingConfigurationState.UPDATING, NOW
    )
    await redeem(store, "token", NOW, NOW)
    await store.secrets.keep("s", b"first")
    await store.close()

    store = await SqliteStore.open(tmp_path)
    assert await store.rooms.get(rooms[0].arn) == rooms[0]
    with pytest.raises(ResourceNotFoundException):
        await store.rooms.get(rooms[1].arn)
    assert (await store.tags.get(rooms[2].arn))["t"] == "1"
    unfinished = await store.logging_configurations.unfinished()
    assert [each.arn for each in unfinished] == [configuration.arn]
    assert await redeem(store, "token", NOW, NOW) is False
    assert await store.secrets.keep("s", b"second") == b"first"
    assert page.rooms[0].arn == rooms[2].arn
    page = await store.rooms.page(ACCOUNT, REGION, RoomFilter(), 9, page.next)
    assert page.rooms == [rooms[0]]
    await store.rooms.create(a_room(), 3)
    await store.close()


async def test_second_store_of_the_directory_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    """A directory has one store at a time; the first one goes on, and may be followed."""
    with pytest.raises(StoreInUse):
        await SqliteStore.open(tmp_path)
    await store.rooms.create(a_room(), PLENTY)
    await store.close()
    following = await SqliteStore.open(tmp_path)
    assert len(await rooms_of(following)) == 1
    await following.close()


async def test_concurrent_calls_share_commits(store: SqliteStore) -> None:
    """Calls at once are committed in groups: far fewer commits than calls."""
    before = store.statistics
    await asyncio.gather(*(store.rooms.create(a_room(), PLENTY) for _ in range(300)))
    after = store.statistics
    assert after.calls - before.calls == 300
    assert after.commits - before.commits <= 30


async def test_queue_is_bounded(tmp_path: Path) -> None:
    """Calls beyond the bound are refused at once, the others are done."""
    store = await SqliteStore.open(tmp_path, queue_bound=10)
    calls = [store.rooms.create(a_room(), PLENTY) for _ in range(200)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    created = [result for result in results if isinstance(result, Room)]
    refused = [result for result in results if isinstance(result, StorageUnavailable)]
    assert len(created) + len(refused) == 200
    assert len(refused) == store.statistics.refused
    assert len(await rooms_of(store)) == len(created)
    await store.close()


async def test_a_node_of_0_2_0_passes_over_what_says_roles(
    store: SqliteStore, tmp_path: Path
) -> None:
    """What is in force it knows by `latest = 1`: it lists none as a note, and counts none."""
    ban = Restriction(
        account=ACCOUNT, scope=ACCOUNT, user_id="bob", kind=Kind.BAN, by="ann", at=NOW
    )
    roles = msgspec.structs.replace(ban, kind=Kind.NOTE, roles=("vip",))
    for entry in (roles, ban, roles):
        await store.restrictions.add(entry, PLENTY)
    with closing(sqlite3.connect(tmp_path / "greenroom.db")) as old:
        found = old.execute("SELECT kind FROM restrictions WHERE latest = 1").fetchall()
    assert found == [("BAN",)]
    assert [each.kind for each in await store.restrictions.since(ACCOUNT, 0)] == ["BAN", "NOTE"]


async def test_reads_while_another_process_holds_the_lock(
    store: SqliteStore, tmp_path: Path
) -> None:
    """A write that waits for SQLite's lock keeps no read waiting, and is done in the end."""
    room = await store.rooms.create(a_room(name="before"), PLENTY)
    with closing(sqlite3.connect(tmp_path / "greenroom.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(store.rooms.update(room.arn, RoomChange(name="after"), NOW))
        await asyncio.sleep(0)
        assert (await store.rooms.get(room.arn)).name == "before"
        assert await rooms_of(store) == [room]
        assert await store.tags.get(room.arn) == {}
        assert await store.secrets.get("none") is None
        assert (await store.identities.list_users(ACCOUNT, 10)).values == ()
        assert await store.journal.backlogs() == {}
        assert not waiting.done()
        other.execute("ROLLBACK")
    await waiting
    assert (await store.rooms.get(room.arn)).name == "after"


async def test_full_database_refuses_and_recovers(store: SqliteStore) -> None:
    """When the file may not grow, what was answered is kept, the rest refused, until it may."""
    ((pages,),) = await query(store, "PRAGMA page_count")
    await query(store, f"PRAGMA max_page_count = {int(str(pages)) + 20}")
    created: list[Arn] = []
    refused = 0
    while refused < 100:
        calls = [store.rooms.create(full_room(), PLENTY) for _ in range(25)]
        for result in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(result, Room):
                created.append(result.arn)
            else:
                assert isinstance(result, StorageUnavailable)
                refused += 1
    assert {room.arn for room in await rooms_of(store)} == set(created)
    await query(store, f"PRAGMA max_page_count = {PLENTY}")
    await asyncio.gather(*(store.rooms.create(full_room(), PLENTY) for _ in range(25)))
    assert len(await rooms_of(store)) == len(created) + 25


@contextmanager
def full_disk(log: Path) -> Iterator[None]:
    """Let no file of this process grow beyond the present length of the write-ahead log."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_disk_that_fails_at_the_commit(store: SqliteStore, tmp_path: Path) -> None:
    """When the log cannot be written, every writer of the group is refused; then all is well."""
    kept = await asyncio.gather(*(store.rooms.create(full_room(), PLENTY) for _ in range(50)))
    with full_disk(tmp_path / "greenroom.db-wal"):
        calls = [store.rooms.create(full_room(), PLENTY) for _ in range(25)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} == {StorageUnavailable}
        assert len(await rooms_of(store)) == 50
        with pytest.raises(StorageUnavailable):
            await redeem(store, "token", NOW, NOW)
    assert store.statistics.failed_commits > 0
    assert await redeem(store, "token", NOW, NOW) is True
    await store.rooms.create(full_room(), 51)
    await store.close()
    following = await SqliteStore.open(tmp_path)
    assert {room.arn for room in kept} < {room.arn for room in await rooms_of(following)}
    await following.close()


def test_killed_process_keeps_what_it_answered(tmp_path: Path) -> None:
    """Every room whose creation was answered is there after SIGKILL under load."""
    program = f"""
import asyncio, pathlib, sys
from greenroom.storage.sqlite.store import SqliteStore
from tests.stand_ins.values import a_room

async def create(store):
    while True:
        room = await store.rooms.create(a_room(), 10**9)
        sys.stdout.write(f"{{room.arn}}\\n")
        sys.stdout.flush()

async def main():
    store = await SqliteStore.open(pathlib.Path({str(tmp_path)!r}))
    await asyncio.gather(*(create(store) for _ in range(16)))

asyncio.run(main())
"""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(300)]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
    answered = {line.decode().strip() for line in lines if line.endswith(b"\n")}
    assert len(answered) >= 300
    assert answered <= asyncio.run(stored_arns(tmp_path))


async def stored_arns(directory: Path) -> set[str]:
    """Return the ARNs of all rooms in a store that nobody has open."""
    store = await SqliteStore.open(directory)
    found = await query(store, "SELECT arn FROM rooms")
    await store.close()
    return {str(arn) for (arn,) in found}


@pytest.mark.parametrize(
    ("filters", "configuration", "index"),
    [
        (RoomFilter(), None, "rooms_by_change"),
        (RoomFilter(name="a"), None, "rooms_by_name"),
        (RoomFilter(message_review_handler_uri="a"), None, "rooms_by_handler"),
        (RoomFilter(), 1, "PRIMARY KEY"),
    ],
)
async def test_each_listing_walks_one_index(
    store: SqliteStore, filters: RoomFilter, configuration: int | None, index: str
) -> None:
    """A page costs what it holds, however many rooms there are: nothing is scanned or sorted."""

    class Explained:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self.connection = connection

        def execute(self, sql: str, values: tuple[object, ...]) -> sqlite3.Cursor:
            return self.connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)

    def plan(connection: sqlite3.Connection) -> list[str]:
        region = Region(1, 100, NOW, 100)
        explained = Explained(connection)
        rows = sqlite_rooms._standing(explained, region, filters, configuration, 50, 51)  # type: ignore[arg-type]
        return [row[3] for row in rows]

    first, *others = await store._worker.read(plan)
    assert index in first
    assert "sequence<?" in first
    assert len(others) == (configuration is not None)
    assert all("INTEGER PRIMARY KEY" in other for other in others)


async def test_old_positions_are_removed(store: SqliteStore) -> None:
    """Positions that no listing may ask for go as new ones come; a room takes its own with it."""
    rooms = [await store.rooms.create(a_room(), PLENTY) for _ in range(2)]
    for _ in range(10):
        await store.rooms.update(rooms[0].arn, RoomChange(), NOW)
    count = "SELECT count(*) FROM room_positions"
    assert await query(store, count) == [(10,)]
    later = NOW + LIST_LIFETIME_MS + 1
    for expected in (9, 8, 7):
        await store.rooms.update(rooms[1].arn, RoomChange(), later)
        assert await query(store, count) == [(expected,)]
    await store.rooms.delete(rooms[0].arn)
    assert await query(store, count) == [(3,)]


async def test_old_marks_are_removed(store: SqliteStore) -> None:
    """Marks of tokens that expired over an hour ago go as new ones come."""
    total = 3 * rules.PRUNE_EVERY
    await asyncio.gather(*(redeem(store, f"{n}", NOW, NOW) for n in range(total)))
    later = NOW + rules.REDEEMED_KEPT_MS + 1
    await asyncio.gather(*(redeem(store, f"later {n}", later, later) for n in range(total)))
    old = "SELECT count(*) FROM redeemed_tokens WHERE token_id NOT LIKE 'later%'"
    assert await query(store, old) == [(0,)]


async def test_marks_in_a_table_of_the_former_form(store: SqliteStore) -> None:
    """A database made before the first release has another key: it serves as well."""
    columns = "token_id TEXT PRIMARY KEY, expires INTEGER NOT NULL"
    await query(store, "DROP TABLE redeemed_tokens")
    await query(store, f"CREATE TABLE redeemed_tokens ({columns}) WITHOUT ROWID")
    assert [await redeem(store, "one", NOW, NOW) for _ in range(2)] == [True, False]
    later = NOW + rules.REDEEMED_KEPT_MS + 1
    total = 2 * rules.PRUNE_EVERY
    await asyncio.gather(*(redeem(store, f"later {n}", later, later) for n in range(total)))
    old = "SELECT count(*) FROM redeemed_tokens WHERE token_id = 'one'"
    assert await query(store, old) == [(0,)]


async def test_a_look_at_a_store_that_is_open(tmp_path: Path) -> None:
    """Another process reads a secret of it; what is no store, or a newer one, is refused."""
    with pytest.raises(StoreUnwritable, match=r"greenroom\.db cannot be written"):
        await SqliteStore.look(tmp_path, "s")
    store = await SqliteStore.open(tmp_path)
    await store.secrets.keep("s", b"kept")
    assert await SqliteStore.look(tmp_path, "s") == b"kept"
    assert await SqliteStore.look(tmp_path, "other") is None
    (version,) = (await query(store, "PRAGMA user_version"))[0]
    await query(store, f"PRAGMA user_version = {int(str(version)) + 1}")
    with pytest.raises(StoreForeign, match="is of a newer version"):
        await SqliteStore.look(tmp_path, "s")
    await query(store, f"PRAGMA user_version = {version}")
    await query(store, "PRAGMA application_id = 1")
    with pytest.raises(StoreForeign, match="is a database of another application"):
        await SqliteStore.look(tmp_path, "s")
    await store.close()


async def test_a_write_that_changes_nothing(store: SqliteStore, tmp_path: Path) -> None:
    """To see whether the disk takes something, a page goes through the log and to the disk."""
    await store.check_writable()
    log = tmp_path / "greenroom.db-wal"
    before, version = log.stat().st_size, await query(store, "PRAGMA user_version")
    await store.check_writable()
    assert log.stat().st_size > before
    assert await query(store, "PRAGMA user_version") == version
