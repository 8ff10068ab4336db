"""Messages that wait, on the nodes of a cluster: who reads a stream releases them, once.

Covers: greenroom.chat.held_shared
"""

import asyncio

import msgspec
import pytest

from greenroom.bus.base import Audience, Deliver, History, Stage
from greenroom.chat.held_queues import HeldQueues, held
from greenroom.chat.held_shared import Following, HeldShared
from greenroom.chatlog.streamed_history import Marks
from greenroom.model.arn import Arn
from greenroom.model.errors import ServiceUnavailableException
from greenroom.storage.history import Shown
from greenroom.storage.journal import StreamPosition
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.stage import settle
from tests.stand_ins.streams import MemoryStreams
from tests.stand_ins.values import room_arn

STREAM = 0


def waiting(number: int, time_ns: int) -> Deliver:
    """Return a message that waits."""
    shown = Deliver(b"{}", "SendMessage", id=f"Message{number:05}", time_ns=time_ns)
    return held(shown, "bob")


def deletion(*numbers: int) -> Deliver:
    """Return what deletes messages."""
    ids = tuple(f"Message{number:05}" for number in numbers)
    return Deliver(b"{}", "DeleteMessage", id="Deletion0001", deletes=ids)


def release(number: int) -> Deliver:
    """Return a message that is released."""
    return Deliver(b"{}", "SendMessage", id=f"Message{number:05}", stage=Stage.RELEASED)


class Node:
    """What one node knows to wait, and how it reads the stream."""

    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.queues = HeldQueues(cluster.time.clock)
        self.followed: list[str] = []
        self.was_followed: list[str] = []
        self.held = HeldShared(
            self.queues,
            cluster.store.held_messages,
            cluster.streams,
            Following(self._follow, self._unfollow),
            cluster.time.clock,
        )

    def _follow(self, room: str) -> None:
        self.followed.append(room)

    def _unfollow(self, room: str) -> None:
        self.followed.remove(room)
        self.was_followed.append(room)

    async def begin(self) -> None:
        """Get the lease of the stream."""
        await self.held.begin(STREAM, await self.cluster.store.journal.position(STREAM))

    async def read(self) -> None:
        """Read what is new of it, and keep that."""
        journal, streams = self.cluster.store.journal, self.cluster.streams
        position = await journal.position(STREAM)
        found = await streams.read(STREAM, 0 if position is None else position.sequence + 1)
        if not found:
            return
        last = StreamPosition("made-0", found[-1].sequence, found[-1].stamp_ns)
        shown = Marks().shown(found, is_broken=False)
        assert await journal.append_from(STREAM, position, last, [], shown)
        self.held.read(STREAM, last, shown)

    def hear(self, *envelopes: Deliver) -> None:
        """Have envelopes arrive in the room."""
        self.queues.note(str(self.cluster.room), envelopes)

    def ids(self) -> str:
        """Return the numbers of what is to be released here, in order."""
        room, queues = str(self.cluster.room), self.queues
        return "".join(each[-1] for each in queues.ids(room) if queues.is_here(room, each))


class Cluster:
    """A stream and a store, and nodes that have both."""

    def __init__(self) -> None:
        self.time, self.store, self.streams = HandClock(), MemoryStore(), MemoryStreams()
        self.room: Arn = room_arn()

    def publish(self, *envelopes: Deliver) -> None:
        """Have envelopes stored in the stream."""
        for each in envelopes:
            self.streams.store(self.room, each)

    def waits(self, *numbers: int) -> list[Deliver]:
        """Publish messages that wait."""
        made = [waiting(each, self.time.wall_ns) for each in numbers]
        self.publish(*made)
        return made


async def test_who_reads_the_stream_releases_what_it_says_to_wait() -> None:
    """As soon as it is kept, in order, and until it says that it was released or deleted."""
    cluster = Cluster()
    node = Node(cluster)
    await node.begin()
    cluster.waits(1, 2, 3)
    await node.read()
    assert node.ids() == "123"
    room = str(cluster.room)
    assert not node.held.is_prepared(room)
    assert await node.held.prepare(room)
    assert await node.held.prepare(room)
    assert node.held.is_prepared(room)
    assert node.followed == [room]
    cluster.publish(release(1), deletion(3))
    cluster.waits(4)
    await node.read()
    assert node.ids() == "24"
    assert [each.id[-1] for each in await cluster.store.held_messages.of_room(room)] == ["2", "4"]
    await node.held.released(room, ["Message00002"])
    assert len(await cluster.store.held_messages.of_room(room)) == 2
    await node.held.dropped(room, ["Message00002", "Message00004"])
    assert await cluster.store.held_messages.of_room(room) == []
    node.held.empty(room)
    node.held.empty(room)
    assert node.followed == []


