"""What every adapter of the bus gives again of what rooms have shown: the port `RoomHistory`.

Covers: greenroom.bus.nats.history
"""

import asyncio
from functools import partial

import pytest

from greenroom.bus.base import (
    MOST_KEPT,
    Arrival,
    Before,
    Bus,
    Deliver,
    History,
    Recovered,
    RoomEnvelope,
)

ROOM = "room"


async def say(
    bus: Bus, *numbers: int, room: str = ROOM, history: History = History.KEPT
) -> list[RoomEnvelope]:
    """Publish envelopes whose ids are their numbers, all at once; return them."""
    said = [
        Deliver(b"%d" % number, "SendMessage", id=f"{room}-{number}", history=history)
        for number in numbers
    ]
    outcomes = [bus.publish(room, partial(_granted, each)) for each in said]
    for outcome in outcomes:
        if not isinstance(outcome, int):
            await outcome
    return list(said)


def _granted(envelope: RoomEnvelope, _: Before) -> RoomEnvelope:
    return envelope


async def since(bus: Bus, number: int, room: str = ROOM) -> Recovered:
    """Return what the bus has behind an id."""
    found = bus.since(room, f"{room}-{number}")
    return found if isinstance(found, Recovered) else await found


async def recent(bus: Bus, count: int, room: str = ROOM) -> Recovered:
    """Return the newest that the bus has."""
    found = bus.recent(room, count)
    return found if isinstance(found, Recovered) else await found


@pytest.fixture
async def begun(bus: Bus) -> Bus:
    """Give a bus that has started and follows the room."""
    following = bus.follow(ROOM)
    if following is not None:
        await following
    await bus.start()
    return bus


async def test_what_somebody_missed(begun: Bus) -> None:
    """All behind the id that was seen last, in the room's order; it is there at once."""
    said = await say(begun, *range(10))
    for number in (0, 4, 9):
        found = begun.since(ROOM, f"{ROOM}-{number}")
        assert isinstance(found, Recovered)
        assert list(found.envelopes) == said[number + 1 :]
        assert found.complete


async def test_an_id_that_is_not_known(begun: Bus) -> None:
    """It is not complete, be it another room's, and there is what the room has."""
    said = await say(begun, *range(3))
    await say(begun, 77, room="other")
    for message_id in ("never", "other-77", ""):
        found = begun.since(ROOM, message_id)
        recovered = found if isinstance(found, Recovered) else await found
        assert list(recovered.envelopes) == said
        assert not recovered.complete


async def test_the_newest(begun: Bus) -> None:
    """As many as are asked for, oldest first; it says so if there are fewer."""
    said = await say(begun, *range(5))
    assert begun.newest(ROOM) == said[-1]
    two, nine = await recent(begun, 2), await recent(begun, 9)
    assert (list(two.envelopes), two.complete) == (said[3:], True)
    assert (list(nine.envelopes), nine.complete) == (said, False)
    assert await recent(begun, 9) == nine


async def test_a_room_that_has_nothing(begun: Bus) -> None:
    """There is nothing, and nothing is complete."""
    assert begun.newest("nobody's") is None
    assert (await recent(begun, 5, "nobody's")).envelopes == ()
    recovered = await since(begun, 1, "nobody's")
    assert (recovered.envelopes, recovered.complete) == ((), False)


async def test_what_is_not_kept(begun: Bus) -> None:
    """Passing things are left out; behind one of a room without history nothing before is given."""
    (first,) = await say(begun, 1)
    await say(begun, 2, history=History.PASSING)
    (third,) = await say(begun, 3)
    found = await since(begun, 1)
    assert (list(found.envelopes), found.complete) == ([third], True)
    assert not (await since(begun, 2)).complete
    await say(begun, 4, history=History.NONE)
    assert begun.newest(ROOM) is None
    (fifth,) = await say(begun, 5)
    for number in (first.id, third.id, "room-4"):
        lost = await since(begun, int(number.rpartition("-")[2]))
        assert (list(lost.envelopes), lost.complete) == ([fifth], False)


async def test_more_than_is_kept(begun: Bus) -> None:
    """The newest are there, the others are not, and who asks for these is told so."""
    said: list[RoomEnvelope] = []
    for start in range(0, MOST_KEPT, 500):
        said += await say(begun, *range(start, start + 500))
    assert (await since(begun, 0)).complete
    said += await say(begun, MOST_KEPT)
    trimmed = begun.since(ROOM, said[0].id)
    assert isinstance(trimmed, Recovered)
    assert (list(trimmed.envelopes), trimmed.complete) == (said[1:], False)
    assert (await since(begun, 1)).complete


async def test_the_seam(begun: Bus) -> None:
    """Who follows, asks, and takes what arrives behind the answer's position has each once."""
    arrived: list[Arrival] = []
    begun.on_arrival(arrived.append)
    said = await say(begun, 0)
    for number in range(1, 40):
        speaking = asyncio.ensure_future(say(begun, number))
        await asyncio.sleep(0)
        recovered = await since(begun, 0)
        said += await speaking
        behind = [each for each in arrived if each.position > recovered.position]
        live = [envelope for arrival in behind for envelope in arrival.envelopes]
        assert [*recovered.envelopes, *live] == said[1:]
        assert recovered.complete


async def test_who_is_shown_something_may_ask(begun: Bus) -> None:
    """What a receiver is told is in the answer that it gets, and not behind its position."""
    found: list[tuple[Arrival, object]] = []
    begun.on_arrival(lambda arrival: found.append((arrival, begun.since(ROOM, "room-0"))))
    said = await say(begun, 0)
    said += await say(begun, 1)
    for number, (arrival, recovered) in enumerate(found):
        assert isinstance(recovered, Recovered)
        assert list(recovered.envelopes) == said[1 : number + 1]
        assert recovered.position == arrival.position


async def test_nothing_is_given_after_the_end(begun: Bus) -> None:
    """Nothing is complete then, and nobody waits."""
    await say(begun, 1, 2)
    await begun.close()
    recovered = await since(begun, 5)
    assert not recovered.complete
