"""The rooms of this node: who sees what, in which order, in how many writes.

Covers: greenroom.messaging.fanout, greenroom.messaging.members, greenroom.messaging.writes
"""

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from unittest import mock

import msgspec
import pytest

from greenroom.bus.base import Arrival, Audience, Deliver, Disconnect, Stage
from greenroom.bus.memory import MemoryBus
from greenroom.chat.held_queues import held
from greenroom.chat.occupancy import Occupancy
from greenroom.chat.user_names import Named
from greenroom.messaging import fanout as fanout_module
from greenroom.messaging import hub as hub_module
from greenroom.messaging import present_users, writes
from greenroom.messaging.bulk_sender import LONGEST, BulkSender
from greenroom.messaging.fanout import Fanout
from greenroom.messaging.hub import Hub
from greenroom.messaging.sockets import NO_SOCKET
from greenroom.messaging.views import payload_for
from greenroom.model.arn import Arn, ResourceType
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.restriction import Kind, Restriction
from greenroom.model.room_settings import RoomSettings
from greenroom.protocol.frames import text_frame
from greenroom.protocol.wishes import View
from greenroom.telemetry.metrics import Metrics
from tests.running.io_uring import needs_io_uring
from tests.stand_ins.stage import ROOM, claims_of, settle

HERE = str(ROOM)
THERE = str(Arn("us-east-1", "123456789012", ResourceType.ROOM, "Room00000002"))


class Listener:
    """A connection that writes down what happens to it, in order."""

    def __init__(
        self, hub: Hub, user: str = "ann", room: str = HERE, view: View = View.PLAIN
    ) -> None:
        self.hub, self.user_id, self.room, self.view = hub, user, room, view
        self.log: list[bytes | str] = []
        self.key_id = "k"
        self.shown_names: list[str] = []
        self.may_moderate = view is View.MODERATORS
        self.is_bot = False
        self.claims, self.origin = claims_of(user_id=user, room_arn=room), b""
        self.attributes: dict[str, str] = {}
        self.when_written: Callable[[], None] | None = None
        self.gone = False
        hub.join(room, self)

    @property
    def is_open(self) -> bool:
        return not self.gone

    def renew(self, claims: ChatTokenClaims) -> None:
        self.claims = claims

    def write(self, data: bytes) -> None:
        if self.gone:
            return
        self.log.append(data)
        if self.when_written is not None:
            self.when_written()

    def expel(self) -> None:
        self.leave()

    def disconnect(self, reason: str, last: bytes = b"") -> None:
        self.log += [last] if last else []
        self.log.append(f"closed: {reason}")
        self.leave()

    def revoke(self) -> None:
        self.log.append("revoked")
        self.leave()

    def drain(self) -> None:
        self.log.append("drained")
        self.leave()

    def leave(self) -> None:
        self.gone = True
        self.hub.leave(self.room, self)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no room be busy: every flush is at the end of its tick."""
    monkeypatch.setattr(fanout_module, "FLUSH_INTERVAL", 0)


@pytest.fixture
def hub() -> Hub:
    """Give a hub without connections."""
    return Hub(MemoryBus(), Fanout(Metrics()))


@pytest.fixture(params=["one by one", pytest.param("io_uring", marks=needs_io_uring)])
def writing_hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Give a hub without connections that writes to sockets in one way or the other."""
    if request.param == "one by one":
        yield Hub(MemoryBus(), Fanout(Metrics()))
        return
    monkeypatch.setattr(fanout_module, "FEWEST", 1)
    sender = BulkSender(fanout_module.SLICE)
    with mock.patch.object(sender, "send", wraps=sender.send) as sending:
        yield Hub(MemoryBus(), Fanout(Metrics(), sender))
    sender.close()
    assert sending.called


def kick(hub: Hub, payload: bytes, user: str, reason: str) -> None:
    """Receive an event from the bus that ends a user's connections."""
    hub.receive(Arrival(HERE, 1, [Disconnect(payload, user, reason)]))


def deliver(hub: Hub, payload: bytes, room: str = HERE) -> None:
    """Receive a frame's text from the bus."""
    hub.receive(Arrival(room, 1, [Deliver(payload, "SendMessage")]))


SHOWN = {
    Audience.EVERYBODY: {"plain", "events", "moderator", "ann"},
    Audience.PLAIN: {"plain", "ann"},
    Audience.EVENTS: {"events", "moderator"},
    Audience.MODERATORS: {"moderator"},
    Audience.SENDER: {"ann"},
    Audience.YOU: set(),
    Audience.SHADOWED: {"ann", "moderator"},
}
"""Who of `audiences` is shown what is for whom."""


@pytest.mark.parametrize("audience", Audience)
async def test_a_frame_is_shown_to_its_audience(hub: Hub, audience: Audience) -> None:
    """To all of it, once, in the room's order, and to nobody else; so it is counted."""
    users = {"plain": View.PLAIN, "events": View.EVENTS, "moderator": View.MODERATORS}
    room = [Listener(hub, user, view=view) for user, view in users.items()] + [Listener(hub)]
    frames = [
        Deliver(b"1", "SendEvent"),
        Deliver(b"2", "Narrow", audience, "ann"),
        Deliver(b"3", "SendEvent"),
    ]
    hub.receive(Arrival(HERE, 1, frames))
    await settle()
    saw = {each.user_id: written(each) for each in room}
    one, two, three = (text_frame(each) for each in (b"1", b"2", b"3"))
    assert not hub._rooms[HERE].narrow, "what comes next is the same for all again"
    assert saw == {user: one + (two if user in SHOWN[audience] else b"") + three for user in saw}


async def test_a_moderator_who_is_shadowed_sees_himself_once(hub: Hub) -> None:
    """He is of two audiences of the same frame."""
    ann = Listener(hub, view=View.MODERATORS)
    hub.receive(Arrival(HERE, 1, [Deliver(b"x", "SendMessage", Audience.SHADOWED, "ann")]))
    await settle()
    assert written(ann) == text_frame(b"x")