async def test_who_takes_over_waits_until_he_knows_what_was_released() -> None:
    """Behind what the store has there may be releases of who died: they are read first."""
    cluster = Cluster()
    first, second = Node(cluster), Node(cluster)
    await first.begin()
    cluster.waits(1, 2)
    await first.read()
    cluster.publish(release(1))
    await second.begin()
    assert second.ids() == "12"
    room = str(cluster.room)
    assert not await second.held.prepare(room)
    assert second.followed == [room]
    # More comes all the time: it is enough to have read what was there.
    cluster.waits(3)
    assert not await second.held.prepare(room)
    await second.read()
    assert second.ids() == "23"
    cluster.waits(4)
    assert await second.held.prepare(room)
    first.held.end(STREAM)
    assert (first.ids(), first.followed) == ("", [])
    assert not await first.held.prepare(room)


async def test_who_takes_over_where_all_was_read() -> None:
    """He has nothing to wait for: what the one before him has read is known."""
    cluster = Cluster()
    first, second = Node(cluster), Node(cluster)
    await first.begin()
    cluster.waits(1)
    await first.read()
    room = str(cluster.room)
    assert await first.held.prepare(room)
    first.held.end(STREAM)
    assert not await first.held.prepare(room), "another one reads the stream"
    await second.begin()
    assert second.ids() == "1"
    assert await second.held.prepare(room)


async def test_a_stream_of_which_nothing_was_read() -> None:
    """What is in it, one message perhaps, may be a release: it is read first."""
    cluster = Cluster()
    node, room = Node(cluster), str(cluster.room)
    cluster.waits(1)
    await node.begin()
    assert not await node.held.prepare(room)
    await node.read()
    assert await node.held.prepare(room)


async def test_what_comes_meanwhile_need_not_be_read() -> None:
    """It is heard of: a room in which people go on writing is released from all the same."""
    cluster = Cluster()
    node, room = Node(cluster), str(cluster.room)
    cluster.waits(1, 2)
    await node.begin()
    for number in (3, 4):
        assert not await node.held.prepare(room)
        cluster.waits(number)
    two = (await cluster.streams.read(STREAM, 2))[0]
    node.held.read(STREAM, StreamPosition("made-0", two.sequence, two.stamp_ns), Shown())
    assert await node.held.prepare(room)


async def test_following_that_takes_its_time() -> None:
    """Nothing is known of a room before all that comes there is heard."""
    cluster, follows = Cluster(), asyncio.Event()

    async def follow(_room: str) -> None:
        await follows.wait()

    held = HeldShared(
        HeldQueues(cluster.time.clock),
        cluster.store.held_messages,
        cluster.streams,
        Following(follow, lambda _room: None),
        cluster.time.clock,
    )
    await held.begin(STREAM, None)
    preparing = asyncio.create_task(held.prepare(str(cluster.room)))
    await settle()
    assert not preparing.done()
    follows.set()
    assert await preparing


async def test_what_arrived_counts_at_once() -> None:
    """What was deleted before it was read here is not released when it is."""
    cluster = Cluster()
    node = Node(cluster)
    await node.begin()
    made = cluster.waits(1, 2)
    node.hear(*made)
    assert (node.ids(), node.queues.rooms) == ("", (str(cluster.room),))
    node.hear(deletion(1))
    await node.read()
    assert node.ids() == "2"
    node.hear(release(2))
    assert str(cluster.room) not in node.queues
    assert node.queues.bytes == 0


async def test_what_came_later_stays_behind_what_is_read_of_the_store() -> None:
    """Though a node heard of it before it began to read."""
    cluster = Cluster()
    first, second = Node(cluster), Node(cluster)
    await first.begin()
    old = cluster.waits(1, 2)
    await first.read()
    cluster.time.advance(5)
    second.hear(old[1], *cluster.waits(3))
    await second.begin()
    await second.read()
    assert second.ids() == "123"
    found = second.queues.first(str(cluster.room))
    assert found is not None
    assert found.since == pytest.approx(cluster.time.clock.monotonic() - 5)


async def test_what_is_not_heard_of_any_more_is_forgotten() -> None:
    """A node that follows a room no longer does not count what it noted there, but what it read."""
    cluster = Cluster()
    node = Node(cluster)
    room = str(cluster.room)
    node.hear(*cluster.waits(1, 2))
    node.queues.unfollowed(room)
    assert (room in node.queues, node.queues.bytes) == (False, 0)
    node.queues.unfollowed(room)
    await node.begin()
    await node.read()
    node.hear(*cluster.waits(3))
    node.queues.unfollowed(room)
    assert node.queues.ids(room) == ["Message00001", "Message00002"]
    node.queues.remove(room, node.queues.ids(room))
    assert node.queues.bytes == 0


