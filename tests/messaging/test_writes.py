"""What each connection of a room is shown in its turn, and that its turn betrays nothing."""

import asyncio

import pytest

from greenroom.bus.base import Arrival, Audience, Deliver, Stage
from greenroom.bus.memory import MemoryBus
from greenroom.messaging import fanout as fanout_module
from greenroom.messaging import writes as writes_module
from greenroom.messaging.fanout import Fanout
from greenroom.messaging.hub import Hub
from greenroom.protocol.actions import DeleteMessage
from greenroom.protocol.frames import text_frame
from greenroom.protocol.wishes import View
from greenroom.telemetry.metrics import Metrics
from tests.messaging.test_hub import HERE, Listener, deliver, kick
from tests.stand_ins.stage import settle

OWN = text_frame(b"own")


class Time:
    """The clock of flushes, set by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Give a clock by which writing to each of a room takes a second; no timer is waited for."""
    found = Time()
    monkeypatch.setattr(fanout_module, "FLUSH_INTERVAL", 0)
    monkeypatch.setattr(fanout_module, "perf_counter", found)
    monkeypatch.setattr(writes_module, "perf_counter", found)
    monkeypatch.setattr(writes_module, "EACH_SECONDS", 1.0)
    monkeypatch.setattr(fanout_module, "TICK", 1e6)
    monkeypatch.setattr(fanout_module, "FEW", 0)
    return found


@pytest.fixture
def hub() -> Hub:
    """Give a hub without connections."""
    return Hub(MemoryBus(), Fanout(Metrics()))


def shadowed(hub: Hub, payload: bytes = b"own", action: str = "SendMessage") -> None:
    """Receive what ann wrote while she is shadowed."""
    hub.receive(Arrival(HERE, 2, [Deliver(payload, action, Audience.SHADOWED, "ann")]))


async def room(hub: Hub) -> tuple[list[Listener], Listener, list[Listener]]:
    """Return who joined before ann, ann, and who joined behind her."""
    before = [Listener(hub, f"user{number}") for number in range(3)]
    ann = Listener(hub)
    return before, ann, [Listener(hub, f"late{number}") for number in range(2)]


