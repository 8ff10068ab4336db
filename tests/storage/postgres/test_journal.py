"""Queues of configurations that are gone: they go, too, when nothing is in them any more.

Covers: greenroom.storage.postgres.journal
"""

import asyncio
from typing import Any
from unittest.mock import AsyncMock, Mock

import asyncpg
import pytest

from greenroom.model.logging_configuration import LoggingConfigurationState as State
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.journal import Backlog, Removed
from greenroom.storage.postgres import journal
from tests.stand_ins.queues import PLENTY, START, Queues
from tests.stand_ins.values import a_configuration, configuration_arn
from tests.storage.postgres.conftest import Open


async def queues_in(database: str) -> tuple[int, int]:
    """Return how many queues there are, and how many counts of what was added to them."""
    connection = await asyncpg.connect(database)
    found = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM greenroom.journal_queues),"
        " (SELECT count(*) FROM greenroom.journal_added)"
    )
    await connection.close()
    assert found is not None
    return found[0], found[1]


@pytest.mark.parametrize(
    ("state", "stays"), [(None, False), (State.DELETING, False), (State.ACTIVE, True)]
)
async def test_a_queue_that_is_empty(
    database: str, a_node: Open, state: State | None, stays: bool
) -> None:
    """It goes where its configuration is gone or going, when its last record goes, not before."""
    store = await a_node()
    queues = Queues(store)
    (arn,) = queues.arns
    if state is not None:
        await store.logging_configurations.create(a_configuration(state, arn=arn), PLENTY)
    await queues.append(2)
    assert await store.journal.backlog(arn) == Backlog(2, 8, START + 1)
    assert await store.journal.backlog(configuration_arn()) == Backlog()
    (first,) = await store.journal.batch(arn, 4)
    await store.journal.delivered(arn, first.sequence)
    assert await queues_in(database) == (1, 1)
    removed = await store.journal.drop(arn, 0)
    assert (removed.records, removed.size, removed.oldest_ns) == (1, 4, 0)
    assert await queues_in(database) == (int(stays), int(stays))
    assert await store.journal.delivered(arn, first.sequence) == Removed()
    assert await queues_in(database) == (int(stays), int(stays)), "what was none removes none"


async def test_a_queue_that_cannot_be_removed_now(
    database: str, a_node: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was delivered is delivered all the same: it is removed another time."""
    store = await a_node()
    queues = Queues(store)
    (arn,) = queues.arns
    await queues.append(1)
    (first,) = await queues.batch()
    write = store._database.write

    async def failing(lane: str, function: object, *arguments: object) -> object:
        if getattr(function, "__name__", "") == "_tidy":
            raise StorageUnavailable("away")
        return await write(lane, function, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(store._database, "write", failing)
        assert (await store.journal.delivered(arn, first.sequence)).records == 1
    assert await queues_in(database) == (1, 1)
    await queues.append(1)
    (second,) = await queues.batch()
    assert (await store.journal.delivered(arn, second.sequence)).records == 1
    assert await queues_in(database) == (0, 0)


async def test_a_record_that_comes_while_its_queue_is_removed(database: str, a_node: Open) -> None:
    """The queue stays: who removes it waits for who adds to it, whose record it would not see."""
    store = await a_node()
    queues = Queues(store)
    (arn,) = queues.arns
    await queues.append(1)
    await store._database.write("", journal._drop, arn, 0, 0)
    adding = await store._database.connect()
    await adding.execute("BEGIN")
    await journal._append(adding, 1, queues.entries(1))
    removing = asyncio.ensure_future(store._database.write("", journal._tidy, arn))
    while not removing.done() and not await _somebody_waits(database):
        pass
    await adding.execute("COMMIT")
    await removing
    await adding.close()
    assert await queues_in(database) == (1, 2)
    assert [each.payload for each in await queues.batch()] == [b"0002"]


async def test_a_record_that_comes_behind_a_queue_that_is_removed(
    database: str, a_node: Open
) -> None:
    """It waits for who removes the queue, and has a new one."""
    store = await a_node()
    queues = Queues(store)
    (arn,) = queues.arns
    await queues.append(1)
    await store._database.write("", journal._drop, arn, 0, 0)
    removing = await store._database.connect()
    await removing.execute("BEGIN")
    await journal._tidy(removing, arn)
    adding = asyncio.ensure_future(queues.append(1))
    while not adding.done() and not await _somebody_waits(database):
        pass
    await removing.execute("COMMIT")
    await adding
    await removing.close()
    assert await queues_in(database) == (1, 1)
    assert [each.payload for each in await queues.batch()] == [b"0002"]


async def test_a_batch_is_in_the_order_of_its_numbers() -> None:
    """However the database returns what it has marked; its end is kept with the queue."""
    rows = [(2, "room", 20, b"b"), (3, "room", 30, b"c"), (1, "room", 10, b"a")]
    connection: Any = Mock(fetch=AsyncMock(return_value=rows), execute=AsyncMock())
    assert [each[0] for each in await journal._mark(connection, 7, PLENTY)] == [1, 2, 3]
    assert connection.execute.await_args.args[1:] == (7, 3)


async def _somebody_waits(database: str) -> bool:
    connection = await asyncpg.connect(database)
    waits: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database())"
    )
    await connection.close()
    return waits
