"""Scheduled announcements over two nodes: told once when they are due, while somebody writes."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any
from unittest.mock import AsyncMock, Mock

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import BusUnavailable, Deliver
from greenroom.chat import schedules as schedules_module
from greenroom.chat.chat import Chat
from greenroom.chat.originals import Originals
from greenroom.chat.outcome import Post, done
from greenroom.chat.posting import Posting
from greenroom.chat.replies import Replies
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.schedules import AGAIN_MS, LOOK_SECONDS, ScheduledAnnouncements
from greenroom.model.arn import Arn
from greenroom.model.chat_token import Capability
from greenroom.model.errors import ServiceQuotaExceededException, ThrottlingException
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.model.room import Room
from greenroom.model.schedule import (
    CLAIMED_MS,
    MOST_SCHEDULES,
    PASSED_OVER_MS,
    Remove,
    Schedule,
    ScheduleChange,
    Written,
)
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import ActionError
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.memory.store import MemoryStore
from greenroom.telemetry.metrics import Metrics
from tests.stand_ins.hand_clock import START_MS, HandClock
from tests.stand_ins.listening import ListeningBus
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import claims_of, settle
from tests.stand_ins.values import a_room

STEP = 5
"""Seconds between two looks here."""

_ids = itertools.count(1)


class Node:
    """A node on the store and the bus that both share."""

    def __init__(self, scene: "Scene") -> None:
        store, bus, clock = scene.store, scene.bus, scene.time.clock
        self.metrics = Metrics()
        self.rooms = RoomsCache(store.rooms, bus, LooseTasks())
        self.chat = Chat(self.rooms, bus, Quotas(RateProfile.OFF), clock, _new_id)
        replies = Replies(self.chat, Originals(bus), _new_id)
        self.posting = Posting(
            self.chat, replies, store.sent_messages, clock, _new_id, self.metrics
        )
        self.schedules = ScheduledAnnouncements(
            self.chat, self.posting, store.rooms, bus, clock, _new_id, self.metrics, LooseTasks()
        )

    def count(self, outcome: str) -> float:
        """Return how many had an outcome here."""
        name = "greenroom_scheduled_announcements_total"
        return self.metrics.registry.get_sample_value(name, {"outcome": outcome}) or 0.0


async def looked(schedules: ScheduledAnnouncements) -> None:
    """Wait until a look is over."""
    assert schedules._looking is not None
    await asyncio.wait([schedules._looking])


def _new_id() -> str:
    return f"Id{next(_ids):010}"


class Scene:
    """Two nodes, and a room that is told to be kind each minute."""

    def __init__(self) -> None:
        self.time, self.store, self.bus = HandClock(), MemoryStore(), ListeningBus()
        self.nodes = [Node(self), Node(self)]
        self.arn = a_room().arn

    async def begin(self, seconds: int = 60) -> "Scene":
        await self.bus.start()
        await self.store.rooms.create(a_room(arn=self.arn), 0)
        await self.put(seconds)
        return self

    async def put(self, seconds: int = 60, name: str = "rules", node: int = 0) -> Schedule:
        schedules = self.nodes[node].schedules
        return await schedules.put(self.arn, name, "Be kind", "INFO", seconds, "ann")

    async def write(self, node: int = 0) -> None:
        """Have somebody write on a node."""
        sender = claims_of(room_arn=str(self.arn), capabilities=(Capability.SEND_MESSAGE,))
        await done(self.nodes[node].chat.send_message(sender, SendMessage("hi"), str))

    async def pass_time(self, seconds: float, *nodes: int) -> None:
        """Let time pass, with a look on both nodes, or on some, again and again."""
        for _ in range(int(seconds // STEP)):
            self.time.advance(STEP)
            await self.look(*nodes)

    async def look(self, *nodes: int) -> None:
        looks = (self.nodes[each].schedules.look() for each in nodes or (0, 1))
        await asyncio.gather(*looks)

    def announced(self) -> list[dict[str, Any]]:
        """Return the announcements in the room."""
        shown = [
            msgspec.json.decode(each.payload)
            for each in self.bus.published
            if isinstance(each, Deliver)
        ]
        return [each for each in shown if each["Attributes"]]

    def counts(self, outcome: str) -> float:
        return sum(each.count(outcome) for each in self.nodes)

    async def kept(self) -> Schedule:
        (schedule,) = (await self.store.rooms.get(self.arn)).schedules
        return schedule


async def test_it_is_told_once_when_it_is_due() -> None:
    """By the service, as an announcement: for the first time when its time has passed."""
    scene = await Scene().begin()
    await scene.write()
    await scene.pass_time(55)
    assert scene.announced() == []
    await scene.pass_time(5)
    (message,) = scene.announced()
    assert message["Content"] == "Be kind"
    assert message["Attributes"] == {"greenroom:announcement": "INFO"}
    assert message["Sender"]["UserId"] == "greenroom"
    assert scene.counts("told") == 1
    assert (await scene.kept()).told == scene.time.clock.now_ms()


async def test_it_keeps_its_rhythm_while_somebody_writes() -> None:
    """On whichever node; of a hundred rounds each is told, once."""
    scene = await Scene().begin()
    for number in range(100):
        await scene.pass_time(30)
        await scene.write(number % 2)
        await scene.pass_time(30)
        assert len(scene.announced()) == number + 1
    assert scene.counts("told") == 100
    assert scene.counts("passed_over") == scene.counts("unknown") == 0


async def test_it_is_passed_over_while_nobody_writes() -> None:
    """Announcements are nobody's; and there is none to make up for."""
    scene = await Scene().begin()
    await scene.pass_time(300)
    assert scene.announced() == []
    assert all(each.count("passed_over") >= 4 for each in scene.nodes)
    assert (await scene.kept()).due >= scene.time.clock.now_ms()
    await scene.write(1)
    await scene.pass_time(60)
    assert len(scene.announced()) == 1
    sender, posting = claims_of(room_arn=str(scene.arn)), scene.nodes[0].posting
    announced = await posting.announce(sender, "x", "INFO", "", "Id-of-mine")
    assert announced.message_id == scene.announced()[-1]["Id"] == "Id-of-mine"
    await scene.pass_time(300)
    assert len(scene.announced()) == 2
    assert scene.counts("told") == 1
    another = await posting.announce(sender, "x", "INFO", "")
    assert another.message_id == scene.announced()[-1]["Id"] != "Id-of-mine"


