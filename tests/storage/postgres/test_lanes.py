"""Which writing calls follow each other, and what they hold first; no server is asked.

Covers: greenroom.storage.postgres.sent_messages, greenroom.storage.postgres.tags,
greenroom.storage.postgres.regions
"""

from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.model.arn import Arn
from greenroom.model.sent_message import SentMessage
from greenroom.storage.journal import Removed, StreamPosition
from greenroom.storage.postgres import history
from greenroom.storage.postgres import journal as journal_module
from greenroom.storage.postgres.journal import PostgresJournal
from greenroom.storage.postgres.logging_configurations import PostgresLoggingConfigurations
from greenroom.storage.postgres.restrictions import PostgresRestrictions
from greenroom.storage.postgres.rooms import PostgresRooms
from greenroom.storage.postgres.sent_messages import PostgresSentMessages
from greenroom.storage.postgres.tags import PostgresTags
from tests.stand_ins.values import NOW, configuration_arn, room_arn

ANY: Any = Mock()
ANSWER = "what the database answers"


class Lanes:
    """In place of a database: the lanes of the writing calls."""

    def __init__(self, answer: object = ANSWER) -> None:
        self.used: list[str] = []
        self._answer = answer

    async def write(self, lane: str, *_: object) -> object:
        self.used.append(lane)
        return self._answer


Change = Callable[[Any, Arn], Awaitable[object]]

CHANGES: dict[str, Change] = {
    "create a room": lambda lanes, arn: PostgresRooms(lanes).create(Mock(arn=arn), 1),
    "update a room": lambda lanes, arn: PostgresRooms(lanes).update(arn, ANY, NOW),
    "set a room": lambda lanes, arn: PostgresRooms(lanes).set(arn, ANY),
    "schedule": lambda lanes, arn: PostgresRooms(lanes).schedule(arn, ANY),
    "create a configuration": lambda lanes, arn: PostgresLoggingConfigurations(lanes).create(
        Mock(arn=arn), 1
    ),
    "update a configuration": lambda lanes, arn: PostgresLoggingConfigurations(lanes).update(
        arn, ANY, ANY, NOW
    ),
    "move a configuration": lambda lanes, arn: PostgresLoggingConfigurations(lanes).move(
        arn, ANY, ANY, NOW
    ),
    "delete a room": lambda lanes, arn: PostgresRooms(lanes).delete(arn),
    "begin to delete": lambda lanes, arn: PostgresLoggingConfigurations(lanes).begin_delete(
        arn, NOW
    ),
    "finish to delete": lambda lanes, arn: PostgresLoggingConfigurations(lanes).finish_delete(arn),
    "add a tag": lambda lanes, arn: PostgresTags(lanes).add(arn, {}, 1),
    "remove a tag": lambda lanes, arn: PostgresTags(lanes).remove(arn, ()),
}
"""All that holds the row of a region."""

SILENT = {
    *("create a configuration", "delete a room", "begin to delete", "finish to delete"),
    *("add a tag", "remove a tag"),
}
"""Those of them that answer nothing."""


@pytest.mark.parametrize("change", CHANGES)
async def test_changes_of_an_account_in_a_region_follow_each_other(change: str) -> None:
    """They would only wait for each other's row, with a connection each; others run beside them."""
    lanes = Lanes()
    arns = [room_arn(), room_arn(), room_arn("000000000001"), room_arn(region="eu-west-1")]
    answers = {await CHANGES[change](lanes, arn) for arn in arns}
    assert answers == {None if change in SILENT else ANSWER}
    one, same, *others = lanes.used
    assert one == same
    assert len({one, *others}) == 3
    other = Lanes()
    await CHANGES["delete a room"](other, arns[0])
    assert other.used == [one], "all kinds of changes are in one lane"


class FirstStatement(Exception):
    """What was asked first."""


