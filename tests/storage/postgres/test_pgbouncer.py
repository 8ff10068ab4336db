"""A real pgbouncer between a node and PostgreSQL: what works, and what is refused by name."""

from collections.abc import Iterator

import pytest

from greenroom.storage.base import StoreForeign
from greenroom.storage.postgres.store import PostgresStore
from scripts.servers.pgbouncer import PgBouncer, is_here
from tests.stand_ins.values import a_room


@pytest.fixture
def pooler(request: pytest.FixtureRequest, database: str) -> Iterator[PgBouncer]:
    """Give a pgbouncer in a mode before a new database."""
    if not is_here():
        pytest.skip("needs Debian's pgbouncer unpacked: scripts/pgbouncer")
    made = PgBouncer(database, request.param)
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.mark.parametrize("pooler", ["transaction", "statement"], indirect=True)
async def test_connections_that_are_lent(pooler: PgBouncer) -> None:
    """A start is refused: leases and prepared statements are a connection's. No schema is made."""
    with pytest.raises(StoreForeign, match="set pool_mode to session"):
        await PostgresStore.open(pooler.url)


@pytest.mark.parametrize("pooler", ["session"], indirect=True)
async def test_a_connection_for_each_session(pooler: PgBouncer) -> None:
    """All works: rows, and leases, which are a session's."""
    store = await PostgresStore.open(pooler.url)
    try:
        room = await store.rooms.create(a_room(), 0)
        assert await store.rooms.get(room.arn) == room
        async with store.journal.lease("one") as held, store.journal.lease("one") as refused:
            assert (held.held, refused.held) == (True, False)
    finally:
        await store.close()