async def test_two_of_a_room_do_not_call_for_each_other() -> None:
    """What one says is nothing that somebody wrote behind the other."""
    scene = await Scene().begin()
    await scene.put(90, "more")
    await scene.write()
    await scene.pass_time(600)
    assert len(scene.announced()) == 2


async def test_what_another_node_knows_is_waited_for() -> None:
    """A look that comes first does not pass over what somebody wrote behind on another node."""
    scene = await Scene().begin()
    await scene.write(1)
    await scene.pass_time(60, 0)
    assert scene.announced() == []
    assert scene.counts("passed_over") == 0
    await scene.pass_time(5, 1)
    assert len(scene.announced()) == 1


async def test_a_new_one_does_not_go_by_what_was_noted_before() -> None:
    """It is noted once for each time that one is told, and anew where there is another one."""
    scene = await Scene().begin(3_600)
    await scene.write()
    await scene.pass_time(5)
    await scene.put(60, "more")
    await scene.pass_time(5)
    await scene.write()
    await scene.pass_time(60)
    assert len(scene.announced()) == 1


async def test_it_is_noted_once_between_two() -> None:
    """However many write: the store is asked once for each time that one is told."""
    scene = await Scene().begin()
    noted = AsyncMock(wraps=scene.store.rooms.schedule)
    scene.store.rooms.schedule = noted  # type: ignore[method-assign] # counts
    for _ in range(11):
        await scene.write()
        await scene.pass_time(5)
    assert noted.await_count == 1


