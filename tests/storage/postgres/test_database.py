"""Calls under way: in which order, how long they wait, and what they become when something dies.

Covers: greenroom.storage.postgres.failures, greenroom.storage.postgres.store
"""

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock, call
from urllib.parse import urlsplit

import asyncpg
import pytest
from structlog.testing import capture_logs

from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.room import Room, RoomChange, RoomFilter
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.postgres import commit
from greenroom.storage.postgres import database as module
from greenroom.storage.postgres.database import LEAST_RUNS, Bounds, Database, _is_repeated
from greenroom.storage.postgres.failures import Meaning, reason
from greenroom.storage.postgres.outage import LOOK_SECONDS
from greenroom.storage.postgres.session import Connection, Waits
from greenroom.storage.postgres.store import PostgresStore
from scripts.servers.postgresql import PostgreSQL, postgresql
from tests.running.servers import END_SESSIONS, HASTY
from tests.stand_ins.redeeming import redeem
from tests.stand_ins.values import ACCOUNT, NOW, PLENTY, REGION, a_room, room_arn
from tests.storage.postgres.conftest import Open, impatient

HELD = "BEGIN; SELECT * FROM greenroom.regions FOR UPDATE"


@pytest.mark.parametrize(
    ("meaning", "runs", "late", "again"),
    [
        (Meaning.LOST, 1, False, True),
        (Meaning.LOST, 1, True, False),
        (Meaning.CONFLICT, 1, False, True),
        (Meaning.CONFLICT, LEAST_RUNS - 1, True, True),
        (Meaning.CONFLICT, LEAST_RUNS, True, False),
        (Meaning.CONFLICT, LEAST_RUNS, False, True),
        (Meaning.FAULT, 1, False, False),
    ],
)
def test_what_is_run_again(meaning: Meaning, runs: int, late: bool, again: bool) -> None:
    """What another try may help, as long as there is time; what was in the way, some times."""
    assert _is_repeated(meaning, runs, late=late) is again


async def test_writes_are_made_in_the_order_of_their_calls(a_node: Open) -> None:
    """Of changes of one room that nobody waits for in between, the last one stays."""
    store = await a_node()
    room = await store.rooms.create(a_room(), PLENTY)
    calls = [
        store.rooms.update(room.arn, RoomChange(maximum_message_length=length), NOW)
        for length in range(1, 31)
    ]
    changed = await asyncio.gather(*calls)
    assert [each.maximum_message_length for each in changed] == list(range(1, 31))
    assert (await store.rooms.get(room.arn)).maximum_message_length == 30


async def test_the_first_of_two_uses_is_the_first_call(a_node: Open) -> None:
    """Of uses of one token that nobody waits for in between, the first call's is the first."""
    store = await a_node()
    assert await asyncio.gather(*(redeem(store, "t", NOW, NOW) for _ in range(20))) == [
        True,
        *[False] * 19,
    ]


async def test_accounts_do_not_wait_for_each_other(a_node: Open, database: str) -> None:
    """While another client holds an account's region, others change theirs; its calls end, too."""
    store = await PostgresStore.open(database, bounds=impatient())
    room = await store.rooms.create(a_room(), PLENTY)
    holder = await asyncpg.connect(database)
    await holder.execute(HELD)
    waiting = asyncio.ensure_future(store.rooms.delete(room.arn))
    await asyncio.sleep(0)
    await store.rooms.create(a_room(arn=room_arn("000000000001")), PLENTY)
    queued = asyncio.ensure_future(store.tags.add(room.arn, {"a": "1"}, 50))
    with pytest.raises(StorageUnavailable):
        await queued
    await holder.execute("ROLLBACK")
    await waiting
    with pytest.raises(ResourceNotFoundException):
        await store.rooms.get(room.arn)
    await holder.close()
    await store.close()


