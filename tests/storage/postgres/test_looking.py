"""What is found in a database without changing anything, before a node starts and while some run.

Covers: greenroom.storage.postgres.inspection, greenroom.storage.postgres.survey
"""

import time

from greenroom.storage.journal import StreamPosition
from greenroom.storage.postgres.inspection import Inspection, inspect
from greenroom.storage.postgres.survey import SETTINGS, Position, Waiting, survey
from greenroom.storage.schema import POSTGRES, steps
from tests.stand_ins.queues import START, Queues
from tests.stand_ins.values import PLENTY, REGION, a_room
from tests.storage.postgres.conftest import Open

NEWEST = steps(POSTGRES)[-1].number


def is_now(clock_ns: int, before_ns: int) -> bool:
    """Return whether a clock of this machine showed that since, to the microsecond."""
    return before_ns - 1_000 <= clock_ns <= time.time_ns() and clock_ns % 1_000 == 0


async def test_before_there_is_a_schema(database: str) -> None:
    """The server is told of, and nothing is made."""
    before = time.time_ns()
    await inspect(database, None, "key")
    found = await inspect(database, None, "key")
    assert is_now(found.clock_ns, before)
    major, _, minor = found.version.partition(".")
    assert (int(major) >= 15, minor.isdecimal()) == (True, True)
    assert found == Inspection(
        found.where, False, None, found.version, found.clock_ns, frozenset(), 0
    )
    assert found.where.startswith("PostgreSQL at 127.0.0.1:")
    seen = await survey(database, None)
    assert (seen.where, seen.version, seen.schema) == (found.where, found.version, 0)
    assert (seen.newest_schema, seen.positions, seen.waiting) == (NEWEST, {}, ())
    assert seen.sessions >= 1
    assert is_now(seen.clock_ns, before)


async def test_what_is_kept(database: str, a_node: Open) -> None:
    """A secret that was asked for, regions in use, and what of chat logs waits for whom."""
    store = await a_node()
    await store.rooms.create(a_room(), PLENTY)
    await store.secrets.keep("key", b"value")
    queues = Queues(store, 2)
    await queues.append(3, queues.arns[0])
    await queues.append(1, queues.arns[1])
    await store.journal.batch(queues.arns[1], PLENTY)
    (record,) = await store.journal.batch(queues.arns[1], PLENTY)
    await store.journal.delivered(queues.arns[1], record.sequence)
    last = StreamPosition("2026-01-01T00:00:00Z", 7, START)
    assert await store.journal.append_from(3, None, last, ())
    found = await inspect(database, None, "key")
    assert (found.exists, found.kept, found.schema) == (True, b"value", NEWEST)
    assert found.regions == {REGION}
    assert (await inspect(database, None, "another")).kept is None
    seen = await survey(database, None)
    assert (seen.schema, seen.positions) == (NEWEST, {3: Position(last.created, 7)})
    assert seen.waiting == (Waiting(str(queues.arns[0]), 3, START + 1),)
    assert set(SETTINGS) - {"data_checksums"} <= seen.settings.keys()
    assert seen.settings["max_connections"] == "200"