async def test_who_answers_it_at_once_has_the_next_one_told() -> None:
    """Also before the store knows that it was told."""
    scene = await Scene().begin()
    await scene.write()
    posting = scene.nodes[0].posting
    announce = posting.announce

    async def answered(*arguments: Any) -> Post:
        post = await announce(*arguments)
        scene.time.advance(0.001)
        await scene.write()
        posting.announce = announce  # type: ignore[method-assign] # as it was
        return post

    posting.announce = answered  # type: ignore[method-assign,assignment] # slow
    await scene.pass_time(180, 0)
    assert len(scene.announced()) == 2


async def test_who_writes_while_it_is_noted_is_noted() -> None:
    """Once more, if that is of use: what comes behind the time at which the next one is due."""
    scene = await Scene().begin()
    schedule = scene.store.rooms.schedule
    noted: list[object] = []

    async def slow(arn: Arn, change: ScheduleChange) -> Room:
        kept = await schedule(arn, change)
        if isinstance(change, Written):
            noted.append(change.at)
            if len(noted) == 1:
                scene.time.advance(80)
                await scene.write()
        return kept

    scene.store.rooms.schedule = slow  # type: ignore[method-assign] # slow
    await scene.write()
    await scene.look(0)
    assert noted == [START_MS, START_MS + 80_000]
    assert len(scene.announced()) == 1


async def test_of_nodes_that_come_at_once_one_tells() -> None:
    """Whoever is faster; the other one, who saw it due as well, does nothing."""
    scene = await Scene().begin()
    await scene.write()
    await scene.look()
    scheduled = scene.store.rooms.scheduled

    async def slow(*arguments: int) -> Sequence[Room]:
        found = await scheduled(*arguments)
        await asyncio.sleep(0)
        return found

    scene.store.rooms.scheduled = slow  # type: ignore[method-assign,assignment] # slow
    scene.time.advance(61)
    await scene.look()
    await scene.look()
    assert len(scene.announced()) == 1
    assert [each.count("told") for each in scene.nodes] in ([1, 0], [0, 1])


async def test_a_node_that_dies_tells_at_most_once() -> None:
    """Nobody knows whether it did: the others leave it at that, say so, and tell the next."""
    scene = await Scene().begin()
    await scene.write()

    async def die(*_: object) -> None:
        raise asyncio.CancelledError

    scene.nodes[0].posting.announce = die  # type: ignore[method-assign,assignment] # dies
    scene.time.advance(61)
    with pytest.raises(asyncio.CancelledError):
        await scene.look(0)
    with capture_logs() as lines:
        await scene.pass_time(CLAIMED_MS / 1000, 1)
    assert scene.announced() == []
    assert scene.counts("unknown") == 1
    assert [each["log_level"] for each in lines] == ["warning"]
    await scene.write(1)
    await scene.pass_time(5, 1)
    assert len(scene.announced()) == 1, "the rhythm is kept"
    await scene.pass_time(60, 1)
    assert len(scene.announced()) == 1


async def test_an_open_outcome_is_as_a_death() -> None:
    """The bus may have taken it: it is not sent again."""
    scene = await Scene().begin()
    await scene.write()
    fails = AsyncMock(side_effect=BusUnavailable("gone", is_open=True))
    scene.nodes[0].posting.announce = fails  # type: ignore[method-assign] # fails
    await scene.pass_time(60 + CLAIMED_MS / 1000 + 5, 0)
    assert fails.await_count == 1
    assert scene.counts("unknown") == 1


