"""Leases of several nodes on one PostgreSQL: who is stopped, cut off, cancelled."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from unittest.mock import AsyncMock, Mock

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
    assert first._session is not None
    assert first._session._wake.is_set(), "not with the next sign of life"
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
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

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
    del asking, closing
    gc.collect()
    assert faults == []


async def test_a_lease_ends_here_before_it_ends_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that heard nothing for so long has it no more, though the server may not know yet."""
    now = 100.0
    monkeypatch.setattr(leases, "time", Mock(monotonic=lambda: now))
    session = leases._Session(Mock(), 10.0)
    here = 10.0 * (1 - leases.MARGIN)
    for passed, alive in ((0.0, True), (here - 0.1, True), (here + 0.1, False), (10.0, False)):
        now = 100.0 + passed
        assert session._is_alive() is alive


# ------------------------------------------------------------------ step by step, without a server


class Wire:
    """In place of a connection: notes what is asked, and answers what the test says."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.answers: dict[str, Any] = {"SELECT pg_try_advisory_lock($1)": True}
        self.terminated = 0
        self.closed: list[float] = []
        self.on_end: Any = None

    def add_termination_listener(self, listener: Any) -> None:
        self.on_end = listener

    async def fetchval(self, statement: str, *arguments: object) -> object:
        self.asked.append((statement.partition("(")[0].removeprefix("SELECT "), *arguments))
        await asyncio.sleep(0)
        answer = self.answers.get(statement)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - asyncpg calls it so
        self.closed.append(timeout)

    def terminate(self) -> None:
        self.terminated += 1


async def session_over(wire: Wire, seconds: float = 60.0) -> leases._Session:
    """Return a session over such a connection."""
    connection: Any = wire
    return await leases._Session.begin(connection, seconds)


async def test_a_session_that_cannot_begin_is_ended() -> None:
    """The server would keep it for nobody."""
    wire = Wire()
    wire.answers["SELECT set_config('idle_session_timeout', $1, false)"] = TimeoutError()
    with pytest.raises(TimeoutError):
        await session_over(wire)
    assert wire.terminated == 1


async def test_what_a_session_asks() -> None:
    """How long it may be silent; then for locks, and its own it asks for once."""
    wire = Wire()
    session = await session_over(wire, 10.0)
    lease = await session.take(7)
    again = await session.take(7)
    assert (lease.held, again.held) == (True, False)
    session.give_back(7, again)
    assert session._held == {7: lease}
    wire.answers["SELECT pg_try_advisory_lock($1)"] = False
    assert not (await session.take(8)).held
    session.give_back(7, lease)
    while len(wire.asked) < 5:  # noqa: ASYNC110 - each turn of the loop counts
        await asyncio.sleep(0)
    assert wire.asked == [
        ("set_config", "10000ms"),
        ("pg_try_advisory_lock", 7),
        ("pg_try_advisory_lock", 8),
        ("pg_advisory_unlock", 7),
        ("1",),
    ]
    for _ in range(9):
        await asyncio.sleep(0)
    assert len(wire.asked) == 5, "until the next sign of life"
    await session.close()
    assert (wire.closed, wire.terminated, session._given_back) == ([1], 1, set())


async def test_whoever_gives_signs_of_life_ends_with_the_session() -> None:
    """At once: for a dead session no sign is given."""
    session = await session_over(Wire())
    await asyncio.sleep(0)
    session.end()
    for _ in range(9):
        await asyncio.sleep(0)
    assert session._keeper is not None
    assert session._keeper.done()


async def test_nothing_is_asked_of_a_connection_that_is_being_closed() -> None:
    """Whoever gives signs of life has ended before."""
    wire: Any = Wire()
    session = await session_over(wire)
    keeper, ended = session._keeper, list[bool]()
    assert keeper is not None
    await asyncio.sleep(0)
    wire.close = AsyncMock(side_effect=lambda timeout: ended.append(keeper.done()))
    await session.close()
    assert ended == [True]


async def test_an_answer_that_is_lost_is_given_back() -> None:
    """The lock may be held there: it is given back before the next one is asked for."""
    wire = Wire()
    session = await session_over(wire)
    wire.answers["SELECT pg_try_advisory_lock($1)"] = asyncio.CancelledError()
    cancelled: Any = wire
    cancelled.fetchval = AsyncMock(side_effect=asyncio.CancelledError)
    with pytest.raises(asyncio.CancelledError):
        await session.take(7)
    assert session._given_back == {7}
    del cancelled.fetchval
    wire.answers["SELECT pg_try_advisory_lock($1)"] = True
    assert (await session.take(8)).held
    assert wire.asked[-2:] == [("pg_advisory_unlock", 7), ("pg_try_advisory_lock", 8)]
    await session.close()


async def test_a_session_that_ends_while_it_is_asked_holds_nothing() -> None:
    """Nor is what it held before; that is told once."""
    wire = Wire()
    session = await session_over(wire)
    before = await session.take(7)
    taking = asyncio.create_task(session.take(8))
    await asyncio.sleep(0)
    wire.on_end(wire)
    wire.on_end(wire)
    assert not (await taking).held
    assert before.lost.is_set()
    assert (session._held, wire.terminated) == ({}, 1)
    await session.close()


async def test_a_sign_of_life_is_given_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """So often that the server never waits for one; without an answer all leases are over."""
    waits: list[float | None] = []
    timeout = asyncio.timeout

    def hasty(seconds: float | None) -> asyncio.Timeout:
        waits.append(seconds)
        return timeout(0 if seconds == 5.0 else seconds)

    monkeypatch.setattr(asyncio, "timeout", hasty)
    wire = Wire()
    session = await session_over(wire, 20.0)
    lease = await session.take(7)
    while ("1",) not in wire.asked:  # noqa: ASYNC110 - each turn of the loop counts
        await asyncio.sleep(0)
    assert set(waits) == {20.0 / leases.SIGNS}
    assert lease.held
    wire.answers["SELECT 1"] = ConnectionResetError()
    async with timeout(20):
        await lease.lost.wait()
    assert session.ended
    await session.close()


def test_what_was_heard_counts_from_when_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server counts from later."""
    now = 100.0
    monkeypatch.setattr(leases, "time", Mock(monotonic=lambda: now))
    connection: Any = Mock()

    async def ask() -> leases._Session:
        nonlocal now
        session = leases._Session(connection, 10.0)

        async def answered(*_: object) -> int:
            nonlocal now
            now += 9.0
            return 1

        connection.fetchval = answered
        now = 200.0
        await session._ask("SELECT 1")
        return session

    session = asyncio.run(ask())
    assert session._heard == 200.0
    assert session._is_alive()
    now += 0.5
    assert not session._is_alive()