@pytest.mark.parametrize("audience", [Audience.SENDER, Audience.SHADOWED])
async def test_a_frame_for_one_keeps_its_place_in_a_large_room(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, audience: Audience
) -> None:
    """Also among those that come while others are written to: order betrays no shadowed user."""
    monkeypatch.setattr(fanout_module, "SLICE", 1)
    others = [Listener(hub, f"user{number}") for number in range(3)]
    ann = Listener(hub)
    deliver(hub, b"1")
    while not others[0].log:
        await settle(1)
    assert not ann.log
    deliver(hub, b"2")
    hub.receive(Arrival(HERE, 2, [Deliver(b"3", "SendMessage", audience, "ann")]))
    deliver(hub, b"4")
    hub.receive(Arrival(HERE, 2, [Deliver(b"5", "SendMessage", audience, "ann")]))
    kick(hub, b"6", "ann", "bye")
    await settle(30)
    assert written(ann) == b"".join(map(text_frame, (b"1", b"2", b"3", b"4", b"5", b"6")))
    assert ann.log[-1] == "closed: bye"
    for each in others:
        assert written(each) == b"".join(map(text_frame, (b"1", b"2", b"4", b"6")))


@pytest.mark.parametrize("here", [True, False])
async def test_a_frame_for_one_costs_the_others_no_write(hub: Hub, *, here: bool) -> None:
    """Nor does it flush the room, least of all where that user has no connection."""
    bob = Listener(hub, "bob")
    ann = Listener(hub) if here else None
    deliver(hub, b"1")
    hub.receive(Arrival(HERE, 2, [Deliver(b"2", "SendMessage", Audience.SHADOWED, "ann")]))
    deliver(hub, b"3")
    await settle()
    assert bob.log == [text_frame(b"1") + text_frame(b"3")]
    if ann is not None:
        assert ann.log == [b"".join(map(text_frame, (b"1", b"2", b"3")))]
    hub.receive(Arrival(HERE, 3, [Deliver(b"4", "SendMessage", Audience.SHADOWED, "ann")]))
    assert bool(hub.fanout._due) is here