@pytest.mark.parametrize(
    "error",
    [
        BusUnavailable("gone"),
        StorageUnavailable("gone"),
        ThrottlingException("much", resource_id="r", resource_type="ROOM", limit=1),
    ],
)
async def test_what_passes_is_tried_again(error: Exception) -> None:
    """Ten seconds later, and until it is taken."""
    scene = await Scene().begin()
    await scene.write()
    posting = scene.nodes[0].posting
    fails = AsyncMock(side_effect=error)
    announce, posting.announce = posting.announce, fails  # type: ignore[method-assign] # fails
    await scene.pass_time(60, 0)
    assert fails.await_count == 1
    assert (await scene.kept()).due == scene.time.clock.now_ms() + AGAIN_MS
    await scene.pass_time(10, 0)
    assert fails.await_count == scene.counts("refused") == 2
    posting.announce = announce  # type: ignore[method-assign] # as it was
    await scene.pass_time(10, 0)
    assert len(scene.announced()) == 1


async def test_what_does_not_pass_waits_for_its_next_time() -> None:
    """And is said once in the log, without what it says."""
    scene = await Scene().begin()
    await scene.write()
    refuses = AsyncMock(side_effect=ActionError(406, "no"))
    scene.nodes[0].posting.announce = refuses  # type: ignore[method-assign] # refuses
    with capture_logs() as lines:
        await scene.pass_time(115, 0)
    assert refuses.await_count == 1
    assert scene.counts("refused") == 1
    (line,) = lines
    assert (line["log_level"], line["error"], line["room"]) == ("warning", 406, str(scene.arn))
    await scene.pass_time(5, 0)
    assert refuses.await_count == 2


async def test_after_an_outage_it_is_told_once() -> None:
    """However long no node looked; the rhythm begins there."""
    scene = await Scene().begin()
    await scene.write()
    await scene.look()
    scene.time.advance(3_599)
    await scene.look()
    assert len(scene.announced()) == 1
    scene.time.advance(1)
    await scene.write()
    await scene.pass_time(55)
    assert len(scene.announced()) == 1
    await scene.pass_time(5)
    assert len(scene.announced()) == 2


async def test_it_goes_with_the_room_and_by_itself() -> None:
    """What was removed is not told; nor is anything in a room that is gone."""
    scene = await Scene().begin()
    await scene.write()
    await scene.nodes[1].schedules.remove(scene.arn, "rules")
    await scene.pass_time(120)
    await scene.put()
    await scene.write()
    await scene.store.rooms.delete(scene.arn)
    await scene.pass_time(120)
    assert scene.announced() == []


async def test_what_is_removed_in_that_moment_is_not_told() -> None:
    """Between the look and the claim."""
    scene = await Scene().begin()
    await scene.write()
    scheduled = scene.store.rooms.scheduled

    async def late(*arguments: int) -> Sequence[Room]:
        found = await scheduled(*arguments)
        await scene.store.rooms.schedule(scene.arn, Remove("rules"))
        return found

    scene.store.rooms.scheduled = late  # type: ignore[method-assign,assignment] # slow
    await scene.pass_time(60, 0)
    assert scene.announced() == []
    assert scene.counts("told") == 0


