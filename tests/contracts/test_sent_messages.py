"""Every `SentMessages`: one of many who ask with one key sends, the others get what became of it.

Covers: greenroom.model.sent_message, greenroom.storage.memory.sent_messages,
    greenroom.storage.postgres.sent_messages, greenroom.storage.sent_messages,
    greenroom.storage.sqlite.sent_messages
"""

import asyncio
import itertools
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import msgspec

from greenroom.model.sent_message import KEPT_MS, PENDING_MS, SentMessage
from greenroom.storage.base import Store
from greenroom.storage.memory.opened import Opened
from greenroom.storage.memory.sent_messages import MemorySentMessages
from greenroom.storage.postgres.sent_messages import PostgresSentMessages
from greenroom.storage.rules import PRUNE_EVERY
from greenroom.storage.sqlite.sent_messages import SqliteSentMessages
from tests.stand_ins.hasty_store import hasty_store
from tests.stand_ins.values import NOW

_keys = itertools.count()


def sent(key: str = "", message_id: str = "Message00001", at: int = NOW) -> SentMessage:
    """Return a message that was asked for and has no outcome yet."""
    return SentMessage(
        key=key or f"k{next(_keys)}", fingerprint="f", message_id=message_id, asked_at=at
    )


def settled(claimed: SentMessage) -> SentMessage:
    """Return it with its outcome."""
    return msgspec.structs.replace(claimed, time_ns=7)


async def test_one_of_many_sends(store: Store) -> None:
    """All others are told its id."""
    key = sent().key
    asked = [sent(key, f"Message{number:05}") for number in range(20)]
    found = await asyncio.gather(*map(store.sent_messages.claim, asked))
    (first,) = [each for each, known in zip(asked, found, strict=True) if known is None]
    assert [known for known in found if known is not None] == [first] * 19
    assert await store.sent_messages.claim(sent()) is None


async def test_its_outcome(store: Store) -> None:
    """Once it is settled it is told; what was released is as new; another's is left alone."""
    first, ports = sent(), store.sent_messages
    assert await ports.claim(first) is None
    other = sent(first.key, "Message00002")
    await ports.release(other)
    await ports.settle(settled(other))
    assert await ports.claim(other) == first
    await ports.settle(settled(first))
    assert await ports.claim(other) == settled(first)
    await ports.release(first)
    assert await ports.claim(other) is None
    assert await ports.claim(first) == other


async def test_it_is_forgotten(store: Store) -> None:
    """After ten minutes, at the millisecond, whether it has an outcome or not."""
    ports = store.sent_messages
    for outcome in (True, False):
        first = sent()
        assert await ports.claim(first) is None
        if outcome:
            await ports.settle(settled(first))
        later = sent(first.key, "Message00002", NOW + KEPT_MS)
        assert await ports.claim(msgspec.structs.replace(later, asked_at=NOW + KEPT_MS - 1))
        assert await ports.claim(later) is None
        assert await ports.claim(later) == later


async def test_it_is_forgotten_though_another_one_is_not(store: Store) -> None:
    """A clock that went back says nothing of those that came before."""
    later, first = sent(at=NOW + 9), sent()
    for each in (later, first):
        assert await store.sent_messages.claim(each) is None
    again = sent(first.key, "Message00002", NOW + KEPT_MS)
    assert await store.sent_messages.claim(again) is None
    assert await store.sent_messages.claim(first) == again
    assert await store.sent_messages.claim(sent(later.key, at=NOW + KEPT_MS)) == later


def test_for_how_long_it_is_waited_for() -> None:
    """Until it is settled, or its time is over."""
    pending = sent()
    assert pending.is_pending(NOW + PENDING_MS - 1)
    assert not pending.is_pending(NOW + PENDING_MS)
    assert not settled(pending).is_pending(NOW)


async def test_what_is_over_goes_with_a_later_one() -> None:
    """In memory at once, and nothing that still counts."""
    messages = MemorySentMessages(Opened())
    for number in range(5):
        assert await messages.claim(sent(at=NOW + number)) is None
    assert await messages.claim(sent(at=NOW + KEPT_MS + 2)) is None
    assert [each.asked_at - NOW for each in messages._kept.values()] == [3, 4, KEPT_MS + 2]


async def test_what_is_over_is_removed_in_sqlite(tmp_path: Path) -> None:
    """Now and then, with a later one."""
    store = await hasty_store(tmp_path)
    claim = store.sent_messages.claim
    await asyncio.gather(*(claim(sent()) for _ in range(PRUNE_EVERY // 2)))
    later = NOW + KEPT_MS
    await asyncio.gather(*(claim(sent(at=later)) for _ in range(PRUNE_EVERY // 2)))
    count = "SELECT count(*), min(asked_at) FROM sent_messages"
    found = await store._worker.read(lambda connection: connection.execute(count).fetchone())
    assert found == (PRUNE_EVERY // 2, later)
    await store.close()


async def test_how_often_sqlite_removes_what_is_over() -> None:
    """At each so many additions, up to twice as many."""
    worker: Any = Mock(write=AsyncMock(return_value=None))
    messages = SqliteSentMessages(worker)
    for _ in range(2 * PRUNE_EVERY):
        await messages.claim(sent())
    removed = [each.args[2] for each in worker.write.mock_calls]
    assert removed == [*[0] * (PRUNE_EVERY - 1), 2 * PRUNE_EVERY] * 2


async def test_what_is_over_is_swept_now_and_then() -> None:
    """In PostgreSQL beside the calls, twice as many as have come since."""
    database: Any = Mock(write=AsyncMock(return_value=None))
    messages = PostgresSentMessages(database)
    for _ in range(PRUNE_EVERY - 1):
        await messages.claim(sent())
    database.aside.assert_not_called()
    for _ in range(PRUNE_EVERY + 1):
        await messages.claim(sent())
    assert [each.args[1:] for each in database.aside.mock_calls] == [
        (NOW - KEPT_MS, 2 * PRUNE_EVERY)
    ] * 2