async def test_who_is_addressed_by_name_has_it_in_his_turn(
    hub: Hub, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind those who joined before him, and before the others, in one turn with his slice."""
    monkeypatch.setattr(fanout_module, "SLICE", 3)
    before, ann, behind = await room(hub)
    deliver(hub, b"1")
    shadowed(hub)
    for written in ((3, 0, 0), (3, 1, 2)):
        await settle(1)
        assert (
            sum(bool(each.log) for each in before),
            len(ann.log),
            sum(bool(each.log) for each in behind),
        ) == written
    assert ann.log == [text_frame(b"1") + OWN]
    assert {tuple(each.log) for each in (*before, *behind)} == {(text_frame(b"1"),)}


@pytest.mark.parametrize("slice_of", [2, 100])
async def test_what_only_a_shadowed_user_sees_takes_as_long_as_what_all_see(
    hub: Hub, time: Time, monkeypatch: pytest.MonkeyPatch, slice_of: int
) -> None:
    """It is there when the room's other connections before his would have been written to."""
    monkeypatch.setattr(fanout_module, "SLICE", slice_of)
    before, ann, behind = await room(hub)
    shadowed(hub)
    for _ in range(3):
        await settle()
        assert ann.log == []
        time.seconds += 1
    await settle()
    assert ann.log == [OWN]
    # Nor is what follows there any sooner.
    deliver(hub, b"2")
    for _ in range(2):
        await settle()
        assert before[0].log == []
        time.seconds += 1
    await settle()
    assert ann.log == [OWN, text_frame(b"2")]
    assert {tuple(each.log) for each in (*before, *behind)} == {(text_frame(b"2"),)}


async def test_so_it_does_among_what_others_see(hub: Hub, time: Time) -> None:
    """What moderators are told in the same flush gives him no start of those who see nothing."""
    _, ann, _ = await room(hub)
    told = Deliver(b"2", "SendEvent", Audience.MODERATORS)
    own = Deliver(b"own", "SendMessage", Audience.SHADOWED, "ann")
    Listener(hub, "mod", view=View.MODERATORS)
    hub.receive(Arrival(HERE, 2, [told, own]))
    await settle()
    assert ann.log == []
    time.seconds += 3
    await settle()
    assert ann.log == [OWN]


async def test_so_does_what_tells_him_of_deletions(hub: Hub, time: Time) -> None:
    """Of what he wrote, as of what others did."""
    _, ann, _ = await room(hub)
    shadowed(hub, b"own", DeleteMessage.operation)
    await settle()
    assert ann.log == []
    time.seconds += 3
    await settle()
    assert ann.log == [OWN]


async def test_a_room_is_measured_by_what_all_saw(hub: Hub, time: Time) -> None:
    """The last time; not by what few saw, nor by pauses: each would make the next one longer."""
    before, ann, _ = await room(hub)
    before[0].when_written = lambda: setattr(time, "seconds", time.seconds + 12)
    deliver(hub, b"1")
    await settle()
    before[0].when_written = None
    moderator = Listener(hub, "mod", view=View.MODERATORS)
    moderator.when_written = lambda: setattr(time, "seconds", time.seconds + 900)
    hub.receive(Arrival(HERE, 2, [Deliver(b"2", "SendEvent", Audience.MODERATORS)]))
    await settle()
    for _ in range(2):
        ann.log.clear()
        shadowed(hub)
        await settle()
        time.seconds += 5.9
        await settle()
        assert ann.log == []
        time.seconds += 0.2
        await settle()
        assert ann.log == [OWN]
        time.seconds += 1000
        await settle()


async def test_a_flush_that_took_long_for_once(hub: Hub, time: Time) -> None:
    """It changes little: what else the machine did is in it."""
    before, _, _ = await room(hub)
    members = hub.members(HERE)
    assert members is not None
    for seconds in (6.0, 6.0, 900.0, 6.0):
        before[0].when_written = lambda each=seconds: setattr(time, "seconds", time.seconds + each)
        deliver(hub, b"1")
        await settle()
    assert 0.8 < members.each_seconds < 1.2


async def test_nothing_takes_longer_where_he_is_not(hub: Hub, time: Time) -> None:
    """On other nodes moderators see what he writes, and nobody there waits for anything."""
    others = [Listener(hub, f"user{number}") for number in range(3)]
    moderator = Listener(hub, "mod", view=View.MODERATORS)
    shadowed(hub)
    await settle()
    assert moderator.log == [OWN]
    assert all(each.log == [] for each in others)
    deliver(hub, b"2")
    await settle()
    assert all(each.log == [text_frame(b"2")] for each in others)


@pytest.mark.parametrize(
    ("audience", "stage"), [(Audience.SENDER, Stage.NONE), (Audience.SHADOWED, Stage.WAITS)]
)
async def test_what_is_no_secret_takes_no_longer(
    hub: Hub, time: Time, audience: Audience, stage: Stage
) -> None:
    """Whoever asked has his answer at once, and a message that waits for all is its author's."""
    _, ann, _ = await room(hub)
    frame = Deliver(b"own", "SendMessage", audience, "ann", id="m", stage=stage)
    hub.receive(Arrival(HERE, 2, [frame]))
    await settle()
    assert ann.log == [OWN]


async def test_few_are_not_waited_for(
    hub: Hub, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing to them takes less than a turn of the loop."""
    monkeypatch.setattr(writes_module, "EACH_SECONDS", writes_module.SHORTEST / 3)
    _, ann, _ = await room(hub)
    shadowed(hub)
    await settle(1)
    assert ann.log == [OWN]


async def test_a_long_pause_is_a_timer_of_the_loop(
    hub: Hub, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its end is waited for turn by turn."""
    monkeypatch.setattr(fanout_module, "TICK", 0.25)
    later: list[float] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda s, *_: later.append(s))
    _, ann, _ = await room(hub)
    shadowed(hub)
    await settle()
    assert (later, ann.log) == ([2.75], [])


async def test_who_is_kicked_meanwhile(hub: Hub, time: Time) -> None:
    """He has what was his before, and waits no longer than with what all see."""
    _, ann, _ = await room(hub)
    shadowed(hub)
    await settle()
    kick(hub, b"event", "ann", "spam")
    await settle()
    assert ann.log == []
    time.seconds += 3
    await settle()
    time.seconds += 2
    await settle()
    assert ann.log == [OWN, text_frame(b"event"), "closed: spam"]


async def test_who_leaves_meanwhile(hub: Hub, time: Time) -> None:
    """He is written to no more; the room goes on."""
    before, ann, _ = await room(hub)
    shadowed(hub)
    await settle()
    ann.leave()
    deliver(hub, b"2")
    time.seconds += 3
    await settle()
    time.seconds += 2
    await settle()
    assert ann.log == []
    assert before[0].log == [text_frame(b"2")]