async def test_a_stream_that_cannot_be_read() -> None:
    """It is tried again; meanwhile nothing is released."""
    cluster = Cluster()
    node = Node(cluster)
    await node.begin()
    cluster.waits(1)
    await node.read()
    cluster.streams.available = False
    for _ in range(2):
        with pytest.raises(ServiceUnavailableException):
            await node.held.prepare(str(cluster.room))
    cluster.streams.available = True
    assert await node.held.prepare(str(cluster.room))
    assert node.followed == [str(cluster.room)]


async def test_a_stream_that_was_made_anew() -> None:
    """It holds no release that was not read."""
    cluster = Cluster()
    node = Node(cluster)
    cluster.waits(1)
    await node.begin()
    await node.read()
    cluster.streams.make_anew()
    await node.begin()
    assert await node.held.prepare(str(cluster.room))


def test_what_nodes_of_before_make_of_it() -> None:
    """It is for moderators and its author to them, too, is in no log, and is not kept."""
    shown = Deliver(b"{}", "SendMessage", configurations=("c",), history=History.KEPT)
    made = held(shown, "bob")
    assert (made.audience, made.user_id) == (Audience.SHADOWED, "bob")
    assert (made.history, made.configurations, made.stage) == (History.PASSING, (), Stage.WAITS)
    apart = held(msgspec.structs.replace(shown, audience=Audience.SHADOWED), "bob")
    assert apart.stage is Stage.APART


async def test_what_is_read_comes_in_the_order_of_the_stream() -> None:
    """Though the first thing that a node heard of a room was the last that was written there."""
    cluster = Cluster()
    node = Node(cluster)
    await node.begin()
    made = cluster.waits(1, 2, 3)
    node.hear(made[2])
    assert node.ids() == ""
    await node.read()
    assert node.ids() == "123"
    first = node.queues.first(str(cluster.room))
    assert first is not None
    assert first.message is not None
    assert first.message.id == made[0].id


async def test_a_room_whose_messages_were_all_deleted_is_followed_no_longer() -> None:
    """Nothing is released there that could say so."""
    cluster = Cluster()
    node = Node(cluster)
    await node.begin()
    made = cluster.waits(1)
    await node.read()
    room = str(cluster.room)
    assert await node.held.prepare(room)
    node.hear(*made, deletion(1))
    cluster.publish(deletion(1))
    await node.read()
    assert node.followed == []
    assert not node.held.is_prepared(room)


async def test_what_another_node_reads_from_now_on() -> None:
    """It is forgotten in rooms that nobody follows here: nothing would say that it is released."""
    cluster = Cluster()
    node = Node(cluster)
    await node.begin()
    cluster.waits(1)
    await node.read()
    node.held.end(STREAM)
    assert (node.followed, node.was_followed) == ([], [str(cluster.room)])


@pytest.mark.parametrize("is_anew", [True, False])
async def test_a_stream_that_lost_what_was_to_be_read(is_anew: bool) -> None:
    """It was made anew, or its end is gone: what is there has to be read, and no more."""
    cluster = Cluster()
    node = Node(cluster)
    await node.begin()
    cluster.waits(1, 2)
    await node.read()
    cluster.publish(deletion(3), deletion(4))
    room = str(cluster.room)
    assert not await node.held.prepare(room)
    if is_anew:
        cluster.streams.make_anew()
    else:
        cluster.streams.lose_end(2)
    assert (await node.held.prepare(room) or await node.held.prepare(room)) is True


@pytest.mark.parametrize("from_the_first", [True, False])
async def test_a_leader_that_lacks_what_was_to_be_read(from_the_first: bool) -> None:
    """One that was just chosen does for a moment: nothing is released before all is read."""
    cluster = Cluster()
    node, room = Node(cluster), str(cluster.room)
    await node.begin()
    cluster.waits(1, 2)
    await node.read()
    stale = await cluster.streams.end(STREAM)
    cluster.publish(deletion(3), deletion(4))
    if from_the_first:
        cluster.streams.stale[STREAM] = stale
    assert not await node.held.prepare(room)
    cluster.streams.stale[STREAM] = stale
    assert [await node.held.prepare(room) for _ in range(2)] == [False, False]
    await node.read()
    assert await node.held.prepare(room)
