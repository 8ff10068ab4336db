"""Leases of several nodes on one PostgreSQL: who is stopped, cut off, cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from unittest.mock import Mock

import pytest

from greenroom.storage.base import StorageUnavailable
from greenroom.storage.leases import Lease
from greenroom.storage.postgres import leases
from greenroom.storage.postgres.leases import PostgresLeases
from greenroom.storage.postgres.session import Connection, Waits, connect

SECONDS = 0.8
"""How long a silent holder keeps his leases here."""


@pytest.fixture
async def nodes(database: str) -> AsyncIterator[list[PostgresLeases]]:
    """Give the leases of two nodes."""
    connecting = partial(connect, database, None, Waits())
    made = [PostgresLeases(connecting, SECONDS) for _ in range(2)]
    yield made
    for node in made:
        await node.close()


@asynccontextmanager
async def obtained(node: PostgresLeases, name: str) -> AsyncIterator[Lease]:
    """Give the lease when the node got it: what was given back is free a moment later."""
    async with asyncio.timeout(30):
        while True:
            async with node.lease(name) as lease:
                if lease.held:
                    yield lease
                    return
            await asyncio.sleep(0.02)


async def until_held(node: PostgresLeases, name: str) -> None:
    """Return when the node got the lease, and gave it back."""
    async with obtained(node, name):
        pass


async def test_between_nodes(nodes: list[PostgresLeases]) -> None:
    """What one holds the other does not get, until it is given back."""
    first, second = nodes
    async with first.lease("a") as held, second.lease("a") as refused, second.lease("b") as other:
        assert (held.held, refused.held, other.held) == (True, False, True)
    await until_held(second, "a")


async def test_close(nodes: list[PostgresLeases]) -> None:
    """A node that is closed has lost what it held, and gets nothing any more."""
    first, second = nodes
    async with first.lease("a") as lease:
        await first.close()
        assert lease.lost.is_set()
        assert not lease.held
        await until_held(second, "a")
    with pytest.raises(StorageUnavailable):
        async with first.lease("a"):
            pass


async def test_the_living_keep_theirs(nodes: list[PostgresLeases]) -> None:
    """A holder that only lives has its lease much longer than a silent one."""
    first, second = nodes
    async with first.lease("a") as held:
        await asyncio.sleep(2 * SECONDS)
        assert held.held
        async with second.lease("a") as refused:
            assert not refused.held


async def test_the_silent_lose_theirs(nodes: list[PostgresLeases]) -> None:
    """A holder that stands still knows that it lost its lease before another one has it."""
    first, second = nodes
    async with first.lease("a") as held:
        assert first._session is not None
        assert first._session._keeper is not None
        first._session._keeper.cancel()
        async with asyncio.timeout(30):
            while True:
                async with second.lease("a") as other:
                    if other.held:
                        assert not held.held
                        break
                await asyncio.sleep(0.01)
            await held.lost.wait()
    async with first.lease("b") as another:
        assert another.held


async def test_who_is_cancelled_holds_nothing(nodes: list[PostgresLeases]) -> None:
    """A lease whose answer nobody waited for is free again."""
    first, second = nodes
    async with first.lease("z"):
        pass
    for turns in range(6):

        async def take() -> None:
            async with first.lease("a"):
                await asyncio.sleep(60)

        taking = asyncio.create_task(take())
        for _ in range(turns):
            await asyncio.sleep(0.001)
        taking.cancel()
        await asyncio.wait([taking])
        await until_held(second, "a")


async def test_no_database(nodes: list[PostgresLeases]) -> None:
    """Without a connection there is no lease; all who ask meanwhile share one attempt."""
    attempts = 0

    async def refuse() -> Connection:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(0)
        raise ConnectionRefusedError("as the test says")

    node = PostgresLeases(refuse)

    async def ask() -> None:
        async with node.lease("a"):
            pass

    outcomes = await asyncio.gather(*(ask() for _ in range(5)), return_exceptions=True)
    assert {type(each) for each in outcomes} == {StorageUnavailable}
    assert attempts == 1
    await node.close()


async def test_the_way_to_it_breaks(nodes: list[PostgresLeases]) -> None:
    """A connection that ends takes all leases with it; the next one begins anew."""
    first, _ = nodes
    async with first.lease("a") as one, first.lease("b") as two:
        assert first._session is not None
        first._session._connection.terminate()
        async with asyncio.timeout(10):
            await one.lost.wait()
            await two.lost.wait()
        async with first.lease("a") as again:
            assert again.held
        assert not one.held


async def test_the_way_to_it_breaks_while_asking(nodes: list[PostgresLeases]) -> None:
    """Who asks at that moment is told that there is no answer; the next one gets it."""
    first, _ = nodes
    async with first.lease("a") as held:
        assert first._session is not None
        first._session._connection.terminate()
        first._session.ended = False
        with pytest.raises(StorageUnavailable):
            async with first.lease("b"):
                pass
        assert not held.held
    async with first.lease("b") as lease:
        assert lease.held


async def test_nobody_waits_for_an_attempt_that_fails(nodes: list[PostgresLeases]) -> None:
    """Its error is nobody's then, and the node can be closed meanwhile."""
    going_on = asyncio.Event()

    async def refuse() -> Connection:
        await going_on.wait()
        raise ConnectionRefusedError("as the test says")

    node = PostgresLeases(refuse)

    async def ask() -> None:
        async with node.lease("a"):
            pass

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    closing = asyncio.create_task(node.close())
    await asyncio.sleep(0)
    assert not closing.done()
    going_on.set()
    await closing


async def test_a_lease_ends_here_before_it_ends_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that heard nothing for so long has it no more, though the server may not know yet."""
    now = 100.0
    monkeypatch.setattr(leases, "time", Mock(monotonic=lambda: now))
    session = leases._Session(Mock(), 10.0)
    here = 10.0 * (1 - leases.MARGIN)
    for passed, alive in ((0.0, True), (here - 0.1, True), (here + 0.1, False), (10.0, False)):
        now = 100.0 + passed
        assert session._is_alive() is alive