async def test_many_rooms_are_all_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of rooms after the other, in one look."""
    monkeypatch.setattr(schedules_module, "ROOMS_AT_ONCE", 3)
    scene = await Scene().begin()
    arns = [scene.arn]
    for _ in range(6):
        scene.arn = a_room().arn
        arns.append(scene.arn)
        await scene.store.rooms.create(a_room(arn=scene.arn), 0)
        await scene.put()
    for scene.arn in arns:
        await scene.write()
    scene.time.advance(60)
    await scene.look(0)
    assert len(scene.announced()) == len(arns)


async def test_a_store_that_is_away_loses_nothing() -> None:
    """It is said once; what was written meanwhile is noted when it is back."""
    scene = await Scene().begin()
    schedules = scene.nodes[0].schedules
    await scene.write()
    schedule = scene.store.rooms.schedule
    away = AsyncMock(side_effect=StorageUnavailable("away"))
    scene.store.rooms.schedule = away  # type: ignore[method-assign] # away
    for _ in range(2):
        with capture_logs() as lines:
            for _ in range(3):
                schedules.tick()
                schedules.tick()
                await looked(schedules)
        assert [each["log_level"] for each in lines] == ["warning"]
        scene.store.rooms.schedule = schedule  # type: ignore[method-assign] # back
        schedules.tick()
        await looked(schedules)
        scene.time.advance(60)
        await scene.write()
        scene.store.rooms.schedule = away  # type: ignore[method-assign] # away again
    assert away.await_count == 6
    scene.store.rooms.schedule = schedule  # type: ignore[method-assign] # back
    await scene.look(0)
    assert len(scene.announced()) == 2


async def test_a_store_that_goes_away_in_between() -> None:
    """What could not be claimed is told later, and that it waits is said."""
    scene = await Scene().begin()
    await scene.write()
    await scene.look(0)
    schedules, schedule = scene.nodes[0].schedules, scene.store.rooms.schedule
    away = AsyncMock(side_effect=StorageUnavailable("away"))
    scene.store.rooms.schedule = away  # type: ignore[method-assign] # away
    scene.time.advance(60)
    with capture_logs() as lines:
        schedules.tick()
        await looked(schedules)
    assert [each["log_level"] for each in lines] == ["warning"]
    scene.store.rooms.schedule = schedule  # type: ignore[method-assign] # back
    await scene.look(0)
    assert len(scene.announced()) == 1


async def test_others_are_settled_where_one_cannot_be() -> None:
    """A look ends when all that it has begun has an outcome."""
    scene = await Scene().begin()
    await scene.write()
    away, scene.arn = scene.arn, a_room().arn
    await scene.store.rooms.create(a_room(arn=scene.arn), 0)
    await scene.put()
    await scene.write()
    await scene.look(0)
    posting, schedule = scene.nodes[0].posting, scene.store.rooms.schedule
    announce, goes_on = posting.announce, asyncio.Event()

    async def slowly(*arguments: Any) -> Post:
        await goes_on.wait()
        return await announce(*arguments)

    async def in_part(arn: Arn, change: ScheduleChange) -> Room:
        if arn == away:
            raise StorageUnavailable("away")
        return await schedule(arn, change)

    posting.announce = slowly  # type: ignore[method-assign,assignment] # a slow review
    scene.store.rooms.schedule = in_part  # type: ignore[method-assign] # away for one room
    scene.time.advance(60)
    looking = asyncio.create_task(scene.nodes[0].schedules.look())
    await settle()
    assert not looking.done()
    goes_on.set()
    with pytest.raises(StorageUnavailable):
        await looking
    assert len(scene.announced()) == scene.counts("told") == 1


async def test_a_room_that_is_deleted_in_between() -> None:
    """It is no failure of the store, and keeps nothing else from being noted or told."""
    scene = await Scene().begin()
    gone = scene.arn
    await scene.write()
    scene.arn = a_room().arn
    await scene.store.rooms.create(a_room(arn=scene.arn), 0)
    await scene.put()
    await scene.write()
    await scene.store.rooms.delete(gone)
    scheduled = scene.store.rooms.scheduled
    await scene.look(0)
    assert (await scene.kept()).is_wanted

    async def late(*arguments: int) -> Sequence[Room]:
        found = await scheduled(*arguments)
        await scene.store.rooms.delete(scene.arn)
        return found

    scene.store.rooms.scheduled = late  # type: ignore[method-assign,assignment] # slow
    scene.time.advance(60)
    await scene.look(0)
    assert scene.announced() == []


async def test_the_one_that_is_due_first_is_noted_for() -> None:
    """Who writes behind it is noted, though another one of the room is due much later."""
    scene = await Scene().begin()
    await scene.put(3_600, "later")
    for number in range(3):
        await scene.pass_time(30)
        await scene.write()
        await scene.pass_time(30)
        assert len(scene.announced()) == number + 1


async def test_an_end_keeps_where_somebody_wrote() -> None:
    """What only this node knows; the next one tells it."""
    scene = await Scene().begin()
    await scene.write()
    await scene.nodes[0].schedules.close()
    await scene.pass_time(60, 1)
    assert len(scene.announced()) == 1


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more rooms than that it is not known that somebody wrote, and is noted once more."""
    monkeypatch.setattr(schedules_module, "MOST_NOTED", 2)
    scene = await Scene().begin()
    schedules, arns = scene.nodes[0].schedules, [scene.arn]
    for _ in range(2):
        scene.arn = a_room().arn
        arns.append(scene.arn)
        await scene.store.rooms.create(a_room(arn=scene.arn), 0)
        await scene.put()
    for scene.arn in arns:
        await scene.write()
    assert list(schedules._written) == arns[:2]
    for scene.arn, known in ((arns[2], 2), (arns[0], 3), (arns[0], 0), (arns[0], 1)):
        await scene.look(0)
        scene.time.advance(0.001)
        assert len(schedules._noted) == known
        await scene.write()


