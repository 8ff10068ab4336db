"""Texts that PostgreSQL cannot keep as they are, and what holds on each connection."""

import asyncio

import pytest
from asyncpg.connect_utils import SessionAttribute
from hypothesis import given
from hypothesis import strategies as st

from greenroom.storage.postgres.session import (
    ReadOnlyServer,
    Waits,
    _wanted_server,
    connect,
    escaped,
    unescaped,
)
from scripts.servers.postgresql import PostgreSQL

TEXTS = [
    "",
    "plain",
    "\0",
    "a\0b",
    "\x01",
    "\x01\x01\0\x02",
    "\ud800",
    "\udfff\0",
    "é😀\ue000",
    "\\x01",
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
async def test_every_text_comes_back(database: str, text: str) -> None:
    """What Python calls a text is kept and returned as it was; in an array, when it is escaped."""
    assert unescaped(escaped(text)) == text
    connection = await connect(database, None, Waits())
    assert await connection.fetchval("SELECT $1::text", text) == text
    assert await connection.fetchval("SELECT $1 = ANY ($2::text[])", text, [escaped(text)])
    await connection.close()


@given(
    st.text(st.characters(exclude_categories=())) | st.text(["\0", "\x01", "\x02", "\ud800", "a"])
)
def test_every_text_can_be_kept(text: str) -> None:
    """What is written has nothing that PostgreSQL does not keep, and is read as it was."""
    written = escaped(text)
    assert "\0" not in written
    assert written.encode().decode() == written
    assert unescaped(written) == text


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgresql://a/rooms", None),
        ("postgresql://a,b/rooms", SessionAttribute.primary),
        ("postgresql://a,b/rooms?target_session_attrs=any", None),
        ("postgresql://a/rooms?host=b,c", None),
    ],
)
def test_which_of_several_servers(url: str, wanted: SessionAttribute | None) -> None:
    """The one that takes writes, unless the URL says which."""
    assert _wanted_server(url) is wanted


def test_ordinary_texts_are_kept_as_they_are() -> None:
    """Who looks into the tables reads what was written."""
    assert escaped("a tag, \\ 😀 \x02") == "a tag, \\ 😀 \x02"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\0", "\x01\x01"),
        ("\x01", "\x01\x02"),
        ("\ud800", "\x01\ue000"),
        ("a\udfffb", "a\x01\ue7ffb"),
    ],
)
def test_what_is_kept_of_what_cannot_be(text: str, kept: str) -> None:
    """It is in databases: later versions have to read it."""
    assert escaped(text) == kept
    assert unescaped(kept) == text


def test_no_two_texts_are_kept_alike() -> None:
    """Different texts stay different, and NUL sorts before all else."""
    assert len({escaped(text) for text in TEXTS}) == len(TEXTS)
    assert sorted(["b", "\x01", "\0", "\x02"], key=escaped) == ["\0", "\x01", "\x02", "b"]


async def test_what_holds_on_a_connection(database: str, postgresql_newest: PostgreSQL) -> None:
    """Whatever the database's own settings, commits wait for the disk, and nobody waits long."""
    name = database.rpartition("/")[2]
    for setting in ("synchronous_commit = off", "search_path = public", "lock_timeout = 0"):
        postgresql_newest.sql(f"ALTER DATABASE {name} SET {setting}")
    connection = await connect(database, None, Waits(statement=1.5))
    shown = [
        await connection.fetchval(f"SHOW {setting}")
        for setting in (
            *("synchronous_commit", "search_path", "lock_timeout", "statement_timeout"),
            "idle_in_transaction_session_timeout",
        )
    ]
    await connection.close()
    assert shown == ["on", "greenroom", "2s", "3s", "4s"]


async def test_a_stronger_durability_stays(database: str, postgresql_newest: PostgreSQL) -> None:
    """Who waits for more than the disk goes on to."""
    name = database.rpartition("/")[2]
    postgresql_newest.sql(f"ALTER DATABASE {name} SET synchronous_commit = remote_apply")
    connection = await connect(database, None, Waits())
    assert await connection.fetchval("SHOW synchronous_commit") == "remote_apply"
    await connection.close()


async def test_a_server_that_takes_no_writes(database: str, postgresql_newest: PostgreSQL) -> None:
    """It is refused, and no connection stays there."""
    name = database.rpartition("/")[2]
    postgresql_newest.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(ReadOnlyServer):
        await connect(database, None, Waits())
    postgresql_newest.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    connection = await connect(database, None, Waits())
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    async with asyncio.timeout(5):
        while await connection.fetchval(others) > 1:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
    await connection.close()


async def test_of_several_servers_the_one_that_writes_is_taken(database: str) -> None:
    """A URL with several servers leads to one that answers and is no replica."""
    server = database.partition("@")[2].partition("/")[0]
    connection = await connect(database.replace(server, f"127.0.0.1:1,{server}"), None, Waits())
    assert not await connection.fetchval("SELECT pg_is_in_recovery()")
    await connection.close()