async def test_who_leaves_before_his_own_frame_is_written(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He is written to no more; the others are."""
    monkeypatch.setattr(fanout_module, "SLICE", 1)
    others = [Listener(hub, f"user{number}") for number in range(3)]
    ann, also_ann = Listener(hub), Listener(hub)
    frames = [Deliver(b"1", "SendMessage", Audience.SENDER, "ann"), Deliver(b"2", "SendMessage")]
    hub.receive(Arrival(HERE, 1, frames))
    while not others[0].log:
        await settle(1)
    ann.leave()
    await settle(30)
    assert ann.log == []
    assert also_ann.log == [text_frame(b"1") + text_frame(b"2")]
    assert all(each.log == [text_frame(b"2")] for each in others)


async def test_moderators_may_be_shown_another_frame(hub: Hub) -> None:
    """In its place in the order; nobody else sees the mark."""
    ann, moderator = Listener(hub), Listener(hub, "m", view=View.MODERATORS)
    deliver(hub, b"1")
    hub.receive(Arrival(HERE, 2, [Deliver(b"2", "SendMessage", marked=b"2!")]))
    deliver(hub, b"3")
    await settle()
    assert written(ann) == b"".join(map(text_frame, (b"1", b"2", b"3")))
    assert written(moderator) == b"".join(map(text_frame, (b"1", b"2!", b"3")))


async def test_nobody_sees_what_was_for_those_who_left(hub: Hub) -> None:
    """Who asked for events may leave before the flush of one; what comes with one is shown."""
    ann, other = Listener(hub), Listener(hub, "e", view=View.EVENTS)
    hub.receive(Arrival(HERE, 1, [Deliver(b"x", "SendEvent", Audience.EVENTS)]))
    other.leave()
    await settle()
    assert ann.log == []
    assert hub.fanout.deliveries["SendEvent"] == 0
    frames = [Deliver(b"x", "SendEvent", Audience.EVENTS), Deliver(b"y", "SendMessage")]
    hub.receive(Arrival(HERE, 2, frames))
    await settle()
    assert ann.log == [text_frame(b"y")]


async def test_frames_of_one_tick_are_one_write(hub: Hub) -> None:
    """A burst costs each connection one write, in the order of publication, per room."""
    here, also_here, there = Listener(hub), Listener(hub), Listener(hub, room=THERE)
    for payload in (b"1", b"2", b"3"):
        deliver(hub, payload)
        deliver(hub, payload * 2, THERE)
    assert here.log == []
    await settle()
    assert here.log == also_here.log == [text_frame(b"1") + text_frame(b"2") + text_frame(b"3")]
    assert here.log[0] is also_here.log[0]
    assert there.log == [text_frame(b"11") + text_frame(b"22") + text_frame(b"33")]
    deliver(hub, b"4")
    await settle()
    assert here.log[1:] == [text_frame(b"4")]
    assert len(there.log) == 1


async def test_a_joining_connection_misses_nothing(hub: Hub) -> None:
    """It sees every frame published after it joined, and none that was already written."""
    early = Listener(hub)
    deliver(hub, b"before")
    await settle()
    late = Listener(hub)
    deliver(hub, b"after")
    await settle()
    assert early.log == [text_frame(b"before"), text_frame(b"after")]
    assert late.log == [text_frame(b"after")]


@pytest.mark.parametrize("view", [View.PLAIN, View.EVENTS])
async def test_who_joins_with_history_is_not_shown_what_waits(hub: Hub, view: View) -> None:
    """It has it from there; nor is it counted for it."""
    early = Listener(hub)
    deliver(hub, b"waits")
    late, later = _with_history(hub, "bob", view), _with_history(hub, "eve", view)
    deliver(hub, b"new")
    hub.receive(Arrival(HERE, 1, [Deliver(b"own", "SendMessage", Audience.SENDER, "bob")]))
    latest, gone = _with_history(hub, "tim"), _with_history(hub, "zoe")
    gone.leave()
    await settle()
    waits, new, own = (text_frame(each) for each in (b"waits", b"new", b"own"))
    assert written(early) == waits + new
    assert (written(late), written(later)) == (new + own, new)
    assert (written(latest), written(gone)) == (b"", b"")
    assert hub.fanout.deliveries["SendMessage"] == 4
    assert hub.fanout.delivered_bytes == len(waits + 3 * new)
    deliver(hub, b"next")
    await settle()
    assert {each.log[-1] for each in (early, late, later, latest)} == {text_frame(b"next")}


def _with_history(hub: Hub, user: str = "ann", view: View = View.PLAIN) -> Listener:
    """Join as somebody who was shown all that has arrived so far."""
    listener = Listener(hub, user, view=view)
    hub.note_replayed(HERE, listener)
    return listener


async def test_who_renews_his_connection_misses_nothing(hub: Hub) -> None:
    """The former one may end as soon as the new one is there: SDKs do so, and drop what repeats."""
    Listener(hub)
    old = Listener(hub, "bob")
    deliver(hub, b"waits")
    new = Listener(hub, "bob")
    old.leave()
    await settle()
    assert (written(old), written(new)) == (b"", text_frame(b"waits"))
    assert hub.fanout.deliveries["SendMessage"] == 2


async def test_who_joins_is_told_of_settings_that_wait(hub: Hub) -> None:
    """What it was told when it joined may be older than they are."""
    Listener(hub)
    hub.receive(Arrival(HERE, 1, [Deliver(b"x", "SendMessage"), Deliver(b"s", "PinMessage")]))
    late = _with_history(hub)
    await settle()
    assert written(late) == text_frame(b"s")


async def test_a_room_is_written_to_once_in_a_tick(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noted once, and not at all while it is being written to, the end of which looks."""
    monkeypatch.setattr(fanout_module, "SLICE", 1)
    listeners = [Listener(hub) for _ in range(3)]
    room = hub._rooms[HERE]
    for payload in (b"1", b"2"):
        deliver(hub, payload)
        assert hub.fanout._due == [room]
    await settle(1)
    assert room.writing
    deliver(hub, b"3")
    assert hub.fanout._due == []
    await settle()
    first = text_frame(b"1") + text_frame(b"2")
    assert [each.log for each in listeners] == [[first, text_frame(b"3")]] * 3


async def test_what_comes_while_a_kick_is_shown(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown behind it, and the kicked leave as if nothing had come."""
    room = Sliced(hub, monkeypatch)
    deliver(hub, b"1")
    kick(hub, b"event", "user1", "spam")
    deliver(hub, b"2")
    await settle(30)
    seen = text_frame(b"1") + text_frame(b"event")
    assert room.whole("user1") == {(seen, "closed: spam")}
    assert room.whole("user0") == {(seen + text_frame(b"2"), text_frame(b"2"))}


async def test_a_busy_room_is_flushed_after_the_interval(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited is written then, time and again, and how much that was is noted."""
    monkeypatch.setattr(fanout_module, "FLUSH_INTERVAL", 0.01)
    here = Listener(hub)
    deliver(hub, b"0")
    await settle()
    for number in range(1, 4):
        hub._rooms[HERE].flushed = asyncio.get_running_loop().time()
        deliver(hub, b"%d" % number)
        await settle(1)
        assert (len(here.log), hub._rooms[HERE].waited) == (number, 1)
        deliver(hub, b"+")
        written = asyncio.Event()
        here.when_written = written.set
        await asyncio.wait_for(written.wait(), 10)
        assert hub._rooms[HERE].waited == 0
        assert here.log[-1] == text_frame(b"%d" % number) + text_frame(b"+")


async def test_nothing_is_noted_where_nothing_waits(hub: Hub) -> None:
    """A room whose frames are written waits for the next ones, and costs nothing until then."""
    Listener(hub)
    deliver(hub, b"1")
    await settle(1)
    assert (hub.fanout._due, hub._rooms[HERE].scheduled) == ([], False)


async def test_what_is_to_be_done_after_a_flush(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is done when everybody has what was there; where nobody is, at once."""
    done: list[int] = []
    hub.after_flush(HERE, lambda: done.append(0))
    assert done == [0]
    room = Sliced(hub, monkeypatch)
    deliver(hub, b"1")
    await settle(1)
    hub.after_flush(HERE, lambda: done.append(room.written()))
    assert done == [0]
    await settle(30)
    assert done == [0, 7]


async def test_what_a_flush_counts() -> None:
    """Each envelope for each connection by its action, the bytes, and how long it took."""
    metrics = Metrics()
    hub = Hub(MemoryBus(), Fanout(metrics))
    for _ in range(3):
        Listener(hub)
    hub.receive(Arrival(HERE, 1, [Deliver(b"x", "New"), Deliver(b"y", "SendEvent")]))
    await settle()
    assert (hub.fanout.deliveries["New"], hub.fanout.deliveries["SendEvent"]) == (3, 3)
    assert hub.fanout.delivered_bytes == 3 * len(text_frame(b"x") + text_frame(b"y"))
    value = metrics.registry.get_sample_value
    assert value("greenroom_fanout_seconds_count") == 1
    assert 0 <= (value("greenroom_fanout_seconds_sum") or 0) < 60


@pytest.mark.parametrize("more", [0, 1])
async def test_the_longest_that_a_sender_takes(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer is written to one connection at a time."""
    monkeypatch.setattr(fanout_module, "FEWEST", 1)
    sender = mock.Mock()
    sender.send.return_value = []
    hub = Hub(MemoryBus(), Fanout(Metrics(), sender))
    listener = Listener(hub)
    head = len(text_frame(bytes(LONGEST))) - LONGEST
    payload = b"x" * (LONGEST - head + more)
    deliver(hub, payload)
    await settle()
    (sent,) = (call.args[0] for call in sender.send.call_args_list)
    assert [data for _, data in sent] == [text_frame(payload)] * (1 - more)
    assert listener.log == [text_frame(payload)] * more


async def test_a_held_node(hub: Hub) -> None:
    """Nobody comes in, every action is refused, and what is under way is delivered."""
    listener = Listener(hub)
    assert (hub.held, hub.draining) == (False, False)
    hub.hold()
    assert (hub.held, hub.draining) == (True, True)
    deliver(hub, b"x")
    await settle()
    assert listener.log == [text_frame(b"x")]


@pytest.mark.parametrize("interval", [0.5, 3600])
async def test_a_busy_room_waits(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, interval: float
) -> None:
    """After a flush the next frames of the room wait for the interval; other rooms do not."""
    here, there = Listener(hub, "bob"), Listener(hub, room=THERE)
    deliver(hub, b"1")
    await settle()
    monkeypatch.setattr(fanout_module, "FLUSH_INTERVAL", interval)
    deliver(hub, b"2")
    deliver(hub, b"1", THERE)
    await settle()
    assert here.log == [text_frame(b"1")]
    assert there.log == [text_frame(b"1")]
    kick(hub, b"event", "bob", "spam")
    assert here.log[1:] == [text_frame(b"2") + text_frame(b"event"), "closed: spam"]


class Sliced:
    """A room of seven that is written to two connections at a time."""

    def __init__(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fanout_module, "SLICE", 2)
        self.hub = hub
        self.listeners = [Listener(hub, f"user{number % 2}") for number in range(7)]

    def written(self) -> int:
        return sum(bool(listener.log) for listener in self.listeners)

    def whole(self, user: str) -> set[tuple[bytes | str, ...]]:
        """Return what the user's connections saw, their writes joined."""
        return {
            (b"".join(part for part in each.log if isinstance(part, bytes)), *each.log[-1:])
            for each in self.listeners
            if each.user_id == user
        }


async def test_a_large_room_is_written_to_in_slices(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop gets a turn after each slice, and every connection sees one order."""
    room = Sliced(hub, monkeypatch)
    deliver(hub, b"1")
    counts = []
    while room.written() < 7:
        await settle(1)
        deliver(hub, b"2")
        counts.append(room.written())
    assert counts == [2, 4, 6, 7]
    await settle(20)
    assert {b"".join(map(bytes, each.log[:1])) for each in room.listeners} == {text_frame(b"1")}  # type: ignore[arg-type]
    assert len(room.whole("user0") | room.whole("user1")) == 1


async def test_who_leaves_between_slices_is_written_to_no_more(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections come and go between two slices; the others get the frame once."""
    room = Sliced(hub, monkeypatch)
    deliver(hub, b"1")
    await settle(1)
    gone = [each for each in room.listeners if not each.log][:2]
    for each in gone:
        each.leave()
    late = Listener(hub)
    deliver(hub, b"2")
    await settle(20)
    assert [each.log for each in gone] == [[], []]
    assert late.log == [text_frame(b"1"), text_frame(b"2")]
    stayed = [each for each in room.listeners if each not in gone]
    assert all(each.log == [text_frame(b"1"), text_frame(b"2")] for each in stayed)


async def test_who_renews_between_slices_misses_nothing(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His new connection is shown what the former one has not got, once, and before what follows.

    It is counted; until it is shown, it is what a connection that breaks goes on from.
    """
    room = Sliced(hub, monkeypatch)
    hub.receive(Arrival(HERE, 1, [Deliver(b"1", "SendMessage", id="first")]))
    await settle(1)
    old = next(each for each in room.listeners if not each.log)
    new = Listener(hub, old.user_id)
    old.leave()
    hub.receive(Arrival(HERE, 2, [Deliver(b"2", "SendMessage", id="second")]))
    assert new.log == []
    assert hub.to_come(HERE) == {"first", "second"}
    await settle(20)
    assert (old.log, new.log) == ([], [text_frame(b"1"), text_frame(b"2")])
    assert hub.to_come(HERE) == frozenset()
    assert hub.fanout.deliveries["SendMessage"] == 7 + 1 + 7
    assert hub.fanout.delivered_bytes == len(text_frame(b"1")) * (7 + 1 + 7)


async def test_who_joins_between_slices_is_shown_his_own(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in his view, with what is for him by name; a kick under way ends him behind its event.

    Who has history is shown of it only what he may have been told otherwise.
    """
    Sliced(hub, monkeypatch)
    Listener(hub, "bob")
    Listener(hub, "m", view=View.MODERATORS)
    frames: list[Deliver | Disconnect] = [
        Deliver(b"1", "SendMessage"),
        Deliver(b"2", "SendEvent", Audience.MODERATORS),
        Deliver(b"3", "SendMessage", Audience.SENDER, "bob"),
        Deliver(b"4", "PinMessage"),
        Disconnect(b"5", "bob", "bye"),
    ]
    hub.receive(Arrival(HERE, 1, frames))
    bob, moderator = Listener(hub, "bob"), Listener(hub, "m", view=View.MODERATORS)
    ann, gone = _with_history(hub), Listener(hub)
    gone.leave()
    await settle(20)
    one, two, three, four, five = (text_frame(b"%d" % number) for number in range(1, 6))
    assert bob.log == [one + three + four + five, "closed: bye"]
    assert moderator.log == [one + two + four + five]
    assert (ann.log, gone.log) == ([four], [])
    assert hub.fanout.deliveries["PinMessage"] == 9 + len((bob, moderator, ann))


async def test_who_was_shown_what_waits_is_not_shown_it_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He who wrote it and moderators, also who came while they were written to; others are."""
    Sliced(hub, monkeypatch)
    bob, eve = Listener(hub, "bob"), Listener(hub, "eve")
    moderator = Listener(hub, "m", view=View.MODERATORS)
    sent = Deliver(b"1", "SendMessage", id="first")
    hub.receive(Arrival(HERE, 1, [held(sent, "bob"), Deliver(b"2", "SendMessage")]))
    await settle(1)
    late, behind = Listener(hub, "bob"), _with_history(hub, "bob")
    await settle(20)
    after = Listener(hub, "bob")
    gone = Listener(hub, "m", view=View.MODERATORS)
    gone.leave()
    released = msgspec.structs.replace(sent, stage=Stage.RELEASED)
    hub.receive(Arrival(HERE, 2, [released, Deliver(b"3", "SendMessage")]))
    await settle(20)
    one, two, three = (text_frame(b"%d" % number) for number in range(1, 4))
    assert [each.log for each in (bob, moderator, late)] == [[one + two, three]] * 3
    assert eve.log == [two, one + three]
    assert [each.log for each in (behind, after)] == [[one + three]] * 2
    assert hub.members(HERE).early == {}  # type: ignore[union-attr]  # they are there


async def test_what_waits_and_is_released_at_once(hub: Hub) -> None:
    """It is shown once, to whoever it is; of what is deleted nothing is remembered."""
    listeners = [Listener(hub, "bob"), Listener(hub, "m", view=View.MODERATORS), Listener(hub)]
    sent = Deliver(b"1", "SendMessage", id="first")
    other = held(Deliver(b"2", "SendMessage", id="other"), "nobody")
    released = msgspec.structs.replace(sent, stage=Stage.RELEASED)
    deletion = Deliver(b"3", "DeleteMessage", deletes=("other",))
    hub.receive(Arrival(HERE, 1, [held(sent, "bob"), released, other, deletion]))
    await settle(20)
    one, two, three = (text_frame(b"%d" % number) for number in range(1, 4))
    assert [each.log for each in listeners] == [[one + three], [one + two + three], [one + three]]
    assert hub.members(HERE).early == {}  # type: ignore[union-attr]  # likewise


async def test_a_kick_is_not_delayed_by_a_busy_room(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is published between the slices, the kick comes right behind its event."""
    room = Sliced(hub, monkeypatch)
    deliver(hub, b"1")
    await settle(1)
    kick(hub, b"event", "user1", "spam")
    for _ in range(40):
        deliver(hub, b"more")
        await settle(1)
    seen = text_frame(b"1") + text_frame(b"event")
    ((data, end),) = room.whole("user1")
    assert isinstance(data, bytes)
    assert data.startswith(text_frame(b"1"))
    assert text_frame(b"event") in data
    assert len(data) < len(seen) + 10 * len(text_frame(b"more"))
    assert end == "closed: spam"
    assert {each.user_id for each in room.listeners if not each.gone} == {"user0"}


async def test_a_drain_is_not_delayed_by_a_busy_room(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drain that begins between slices ends every connection, whatever is published then."""
    room = Sliced(hub, monkeypatch)
    deliver(hub, b"1")
    await settle(1)
    deliver(hub, b"2")
    hub.drain()
    for _ in range(40):
        deliver(hub, b"more")
        await settle(1)
    assert all(each.log[-1] == "drained" for each in room.listeners)
    assert all(text_frame(b"2") in b"".join(each.log[:-1]) for each in room.listeners)  # type: ignore[arg-type]
    assert hub.connections == 0


async def test_leaving_in_the_middle_of_a_flush(hub: Hub) -> None:
    """A connection that leaves while it is written to neither breaks nor delays the others."""
    listeners = [Listener(hub) for _ in range(5)]
    for listener in listeners[1:4]:
        listener.when_written = listener.leave
    deliver(hub, b"1")
    await settle()
    deliver(hub, b"2")
    await settle()
    assert [len(listener.log) for listener in listeners] == [2, 1, 1, 1, 2]
    assert hub.connections == 2


async def test_a_room_that_empties_with_frames_pending(hub: Hub) -> None:
    """Frames of a room that everybody left go to nobody, not to those who come next."""
    first = Listener(hub)
    deliver(hub, b"old")
    first.leave()
    second = Listener(hub)
    deliver(hub, b"new")
    await settle()
    assert first.log == []
    assert second.log == [text_frame(b"new")]


async def test_nobody_listens(hub: Hub) -> None:
    """Envelopes about rooms without connections here cost nothing and harm nothing."""
    deliver(hub, b"1")
    kick(hub, b"2", "ann", "why")
    await settle()
    assert hub.connections == 0


async def test_kick(hub: Hub) -> None:
    """All connections of the user in that room close, after the event; no others do."""
    kicked = [Listener(hub, "bob"), Listener(hub, "bob")]
    other, elsewhere = Listener(hub, "bobby"), Listener(hub, "bob", THERE)
    deliver(hub, b"before")
    kick(hub, b"event", "bob", "spam")
    deliver(hub, b"after")
    await settle()
    seen = text_frame(b"before") + text_frame(b"event")
    assert [each.log for each in kicked] == [[seen, "closed: spam"]] * 2
    assert other.log == [seen, text_frame(b"after")]
    assert elsewhere.log == []
    assert hub.connections == 2


async def test_who_is_kicked_is_ended_before_others_are_told(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are in the room: nothing that comes later is his, and all is counted."""
    room = Sliced(hub, monkeypatch)
    late = Listener(hub, "bob")
    deliver(hub, b"1")
    kick(hub, b"event", "bob", "spam")
    assert late.log == [text_frame(b"1") + text_frame(b"event"), "closed: spam"]
    assert room.written() == 2
    await settle(30)
    assert hub.fanout.deliveries == {
        **dict.fromkeys(hub.fanout.deliveries, 0),
        "SendMessage": 8,
        "DisconnectUser": 8,
    }


async def test_what_is_published_behind_a_kick(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the room is being written to: it is not for him, and not counted as his."""
    Sliced(hub, monkeypatch)
    late = Listener(hub, "bob")
    deliver(hub, b"1")
    await settle(1)
    kick(hub, b"event", "bob", "spam")
    deliver(hub, b"2")
    await settle(30)
    seen = [text_frame(b"1"), text_frame(b"event")]
    assert late.log == [*seen, "closed: spam"]
    assert hub.fanout.deliveries["SendMessage"] == 8 + 7
    assert hub.fanout.delivered_bytes == 8 * len(b"".join(seen)) + 7 * len(text_frame(b"2"))


async def test_many_connections_of_who_is_kicked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """All leave at once, and are closed in slices: others are served in between."""
    monkeypatch.setattr(fanout_module, "ENDED_AT_ONCE", 2)
    kicked, other = [Listener(hub, "bob") for _ in range(5)], Listener(hub, "eve")
    kick(hub, b"event", "bob", "spam")
    deliver(hub, b"2")
    assert hub.connections == 1
    ended = [sum(bool(each.log) for each in kicked)]
    for _ in range(2):
        await settle(1)
        ended.append(sum(bool(each.log) for each in kicked))
    assert ended == [2, 4, 5]
    await settle()
    assert [each.log for each in kicked] == [[text_frame(b"event"), "closed: spam"]] * 5
    assert other.log == [text_frame(b"event"), text_frame(b"2")]


async def test_what_the_first_was_told_is_noted(hub: Hub) -> None:
    """Of settings and viewers; what later ones are told is not, nor of a room that nobody is in."""
    first, later = RoomSettings(frozen=True), RoomSettings(slow_mode_seconds=5)
    hub.note_told(HERE, first)
    hub.note_viewers(HERE, Occupancy(1, 1))
    assert hub.rooms == 0
    Listener(hub)
    ((_, members),) = hub._rooms.items()
    assert (members.settings_told, members.viewers_told) == (None, None)
    for settings, viewers in ((first, Occupancy(1, 1)), (later, Occupancy(2, 2))):
        hub.note_told(HERE, settings)
        hub.note_viewers(HERE, viewers)
    assert (members.settings_told, members.viewers_told) == (first, Occupancy(1, 1))


async def test_what_is_said_of_a_room_that_nobody_is_in(hub: Hub) -> None:
    """As of one that somebody else is in."""
    Listener(hub, "bob", THERE, View.MODERATORS)
    assert (hub.connections_in(HERE), hub.those_in(HERE), hub.with_events()) == (
        (0, (), [(THERE, hub._rooms[THERE])])
    )
    assert (hub.is_writing(HERE), hub.to_come(HERE)) == (False, frozenset())
    assert [hub.reaches(HERE, "bob", number) for number in (-1, 0, 1)] == [True, True, False]
    assert [hub.reaches(THERE, "bob", number) for number in (0, 1, 2)] == [True, True, False]
    assert [hub.connections_of_user(room, "bob") for room in (HERE, THERE)] == [0, 1]
    assert [hub.is_moderator(room, "bob") for room in (HERE, THERE)] == [False, True]
    assert not hub.is_moderator(THERE, "ann")
    done: list[str] = []
    hub.after_flush(HERE, lambda: done.append("done"))
    assert done == ["done"]


@pytest.mark.parametrize("at_once", [1, 3, 4_096])
async def test_whom_a_word_means(hub: Hub, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """An id before all names; else all who are shown by it, on however many connections."""
    monkeypatch.setattr(present_users, "AT_ONCE", at_once)
    for user, names in (("ann", ["Max"]), ("bob", ["Eve", "Max"]), ("bob", ["Eve"]), ("eve", [])):
        Listener(hub, user).shown_names = names
    find = present_users.NamedUsers(hub)
    named = [await find(HERE, word) for word in ("ann", "Eve", "eve", "Max", "nobody")]
    assert [each.is_id for each in named] == [True, False, True, False, False]
    assert [sorted(each.user_ids) for each in named] == [[], ["bob"], [], ["ann", "bob"], []]
    assert await find(THERE, "ann") == Named()


async def test_who_looks_for_users_takes_turns(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are there, the loop does something else behind each so many, and none more."""
    monkeypatch.setattr(present_users, "AT_ONCE", 2)
    for number in range(5):
        Listener(hub, f"user{number}")
    for looking in (
        present_users.PresentUsers(hub)(HERE, "", 9),
        present_users.NamedUsers(hub)(HERE, "nobody"),
    ):
        turns = 0
        with contextlib.suppress(StopIteration):
            while True:
                looking.send(None)
                turns += 1
        assert turns == 2


@pytest.mark.parametrize("reason", ["", "spam"])
async def test_a_ban_ends_connections(hub: Hub, reason: str) -> None:
    """Of one room, or of all rooms of the account; of that user alone; of a room nobody is in."""
    strange = str(Arn("us-east-1", "210987654321", ResourceType.ROOM, "Room00000003"))
    here, there, elsewhere = (Listener(hub, "bob", room) for room in (HERE, THERE, strange))
    other = Listener(hub, "eve", THERE)

    def ban(scope: str) -> Restriction:
        return Restriction(
            account=ROOM.account,
            scope=scope,
            user_id="bob",
            kind=Kind.BAN,
            by="ann",
            at=1,
            reason=reason,
        )

    ended = [f"closed: {reason or hub_module.BANNED}"]
    hub.enforce(ban(str(Arn("us-east-1", ROOM.account, ResourceType.ROOM, "Room00000009"))))
    hub.enforce(msgspec.structs.replace(ban(HERE), kind=Kind.MUTE))
    await settle()
    assert here.log == []
    hub.enforce(ban(HERE))
    await settle()
    assert [each.log for each in (here, there, elsewhere)] == [ended, [], []]
    hub.enforce(ban(ROOM.account))
    await settle()
    assert [each.log for each in (here, there, elsewhere)] == [ended, ended, []]
    assert other.log == []


async def test_counts(hub: Hub) -> None:
    """Connections are counted per account and region, and leaving twice counts once."""
    arns = [
        Arn(region, account, ResourceType.ROOM, "Room00000001")
        for region, account in (("us-east-1", "1"), ("us-east-1", "2"), ("eu-west-1", "1"))
    ]
    listeners = [Listener(hub, room=str(arn)) for arn in arns for _ in range(2)]
    listeners[0].leave()
    listeners[0].leave()
    counts = [hub.connections_of(arn.account, arn.region) for arn in arns]
    assert (counts, hub.connections) == ([1, 2, 2], 5)
    assert hub.connections_of("3", "us-east-1") == 0
    hub.leave(THERE, listeners[1])
    assert hub.connections == 5


async def test_the_connections_of_a_user(hub: Hub) -> None:
    """Those of a room are counted, on this node and on the others."""
    for user, room in (("ann", HERE), ("ann", HERE), ("bob", HERE), ("ann", THERE)):
        Listener(hub, user, room=room)
    hub.elsewhere = mock.Mock(wraps=hub.elsewhere)
    hub.elsewhere.connections_of_user_elsewhere = lambda room, _: 3 if room == HERE else 0
    counts = [hub.connections_of_user(*of) for of in ((HERE, "ann"), (HERE, "eve"), (THERE, "bob"))]
    assert counts == [5, 3, 0]
    assert hub.connections_of_user("a room of others", "ann") == 0


async def test_drain(hub: Hub) -> None:
    """At a restart every connection gets what is pending, then ends; the hub says so."""
    listeners = [Listener(hub), Listener(hub, room=THERE)]
    deliver(hub, b"last")
    hub.drain()
    hub.drain()
    assert hub.draining
    assert listeners[0].log == [text_frame(b"last"), "drained"]
    assert listeners[1].log == ["drained"]
    await settle()
    assert len(listeners[0].log) == 2
    assert hub.connections == 0


def mocked() -> tuple[Hub, mock.Mock]:
    """Return a hub whose line is a mock."""
    line = mock.create_autospec(MemoryBus, instance=True)
    line.settled.return_value = None
    return Hub(line, Fanout(Metrics())), line


async def test_a_room_is_followed_while_somebody_is_expected() -> None:
    """Who is about to join is told what to wait for; a room that he never joins is left."""
    hub, line = mocked()
    line.follow.return_value = awaited = asyncio.get_running_loop().create_future()
    assert hub.expect(HERE) is awaited
    hub.expect(HERE)
    hub.arrived(HERE)
    listener = Listener(hub)
    listener.leave()
    await settle()
    assert line.unfollow.mock_calls == []
    hub.arrived(HERE)
    await settle()
    assert line.unfollow.mock_calls == [mock.call(HERE)]
    hub.expect(HERE)
    hub.arrived(HERE)
    listener = Listener(hub)
    await settle()
    assert len(line.unfollow.mock_calls) == 1
    listener.leave()
    assert len(line.unfollow.mock_calls) == 2


async def test_a_drain_waits_for_what_was_sent() -> None:
    """Connections end when everything published has its outcome; a second drain does not wait."""
    hub, line = mocked()
    outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    line.settled.return_value = outcome
    listener = Listener(hub)
    hub.drain()
    assert (hub.draining, hub.settling, listener.log) == (True, True, [])
    outcome.set_result(None)
    await settle()
    assert listener.log == ["drained"]
    again, line = mocked()
    line.settled.return_value = asyncio.get_running_loop().create_future()
    listener = Listener(again)
    again.drain()
    again.drain()
    assert listener.log == ["drained"]


async def test_a_room_is_followed_while_somebody_is_in_it() -> None:
    """From the first join to the last leave, and only that room."""
    hub, line = mocked()
    first, second, there = Listener(hub), Listener(hub), Listener(hub, room=THERE)
    assert line.follow.mock_calls == [mock.call(HERE), mock.call(THERE)]
    first.leave()
    there.leave()
    assert line.unfollow.mock_calls == [mock.call(THERE)]
    second.leave()
    assert line.unfollow.mock_calls == [mock.call(THERE), mock.call(HERE)]


def written(listener: Listener) -> bytes:
    """Return everything that went through the connection."""
    return b"".join(entry for entry in listener.log if isinstance(entry, bytes))


async def test_writing_to_sockets(writing_hub: Hub) -> None:
    """What a socket does not take goes through the connection, in order and once."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.setblocking(False)
        taker, waiter = Listener(writing_hub), Listener(writing_hub)
        writing_hub.write_to(HERE, taker, mine)
        payload = bytes(range(256)) * 1000
        data = text_frame(payload)
        deliver(writing_hub, payload)
        await settle()
        taken = written(taker)
        assert 0 < len(taken) < len(data)
        assert data.endswith(taken)
        assert waiter.log == [data]
        deliver(writing_hub, b"more")
        await settle()
        assert taker.log[-1] == waiter.log[-1] == text_frame(b"more")
        received = bytearray()
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                received += theirs.recv(1 << 20)
        assert bytes(received) + taken == data


async def test_each_connection_gets_its_own(writing_hub: Hub) -> None:
    """Wherever a good, a broken and no socket stand, the rest goes to the right connection."""
    for kinds in itertools.product("gbn", repeat=4):
        with contextlib.ExitStack() as stack:
            pairs = [socket.socketpair() for _ in kinds]
            listeners = [Listener(writing_hub) for _ in kinds]
            for end in itertools.chain.from_iterable(pairs):
                stack.enter_context(end)
            for kind, listener, (mine, theirs) in zip(kinds, listeners, pairs, strict=True):
                if kind == "b":
                    theirs.close()
                if kind != "n":
                    writing_hub.write_to(HERE, listener, mine)
            deliver(writing_hub, b"x")
            await settle()
            for kind, listener, (_, theirs) in zip(kinds, listeners, pairs, strict=True):
                assert listener.log == ([] if kind == "g" else [text_frame(b"x")])
                assert kind != "g" or theirs.recv(100) == text_frame(b"x")
                listener.leave()


async def test_whom_a_room_writes_to(writing_hub: Hub) -> None:
    """Who comes, goes or begins to wait between two messages is written to as it is then."""
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(3)]
        for end in itertools.chain.from_iterable(pairs):
            stack.enter_context(end)
            end.setblocking(False)
        listeners = [Listener(writing_hub) for _ in range(2)]
        for listener, (mine, _) in zip(listeners, pairs, strict=False):
            writing_hub.write_to(HERE, listener, mine)

        async def said(payload: bytes) -> list[bool]:
            deliver(writing_hub, payload)
            await settle()
            got = []
            for _, theirs in pairs:
                try:
                    assert theirs.recv(100) == text_frame(payload)
                    got.append(True)
                except BlockingIOError:
                    got.append(False)
            return got

        assert await said(b"1") == [True, True, False]
        listeners.append(Listener(writing_hub))
        writing_hub.write_to(HERE, listeners[2], pairs[2][0])
        assert await said(b"2") == [True, True, True]
        writing_hub.write_to(HERE, listeners[0], NO_SOCKET)
        assert await said(b"3") == [False, True, True]
        assert listeners[0].log == [text_frame(b"3")]
        writing_hub.write_to(HERE, listeners[0], pairs[0][0])
        # Its descriptor may soon be another connection's.
        listeners[1].leave()
        assert await said(b"4") == [True, False, True]
        assert [each.log for each in listeners[1:]] == [[], []]


async def test_between_two_slices(writing_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is written to as it is when its slice comes; who left is not written to.

    Its socket may be open yet, or its number be that of another room's socket.
    """
    monkeypatch.setattr(fanout_module, "SLICE", 1)
    hub = writing_hub
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(4)]
        for end in itertools.chain.from_iterable(pairs):
            stack.enter_context(end)
            end.setblocking(False)
        listeners = [Listener(hub) for _ in range(5)]
        for listener, (mine, _) in zip(listeners[1:], pairs, strict=True):
            hub.write_to(HERE, listener, mine)
        hub.receive(Arrival(HERE, 1, [Deliver(b"x", "SendEvent")]))
        await asyncio.sleep(0)
        assert len(listeners[0].log) == 1
        hub.leave(HERE, listeners[1])
        hub.leave(HERE, listeners[2])
        mine, theirs = socket.socketpair()
        stack.enter_context(theirs).setblocking(False)
        number = pairs[1][0].fileno()
        pairs[1][0].close()
        with mine:
            os.dup2(mine.fileno(), number)
        reused = stack.enter_context(socket.socket(fileno=number))
        hub.write_to(THERE, Listener(hub, room=THERE), reused)
        hub.write_to(HERE, listeners[3], NO_SOCKET)
        await settle()
        for nobody in (pairs[0][1], pairs[2][1], theirs):
            with pytest.raises(BlockingIOError):
                nobody.recv(10)
        assert listeners[3].log == [text_frame(b"x")]
        assert pairs[3][1].recv(10) == text_frame(b"x")


async def test_rooms_of_one_tick(writing_hub: Hub) -> None:
    """All that a tick brought goes out at its end, each room's frames to that room alone."""
    rooms = [str(Arn("us-east-1", "123456789012", ResourceType.ROOM, f"Room{n}")) for n in range(9)]
    with contextlib.ExitStack() as stack:
        readers: dict[str, list[socket.socket]] = {}
        for number, room in enumerate(rooms):
            for _ in range(number):
                mine, theirs = socket.socketpair()
                stack.enter_context(mine).setblocking(False)
                stack.enter_context(theirs).setblocking(False)
                writing_hub.write_to(room, listener := Listener(writing_hub, room=room), mine)
                if number == 3:
                    mine.close()
                    listener.when_written = listener.leave
                readers.setdefault(room, []).append(theirs)
        # More than fits into one call.
        long = {3: b"3" * 50, 5: b"5" * 300_000, 7: b"7" * 200_000, 8: b"8" * 100_000}
        for number, room in enumerate(rooms):
            deliver(writing_hub, long.get(number, b"%d" % number), room)
        await settle()
        for number, room in enumerate(rooms):
            for theirs in readers.get(room, []):
                data = text_frame(long.get(number, b"%d" % number))
                received = theirs.recv(1 << 20)
                assert received == (b"" if number == 3 else data[: len(received)])
                assert received or number == 3
        assert writing_hub.rooms == 7


async def test_many_rooms_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rooms have something to write, the loop does what else there is in between.

    Nobody waits for all slices of a large room before the first of a small one.
    """
    monkeypatch.setattr(fanout_module, "SLICE", 4)
    hub = Hub(MemoryBus(), Fanout(Metrics()))
    order: list[str] = []
    sizes = {"large": 10, "a": 1, "b": 2, "c": 3, "d": 4}
    for name, size in sizes.items():
        room = str(Arn("us-east-1", "123456789012", ResourceType.ROOM, name))
        for _ in range(size):
            Listener(hub, room=room).when_written = partial(order.append, name)
        deliver(hub, b"x", room)
    asyncio.get_running_loop().call_soon(order.append, "other")
    while len([each for each in order if each != "|"]) < sum(sizes.values()) + 1:
        await asyncio.sleep(0)
        order.append("|")
    turns = "".join(each[0] for each in order if each != "other").strip("|").split("|")
    assert [turn for turn in turns if turn] == ["llll", "abbccc", "dddd", "llll", "ll"]


async def test_a_sender_that_fails() -> None:
    """No room stays silent: what comes later is written, in all slices and all rooms."""
    sender = mock.Mock()
    sender.send.side_effect = itertools.chain([OSError(5, "broken")], itertools.repeat([]))
    hub = Hub(MemoryBus(), Fanout(Metrics(), sender))
    for _ in range(fanout_module.SLICE + 1):
        Listener(hub)
    for _ in range(50):
        Listener(hub, room=THERE)
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: faults.append(what))
    for _ in range(3):
        deliver(hub, b"x")
        deliver(hub, b"x", THERE)
        await settle()
    assert len(faults) == 1
    sent = [sum(len(each) for each, _ in call.args[0]) for call in sender.send.call_args_list]
    assert sent == [fanout_module.SLICE, 51] * 3


async def test_a_drain_of_many_is_spread(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections end in batches, each behind what was published before; the others chat on."""
    monkeypatch.setattr(hub_module, "DRAINED_AT_ONCE", 6)
    monkeypatch.setattr(hub_module, "DRAIN_STEP", 0.001)
    listeners = [Listener(hub, room=HERE if number < 4 else THERE) for number in range(7)]
    deliver(hub, b"before")
    hub.drain(0.004)
    assert hub.draining
    assert [each.gone for each in listeners] == [True] * 2 + [False] * 5
    deliver(hub, b"meanwhile")
    deliver(hub, b"meanwhile", THERE)
    await hub.drained.wait()
    assert all(each.gone for each in listeners)
    first, second = text_frame(b"before"), text_frame(b"meanwhile")
    logs = [(b"".join(each.log[:-1]), each.log[-1]) for each in listeners]  # type: ignore[arg-type]
    assert logs[:2] == [(first, "drained")] * 2
    assert logs[2:4] == [(first + second, "drained")] * 2
    assert logs[4:] == [(second, "drained")] * 3
    assert hub.connections == 0


async def test_a_drain_of_few_is_not_spread(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """All end at once: nobody is overrun by so few who come back."""
    monkeypatch.setattr(hub_module, "DRAINED_AT_ONCE", 5)
    listeners = [Listener(hub) for _ in range(5)]
    hub.drain(3600)
    assert all(each.gone for each in listeners)
    assert hub.drained.is_set()


async def test_a_drain_that_is_spread_can_be_cut_short(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the time is over the rest ends at once."""
    monkeypatch.setattr(hub_module, "DRAINED_AT_ONCE", 1)
    monkeypatch.setattr(hub_module, "DRAIN_STEP", 0.001)
    listeners = [Listener(hub) for _ in range(5)]
    hub.drain(3600)
    assert not hub.drained.is_set()
    hub.drain()
    assert all(each.gone for each in listeners)
    assert hub.drained.is_set()


async def test_the_connections_of_a_killed_key_end(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all rooms, however many there are, and nobody else's."""
    monkeypatch.setattr(hub_module, "SLICE", 2)
    listeners = [Listener(hub, room=HERE if number % 2 else THERE) for number in range(9)]
    for number in (0, 3):
        listeners[number].key_id = "other"
    hub.revoke("k")
    for _ in range(5):
        await asyncio.sleep(0)
    assert [each.gone for each in listeners] == [n not in {0, 3} for n in range(9)]


async def test_what_waits_is_looked_for_where_it_is_shown(hub: Hub) -> None:
    """However many viewers a room has: nobody asks of each what it would be shown."""
    Listener(hub, "bob"), Listener(hub, "m", view=View.MODERATORS)
    for number in range(100):
        Listener(hub, f"viewer-{number}")
    asked = mock.Mock(side_effect=payload_for)
    with mock.patch.object(writes, "payload_for", asked):
        sent = [Deliver(b"1", "SendMessage", id=f"m{number}") for number in range(10)]
        hub.receive(Arrival(HERE, 1, [held(each, "bob") for each in sent]))
        await settle(20)
    assert asked.call_count < 100
