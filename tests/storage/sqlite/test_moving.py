"""A directory's database that everything moves from, or to: without another kind of database."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from greenroom.storage.base import StoreForeign, StoreInUse, StoreUnwritable
from greenroom.storage.moving import contents, move
from greenroom.storage.sqlite import moving
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.storage.tables import SECRETS
from tests.stand_ins.hasty_store import hasty_store
from tests.stand_ins.queues import Queues, numbers
from tests.stand_ins.values import PLENTY, a_room


def quietly(name: str, rows: int) -> None:
    """Show nothing."""


@pytest.fixture
async def full(tmp_path: Path) -> Path:
    """Return the directory of a store that holds something."""
    directory = tmp_path / "data"
    store = await hasty_store(directory)
    await store.rooms.create(a_room(name="one"), PLENTY)
    await store.secrets.keep("s", b"secret")
    queues = Queues(store)
    await queues.append(3)
    batch = await queues.batch(8)
    await store.journal.delivered(queues.arns[0], batch[-1].sequence)
    await store.close()
    return directory


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return an empty directory."""
    made = tmp_path / "new"
    made.mkdir()
    return made


async def test_from_a_directory_to_another(full: Path, place: Path) -> None:
    """All is there, a service starts on it, and nothing lies beside it."""
    with moving.reading(full) as source:
        assert source.where == str(full)
        assert source.secret("s") == b"secret"
        assert source.secret("none") is None
        counts = await source.counts()
        assert (counts["rooms"], counts["secrets"], counts["journal"]) == (1, 1, 1)
        with moving.filling(place) as target:
            moved = await move(source, target, quietly)
        assert await contents(source, quietly) == moved
    assert [each.name for each in await asyncio.to_thread(lambda: [*place.iterdir()])] == (
        ["greenroom.db"]
    )
    with moving.reading(place) as again:
        assert await contents(again, quietly) == moved
        assert (moved.numbers, await again.numbers()) == (3, 3)
    store = await SqliteStore.open(place)
    queues = Queues(store)
    (queues.arns,) = [tuple(await store.journal.backlogs())]
    assert numbers(await queues.batch()) == [3]
    await queues.append(1)
    assert (await queues.batch())[0].sequence == 3
    await store.close()


async def fill_up(target: moving.SqliteSide) -> None:
    """Write more than fits."""
    (pages,) = target._connection.execute("PRAGMA page_count").fetchone()
    target._connection.execute(f"PRAGMA max_page_count = {pages}")
    await target.add(SECRETS, [("large", bytes(100_000))])


async def test_what_cannot_be_written(place: Path) -> None:
    """Each is one line that names the file and the reason."""
    path = rf"{place}/greenroom\.db cannot"
    with (
        pytest.raises(StoreUnwritable, match=rf"{path} keep a text that is half a character$"),
        moving.filling(place) as target,
    ):
        await target.add(SECRETS, [("\ud800", b"")])
    with (
        pytest.raises(StoreUnwritable, match=rf"{path} be written, the disk is full$"),
        moving.filling(place) as target,
    ):
        await fill_up(target)
    with (
        pytest.raises(StoreUnwritable, match=rf"{path} be written \(no such table: none\)$"),
        moving.filling(place) as target,
    ):
        target._connection.execute("SELECT * FROM none")


def test_what_is_not_whole_is_refused(place: Path) -> None:
    """What was filled is read before it is taken for a store."""
    with pytest.raises(StoreForeign, match="is damaged"), moving.filling(place) as target:
        target._connection.execute("INSERT INTO attachments VALUES (7, 1, 9)")


async def test_what_is_not_read(full: Path, place: Path) -> None:
    """What is not there, what is in use, and what an older version has made."""
    with pytest.raises(StoreForeign, match="is it the right directory"), moving.reading(place):
        pytest.fail("there is none")
    store = await SqliteStore.open(full)
    with pytest.raises(StoreInUse), moving.reading(full):
        pytest.fail("it is in use")
    await store.close()
    with closing(sqlite3.connect(full / "greenroom.db")) as connection:
        connection.execute("PRAGMA user_version = 3")
    with pytest.raises(StoreForeign, match=r"older version \(schema 3, "), moving.reading(full):
        pytest.fail("it is older")


async def test_what_cannot_be_read_to_its_end(full: Path) -> None:
    """It is one line with the file and the reason."""
    with (
        pytest.raises(StoreUnwritable, match=r"greenroom\.db cannot be read \(no such table: none"),
        moving.reading(full) as source,
    ):
        source._connection.execute("SELECT * FROM none")