async def test_one_call_too_many_is_refused(database: str) -> None:
    """More calls than may wait are refused at once, tokens as well as others, and counted."""
    store = await PostgresStore.open(database, bounds=impatient(calls=5))
    results = await asyncio.gather(
        *(store.rooms.get(room_arn()) for _ in range(7)), return_exceptions=True
    )
    assert [type(each) for each in results[5:]] == [StorageUnavailable] * 2
    assert all(isinstance(each, ResourceNotFoundException) for each in results[:5])
    assert (store.statistics.refused, store.statistics.waiting) == (2, 0)
    await store.close()


async def test_too_many_tokens_are_refused(a_node: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the statement that is under way is bounded."""
    monkeypatch.setattr("greenroom.storage.postgres.token_uses.BATCH_BOUND", 3)
    store = await a_node()
    calls = [store.token_uses.redeem([(f"{n} a", NOW), (f"{n} b", NOW)], NOW) for n in range(3)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(each, StorageUnavailable) for each in results] == [False, True, True]
    assert results[0] == [True, True]
    assert store.statistics.refused == 2


async def test_ended_sessions_lose_and_double_nothing(database: str) -> None:
    """While the server ends sessions at random moments, each room is created exactly once."""
    store = await PostgresStore.open(database, bounds=Bounds(seconds=30))
    ending = asyncio.create_task(_end_again_and_again(database))
    rooms: list[Room] = []
    for _ in range(20):
        rooms += await asyncio.gather(*(store.rooms.create(a_room(), PLENTY) for _ in range(3)))
        tokens = [(f"token {len(rooms)} {number}", NOW) for number in range(5)]
        assert all(await store.token_uses.redeem(tokens, NOW))
    ending.cancel()
    await asyncio.wait((ending,))
    page = await store.rooms.page(ACCOUNT, REGION, RoomFilter(), 200)
    assert sorted(each.arn for each in page.rooms) == sorted(each.arn for each in rooms)
    assert store.statistics.failed_commits == 0
    await store.close()


async def _end_again_and_again(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        while True:
            await connection.execute(END_SESSIONS)
            await asyncio.sleep(random.uniform(0.02, 0.2))
    finally:
        connection.terminate()


async def test_a_server_that_is_killed_and_comes_back() -> None:
    """Calls wait for a server that starts again, and do what they would have done."""
    with postgresql(settings=HASTY) as server:
        url = server.create_database("killed")
        store = await PostgresStore.open(url, bounds=Bounds(seconds=30))
        room = await store.rooms.create(a_room(), PLENTY)
        server.kill()
        creating = asyncio.ensure_future(store.rooms.create(a_room(), PLENTY))
        reading = asyncio.ensure_future(store.rooms.get(room.arn))
        using = asyncio.ensure_future(redeem(store, "t", NOW, NOW))
        await asyncio.to_thread(server.start)
        assert (await creating).arn != room.arn
        assert await reading == room
        assert await using
        await store.close()


async def test_a_server_that_stays_away() -> None:
    """After the first moments calls fail at once, which is said once, and all heals unasked."""
    with postgresql(settings=HASTY) as server:
        store = await PostgresStore.open(server.create_database("away"), bounds=impatient())
        room = await store.rooms.create(a_room(), PLENTY)
        server.kill()
        with capture_logs() as lines:
            with pytest.raises(StorageUnavailable):
                await store.rooms.get(room.arn)
            began = time.monotonic()
            for _ in range(20):
                with pytest.raises(StorageUnavailable) as refused:
                    await store.rooms.get(room.arn)
                assert str(refused.value) == "The store cannot answer now"
            # One of them may have looked, and one more for each time that passed.
            looked = 1 + int((time.monotonic() - began) / LOOK_SECONDS)
            assert store.statistics.calls <= 3 + looked
            await asyncio.to_thread(server.start)
            await asyncio.sleep(LOOK_SECONDS)
            assert await store.rooms.get(room.arn) == room
        assert [line["event"] for line in lines] == [
            "store cannot answer",
            "store answers again",
        ]
        await store.close()


async def test_who_asked_a_server_that_is_away_and_left() -> None:
    """What a call comes to whose caller went away is no fault of anybody."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    with postgresql(settings=HASTY) as server:
        store = await PostgresStore.open(server.create_database("left"), bounds=impatient())
        server.kill()
        for call in (store.rooms.create(a_room(), PLENTY), store.rooms.get(a_room().arn)):
            await _left(call)
        # Ends when both have come to nothing.
        await store.close()
    gc.collect()
    assert faults == []


async def _left(call: Coroutine[object, object, object]) -> None:
    """Make a call, and leave before it has an outcome."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_server_that_stands_still() -> None:
    """A server that answers nothing makes no call wait for ever; what is undecided stays right."""
    with postgresql(settings=HASTY) as server:
        url = server.create_database("still")
        bounds = Bounds(seconds=1, waits=Waits(connect=0.4, statement=0.4))
        store = await PostgresStore.open(url, bounds=bounds)
        await store.check_writable()
        server.pause()
        with pytest.raises(StorageUnavailable):
            await store.rooms.create(a_room(), PLENTY)
        server.resume()
        await asyncio.sleep(0.6)
        room = await store.rooms.create(a_room(), PLENTY)
        page = await store.rooms.page(ACCOUNT, REGION, RoomFilter(), 50)
        assert [each.arn for each in page.rooms] == [room.arn]
        await store.close()


async def test_a_call_whose_caller_went_away_is_whole(a_node: Open) -> None:
    """A cancelled call is done whole or not at all, and connections stay good."""
    store = await a_node()
    room = await store.rooms.create(a_room(), PLENTY)
    for pause in (0, 0.0005, 0.001, 0.002, 0.004):
        task = asyncio.ensure_future(store.tags.add(room.arn, {"a": str(pause)}, 50))
        await asyncio.sleep(pause)
        task.cancel()
    await store.tags.add(room.arn, {"b": "2"}, 50)
    assert await store.tags.get(room.arn) == {"a": "0.004", "b": "2"}
    assert store.statistics.repeated == 0


async def test_statistics(a_node: Open) -> None:
    """What was asked, kept and repeated is counted."""
    store = await a_node()
    await store.check_writable()
    with pytest.raises(ResourceNotFoundException):
        await store.rooms.get(room_arn())
    found = store.statistics
    assert (found.calls, found.commits, found.failed_commits, found.repeated) == (2, 1, 0, 0)


async def test_a_right_that_is_taken_away(
    a_node: Open, database: str, postgresql_newest: PostgreSQL
) -> None:
    """What trying again cannot cure fails at once, while the rest goes on; it heals when it can."""
    store = await a_node()
    room = await store.rooms.create(a_room(), PLENTY)
    owner, name = urlsplit(database).username, database.rpartition("/")[2]
    postgresql_newest.sql(f"REVOKE INSERT ON greenroom.rooms FROM {owner}", name)
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await store.rooms.create(a_room(), PLENTY)
        assert await store.rooms.get(room.arn) == room
        assert store.statistics.repeated == 0
        postgresql_newest.sql(f"GRANT INSERT ON greenroom.rooms TO {owner}", name)
        await store.rooms.create(a_room(), PLENTY)
    assert [(line["event"], line["calls"]) for line in lines] == [
        ("store cannot answer", "writes"),
        ("store answers again", "writes"),
    ]


async def test_conflicts_without_end(database: str) -> None:
    """A call that is always in another one's way ends, too."""
    shared = Database(database, None, impatient())

    async def conflict(connection: Connection) -> None:
        raise asyncpg.SerializationError("could not serialize access")

    with pytest.raises(StorageUnavailable):
        await shared.serialize("lane", conflict)
    assert shared.statistics.repeated >= LEAST_RUNS - 1
    await shared.close()


@pytest.mark.parametrize("conflicts", [LEAST_RUNS - 1, LEAST_RUNS])
async def test_a_long_call_among_others(a_node: Open, database: str, conflicts: int) -> None:
    """One that takes longer than calls wait is run some times for all that."""
    await a_node()
    shared = Database(database, None, Bounds(seconds=0.001))
    runs = 0

    async def change(connection: Connection) -> int:
        nonlocal runs
        runs += 1
        if runs <= conflicts:
            raise asyncpg.SerializationError("could not serialize access")
        return runs

    if conflicts < LEAST_RUNS:
        assert await shared.serialize("lane", change) == LEAST_RUNS
    else:
        with pytest.raises(StorageUnavailable):
            await shared.serialize("lane", change)
    assert runs == LEAST_RUNS
    await shared.close()


def test_no_value_is_in_a_reason() -> None:
    """What PostgreSQL says of a value that it cannot take is not for the log."""
    assert reason(asyncpg.DataError("invalid input: 'a secret'")) == "DataError"
    assert reason(asyncpg.DiskFullError("no space\nmore")) == "DiskFullError: no space"
    assert reason(TimeoutError()) == "TimeoutError: no answer in time"


# ------------------------------------------------------------------ step by step, without a server


class Lending:
    """In place of a pool: lends what is no connection, and notes how long one may be waited for."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.executed: list[tuple[object, ...]] = []

    @asynccontextmanager
    async def connection(self, seconds: float) -> AsyncIterator[object]:
        """Lend it at once."""
        self.waits.append(seconds)
        yield self

    async def execute(self, *statement: object) -> None:
        """Note what is executed."""
        self.executed.append(statement)

    async def close(self) -> None:
        """Do nothing: there is none."""


class Conflicting:
    """A call that other ones are in the way of so many times; then it returns how often it ran."""

    def __init__(self, times: int, error: Exception) -> None:
        self.runs = 0
        self._times = times
        self._error = error

    async def attempt(self, _connection: Connection) -> int:
        self.runs += 1
        if self.runs <= self._times:
            raise self._error
        return self.runs


def lending(seconds: float = 60) -> tuple[Database, Lending]:
    """Return a database whose calls are under way at once, and what they are lent by."""
    made, pool = Database("", None, Bounds(seconds=seconds)), Lending()
    stand_in: Any = pool
    made._pool = stand_in
    return made, pool


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Give between what each pause was drawn, none of which takes any time."""
    drawn: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        drawn.append((least, most))
        return 0.0

    monkeypatch.setattr(module, "random", type("Chance", (), {"uniform": staticmethod(uniform)}))
    return drawn


async def test_each_pause_is_twice_as_long(pauses: list[tuple[float, float]]) -> None:
    """Up to a bound, and half of it left to chance; each run may take what is left of the time."""
    shared, pool = lending()
    call = Conflicting(6, asyncpg.SerializationError(""))
    assert await shared.begin("lane", call.attempt) == 7
    longest = [0.02, 0.04, 0.08, 0.16, 0.25, 0.25]
    assert pauses == [(each / 2, each) for each in longest]
    assert all(40 < each <= 60 for each in pool.waits)
    found = shared.statistics
    assert (found.calls, found.commits, found.failed_commits, found.repeated) == (1, 1, 0, 6)


async def test_no_pause_outlasts_the_call(
    pauses: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the next run would begin too late, the call ends now, and is counted."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 20)
    shared, _ = lending(seconds=10)
    call = Conflicting(1, ConnectionResetError())
    with pytest.raises(StorageUnavailable):
        await shared.begin("lane", call.attempt)
    assert (call.runs, pauses) == (1, [])
    found = shared.statistics
    assert (found.commits, found.failed_commits, found.repeated) == (0, 1, 0)


async def test_numbers_of_commits_are_swept_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many of them; nobody waits for it."""
    monkeypatch.setattr(module, "PRUNE_EVERY", 3)
    shared, _ = lending()
    swept: list[tuple[int, str]] = []
    monkeypatch.setattr(
        shared, "aside", lambda statement: swept.append((shared.statistics.commits, statement))
    )
    for _ in range(7):
        await shared.begin("lane", Conflicting(0, LookupError()).attempt)
    assert swept == [(3, commit.SWEEP), (6, commit.SWEEP)]


async def test_what_is_read_of_one_state() -> None:
    """All statements of a snapshot are of one transaction; other reads need none."""
    shared, pool = lending()

    async def look(_connection: Connection, number: int) -> int:
        await pool.execute("LOOK", number)
        return number + 1

    assert await shared.read(look, 1) == 2
    assert pool.executed == [("LOOK", 1)]
    pool.executed.clear()
    assert await shared.snapshot(look, 2) == 3
    begin, looked, end = pool.executed
    assert begin == ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",)
    assert (looked, end) == (("LOOK", 2), ("COMMIT",))
    found = shared.statistics
    assert (found.calls, found.commits) == (2, 0)


@pytest.mark.parametrize(
    ("kind", "begin"), [("write", commit.READ_COMMITTED), ("serialize", commit.SERIALIZABLE)]
)
async def test_what_is_written_is_a_transaction(kind: str, begin: str) -> None:
    """Of the kind that was asked for, with a number of its own, and counted."""
    shared, pool = lending()

    async def change(_connection: Connection, *, by: int) -> int:
        await pool.execute("CHANGE", by)
        return by

    assert await getattr(shared, kind)("lane", change, by=7) == 7
    assert [each[0] for each in pool.executed] == [begin, "CHANGE", commit._MARK, "COMMIT"]
    assert shared.statistics.commits == 1


async def test_what_nobody_waits_for() -> None:
    """It is done beside all else, or left where that is not possible, and nobody hears of it."""
    shared, pool = lending()
    shared.aside("DELETE", 1, 2)
    assert shared.statistics.waiting == 1
    await shared.close()
    assert pool.executed == [("DELETE", 1, 2)]
    with pytest.raises(StorageUnavailable):
        shared.check_open()
    shared.aside("DELETE", 3)
    assert (len(pool.executed), shared.statistics.commits) == (1, 0)


async def test_who_left_leaves_no_error_behind() -> None:
    """What the call came to is no fault of anybody: the outage has said it."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    shared, _ = lending()
    task = shared.begin("lane", Conflicting(1, asyncpg.UndefinedTableError("")).attempt)
    cancelled = shared.begin("lane", Conflicting(0, LookupError()).attempt)
    cancelled.cancel()
    await asyncio.wait([task, cancelled])
    del task, cancelled
    gc.collect()
    assert faults == []
    await shared.close()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, ["answered"]),
        (LookupError(), ["answered"]),
        (asyncpg.SerializationError(""), ["reached"]),
        (asyncpg.UndefinedTableError(""), ["reached"]),
        (ConnectionResetError(), ["lost"]),
        (TimeoutError(), ["lost"]),
    ],
)
async def test_what_a_call_says_of_the_database(error: Exception | None, told: list[str]) -> None:
    """That it is away, that it is there, or that it does what it is asked."""
    shared, pool = lending()
    outage: Any = Mock()

    async def attempt(_connection: Connection) -> int:
        if error is not None:
            raise error
        return 7

    if error is None:
        assert await shared._run(attempt, outage, 5) == 7
    else:
        with pytest.raises(type(error)):
            await shared._run(attempt, outage, 5)
    assert [name for name, *_ in outage.mock_calls] == told
    assert told != ["lost"] or outage.lost.mock_calls == [call(error)]
    assert pool.waits == [5]


async def test_who_waits_too_long_for_its_turn() -> None:
    """It is told so, and is never run; the one before it goes on."""
    shared, _ = lending(seconds=0.02)
    going_on = asyncio.Event()

    async def slow(_connection: Connection) -> int:
        await going_on.wait()
        return 1

    first, second = shared.begin("lane", slow), Conflicting(0, LookupError())
    with pytest.raises(StorageUnavailable):
        await shared.begin("lane", second.attempt)
    assert (second.runs, first.done()) == (0, False)
    going_on.set()
    assert await first == 1
    assert (shared.statistics.commits, shared.statistics.failed_commits) == (1, 1)