async def test_hosts_change_schedules_at_the_rate_of_moderators() -> None:
    """And a room has so many at most: who makes one more is told."""
    scene = await Scene().begin()
    for number in range(MOST_SCHEDULES - 1):
        await scene.put(name=f"n{number}")
    with pytest.raises(ServiceQuotaExceededException) as full:
        await scene.put(name="more")
    assert (full.value.resource_id, full.value.limit) == (scene.arn.id, MOST_SCHEDULES)
    await scene.put(name="n0")
    schedules, refuses = scene.nodes[0].schedules, Mock(side_effect=ZeroDivisionError)
    scene.nodes[0].chat.check_may_change = refuses  # type: ignore[method-assign] # refuses
    with pytest.raises(ZeroDivisionError):
        await scene.put()
    with pytest.raises(ZeroDivisionError):
        await schedules.remove(scene.arn, "rules")
    assert len(await schedules.of(scene.arn)) == MOST_SCHEDULES


async def test_an_end_waits_for_what_is_being_told() -> None:
    """It has its place and its record by then; nothing else is told, which the next node does."""
    scene = await Scene().begin()
    await scene.put(name="later")
    await scene.write()
    node, begun, goes_on = scene.nodes[0], asyncio.Event(), asyncio.Event()
    announce = node.posting.announce

    async def slowly(*arguments: Any) -> Post:
        begun.set()
        await goes_on.wait()
        return await announce(*arguments)

    review = AsyncMock(side_effect=slowly)
    node.posting.announce = review  # type: ignore[method-assign] # as a slow review does
    scene.time.advance(61)
    node.schedules.tick()
    await begun.wait()
    closing = asyncio.create_task(node.schedules.close())
    await asyncio.sleep(0)
    assert not closing.done()
    goes_on.set()
    await closing
    assert len(scene.announced()) == 1
    node.schedules.tick()
    await looked(node.schedules)
    assert len(scene.announced()) == 1
    await scene.look(1)
    assert len(scene.announced()) == 2


async def test_a_crash_ends_no_node() -> None:
    """It is logged, and the next look comes."""
    scene = await Scene().begin()
    await scene.write()
    crashes = AsyncMock(side_effect=RuntimeError("oh"))
    scene.nodes[0].posting.announce = crashes  # type: ignore[method-assign] # crashes
    scene.time.advance(61)
    schedules = scene.nodes[0].schedules
    with capture_logs() as lines:
        schedules.tick()
        await looked(schedules)
    assert [each["log_level"] for each in lines] == ["error"]


def test_nodes_have_told_each_other_by_then() -> None:
    """Of what nobody seems to have written behind each node has noted what it knows."""
    assert PASSED_OVER_MS >= 2 * LOOK_SECONDS * 1000
    assert MOST_SCHEDULES == 10