class Asked:
    """In place of a database and its connection: only the first statement comes there."""

    async def write(self, _lane: str, function: Any, *arguments: object) -> object:
        return await function(self, *arguments)

    async def _ask(self, statement: str, *_: object) -> None:
        raise FirstStatement(statement)

    fetch = fetchrow = fetchval = execute = _ask


@pytest.mark.parametrize("change", CHANGES)
async def test_whoever_changes_something_in_a_region_holds_it_first(change: str) -> None:
    """What another node changes there is seen, or waits: nothing is decided by what was before."""
    with pytest.raises(FirstStatement, match=r"FROM regions .* FOR UPDATE"):
        await CHANGES[change](Asked(), room_arn())


async def test_restrictions_of_an_account_come_one_after_the_other() -> None:
    """On all nodes, and nodes see them in the order of their numbers."""
    asked: Any = Asked()
    with pytest.raises(FirstStatement, match=r"pg_advisory_xact_lock.*'restrictions ' \|\| \$1"):
        await PostgresRestrictions(asked).add(Mock(account="1"), 1)


async def test_whoever_takes_from_a_queue_holds_it_first() -> None:
    """And who brings something of a stream holds the stream's position."""
    asked: Any = Asked()
    journal = PostgresJournal(asked, ANY)
    for call in (
        journal.batch(configuration_arn(), 1),
        journal.delivered(configuration_arn(), 1),
        journal.drop(configuration_arn(), 1),
    ):
        with pytest.raises(FirstStatement, match=r"FROM journal_queues .* FOR UPDATE"):
            await call
    position = StreamPosition("c", 1, 1)
    for expected, moves in ((None, "INSERT INTO"), (position, "UPDATE")):
        with pytest.raises(FirstStatement, match=f"{moves} stream_positions"):
            await journal.append_from(1, expected, position, [])


async def test_each_message_that_is_sent_has_its_own_lane() -> None:
    """Whoever asks once more follows his first question; nobody waits for another one's."""
    lanes: Any = Lanes()
    sent: Any = PostgresSentMessages(lanes)
    for key in ("a", "b"):
        message = SentMessage(key=key, fingerprint="f", message_id="id", asked_at=NOW)
        assert await sent.claim(message) == ANSWER
        await sent.settle(message)
        await sent.release(message)
    first, second = lanes.used[::3]
    assert lanes.used == [first] * 3 + [second] * 3
    assert first != second


async def test_each_queue_and_each_stream_has_its_own_lane() -> None:
    """A destination that takes much holds up no other one, nor what is read of a stream."""
    lanes: Any = Lanes((Removed(1, 2, 3), False))
    journal = PostgresJournal(lanes, ANY)
    for arn in (configuration_arn(), configuration_arn()):
        await journal.batch(arn, 1)
        assert await journal.delivered(arn, 1) == Removed(1, 2, 3)
        assert await journal.drop(arn, 1) == Removed(1, 2, 3)
    for stream in (1, 2):
        await journal.append_from(stream, None, StreamPosition("c", 1, 1), [])
    await journal.append([])
    one, other = lanes.used[0], lanes.used[3]
    assert lanes.used[:6] == [one] * 3 + [other] * 3
    assert len({one, other, *lanes.used[6:]}) == 5


async def test_nothing_is_asked_to_show_nothing() -> None:
    """What a stream brings mostly shows something in few rooms, or records only."""
    connection: Any = Mock()
    await history.append(connection, [])
    await journal_module._append(connection, 1, [])
    assert connection.mock_calls == []


async def test_a_queue_that_is_over_is_tidied_in_its_lane() -> None:
    """Behind what was removed of it; where that fails, it was removed all the same."""
    lanes: Any = Lanes((Removed(1, 2, 0), True))
    assert await PostgresJournal(lanes, ANY).delivered(configuration_arn(), 1) == Removed(1, 2, 0)
    assert len(lanes.used) == 2
    assert len(set(lanes.used)) == 1
