"""Users of untouched applications go on where their connections broke."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any
from unittest import mock

import pytest

from greenroom.messaging import resumes
from greenroom.messaging.lost_nodes import LostNodes
from greenroom.messaging.resumes import Place, Resumes
from greenroom.protocol.session import Session
from greenroom.protocol.wishes import Wishes
from tests.messaging.test_own_actions import connected, do, took
from tests.messaging.test_replays import VIEWER, contents, kept, say, told
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.stage import (
    ROOM,
    Stage,
    Transport,
    claims_of,
    client_frame,
    frames_of,
    settle,
    stage,
    token,
)


def least(_room: str, places: Collection[str]) -> str:
    """Return the oldest place in a room whose ids ascend."""
    return min(places)


async def room(made: Stage) -> tuple[Any, Any]:
    """Return a moderator of a room whose users are given what they missed."""
    return await kept(made, resumeSeconds=60)


async def viewer(made: Stage, url: str = "/") -> tuple[Any, Transport, list[str]]:
    """Return a connection of bob's, and what it began with."""
    edge, transport = await connected(made, "bob", url, **VIEWER)
    return edge, transport, contents(took(transport))


def answer_ping(edge: Any, transport: Transport) -> None:
    """Answer the last ping."""
    pings = [payload for first, payload in frames_of(transport.take()) if first == 0x89]
    edge.data_received(client_frame(pings[-1], 0x8A))


async def test_what_was_missed_comes() -> None:
    """Byte for byte what the others saw; behind the last ping that was answered, or the begin."""
    async with stage() as made:
        ann = await room(made)
        await say(ann, "zero")
        bob, transport, began = await viewer(made)
        assert began == []
        await say(ann, "one")
        bob.connection_lost(None)
        await say(ann, "two")
        bob, transport, began = await viewer(made)
        assert began == ["one", "two"]
        await say(ann, "three")
        bob.ping()
        answer_ping(bob, transport)
        await say(ann, "four")
        bob.drain()
        bob, _, began = await viewer(made)
        assert began == ["four"]
        assert (await viewer(made))[2] == []


async def test_the_first_ping_comes_soon() -> None:
    """When an SDK has forgotten a renewal; where no place is kept nobody is asked for one."""
    async with stage() as made:
        deadlines = made.edges.deadlines
        for keeps in (False, True):
            if keeps:
                await room(made)
            with mock.patch.object(deadlines, "after", wraps=deadlines.after) as after:
                bob, _, _ = await viewer(made)
            soon = [each.args[0] for each in after.mock_calls if each.args[1] == bob.ping]
            assert soon == ([resumes.FIRST_PING_SECONDS] if keeps else [])


async def test_who_was_on_a_node_that_died() -> None:
    """It tells nobody where he stood: he begins behind what he was shown by then, for certain."""
    async with stage() as made:
        ann = await room(made)
        lost = mock.create_autospec(LostNodes, instance=True)
        lost.look.return_value = [answer := asyncio.get_running_loop().create_future()]
        made.replays.lost = lost
        for number in range(4):
            made.time.advance(1)
            await say(ann, str(number))
        lost.take.return_value = made.time.wall_ns - 1_500_000_000
        _, transport = made.begin(token(user_id="bob"))
        await settle()
        assert not transport.take(), "whether the node lives is not known yet"
        answer.set_result(None)
        await settle()
        assert contents(took(transport)) == ["2", "3"]
        lost.look.assert_called_once_with(str(ROOM), "bob")
        lost.take.assert_called_with(str(ROOM), "bob", 60)
        lost.take.return_value = made.time.wall_ns - 3600 * 10**9
        assert (await viewer(made))[2] == ["0", "1", "2", "3"]
        lost.take.return_value = 0
        assert (await viewer(made))[2] == []
        lost.look.reset_mock()
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"resumeSeconds": None}})
        assert (await viewer(made))[2] == []
        lost.look.assert_not_called()


async def test_a_room_in_which_nothing_was_said_yet() -> None:
    """The first message is missed by nobody."""
    async with stage() as made:
        ann = await room(made)
        made.bus.rings.clear()
        made.store.history._rooms.clear()
        bob, _, began = await viewer(made)
        assert (began, bob.place.since[0]) == ([], "-")
        bob.connection_lost(None)
        await say(ann, "first")
        assert (await viewer(made))[2] == ["first"]


async def test_who_ends_well_just_begins() -> None:
    """A closed tab, a kick and a renewed token leave no place; no setting, none either."""
    async with stage() as made:
        ann = await room(made)
        await say(ann, "zero")
        for end in ("close", "kick", "expire"):
            bob, _, _ = await viewer(made)
            if end == "close":
                bob.data_received(client_frame(b"\x03\xe8", 0x88))
            elif end == "kick":
                bob.disconnect("out")
            else:
                bob.expire()
                await settle()
            bob.connection_lost(None)
            await say(ann, "said")
            assert (await viewer(made))[2] == []
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"resumeSeconds": None}})
        bob, _, _ = await viewer(made)
        bob.connection_lost(None)
        await say(ann, "said")
        assert (await viewer(made))[2] == []


async def test_where_somebody_stands_who_comes() -> None:
    """Behind what he was given, or before what he is yet to be shown; for as long as is set."""
    async with stage() as made:
        ann = await room(made)
        ids = await say(ann, "one", "two")
        session, known = Session(claims_of(**VIEWER), 0, 0), await made.rooms.get(str(ROOM))
        for wishes, since in ((Wishes(history=9), ids[1]), (Wishes(), ids[0])):
            _, place = made.replays.first(session, wishes, known, {ids[1]})
            assert place == Place(since, 60)


async def test_history_and_what_was_missed() -> None:
    """The last messages that were asked for, and everything that was missed, each once."""
    async with stage() as made:
        ann = await room(made)
        ids = await say(ann, "one", "two")
        bob, _, _ = await viewer(made)
        bob.connection_lost(None)
        await made.chat.delete_message(bob.session.claims.room_arn, ids[0], None)
        await say(ann, "three")
        _, _, began = await viewer(made, "/?history=2")
        assert began == ["two", "aws:DELETE_MESSAGE", "three"]
        bob, transport = await connected(made, "bob", "/?history=2&events=on", **VIEWER)
        bob.connection_lost(None)
        await say(ann, "four", "five", "six")
        _, transport = await connected(made, "bob", "/?history=2&events=on", **VIEWER)
        frames = took(transport)
        assert contents(frames)[2:] == ["four", "five", "six"]
        assert told(frames) == {"Count": "3", "More": "false", "Recovered": "true"}


async def test_since_goes_before() -> None:
    """Who says where he stands is given what is behind that."""
    async with stage() as made:
        ann = await room(made)
        ids = await say(ann, "one", "two")
        bob, _, _ = await viewer(made)
        bob.connection_lost(None)
        await say(ann, "three")
        assert (await viewer(made, f"/?since={ids[0]}"))[2] == ["two", "three"]
        assert (await viewer(made))[2] == []


@pytest.mark.parametrize("order", [("1 older", "2 newer"), ("2 newer", "1 older")])
def test_two_devices(order: Sequence[str]) -> None:
    """Each goes on from the older place, whichever broke first; then there is none left."""
    time = HandClock()
    places = Resumes(time.clock, least)
    for each in order:
        places.leave("room", "bob", Place(each, 60))
    assert places.take("other", "bob") == places.take("room", "eve") == ""
    assert [places.take("room", "bob") for _ in range(3)] == ["1 older", "1 older", ""]
    places.leave("room", "bob", Place("here", 60))
    time.advance(60)
    assert places.take("room", "bob") == "here"
    places.leave("room", "bob", Place("here", 60))
    time.advance(60.001)
    assert places.take("room", "bob") == ""
    assert not places._left
    for each in order:
        places.leave("room", "bob", Place(each, 60))
        time.advance(59)
    assert places.take("room", "bob") == "1 older", "the time begins with the last that broke"


async def test_the_oldest_place_is_that_of_the_room() -> None:
    """Not of what its name is: both devices are given what the one behind missed."""
    async with stage() as made:
        ann = await room(made)
        ids = await say(ann, "one", "two", "three")
        for older, newer in ((ids[0], ids[1]), (ids[1], ids[0])):
            for each in (older, newer):
                made.replays.resumes.learn(str(ROOM), "bob", each, 60)
            assert [(await viewer(made))[2] for _ in range(2)] == [["two", "three"]] * 2
        for each in (ids[0], "-"):
            made.replays.resumes.learn(str(ROOM), "bob", each, 60)
        assert [(await viewer(made))[2] for _ in range(2)] == [["one", "two", "three"]] * 2
        # What nobody has any more is further back: nothing is said to be all that he missed.
        for each in (ids[0], "-", "elsewhere000"):
            made.replays.resumes.learn(str(ROOM), "bob", each, 60)
        _, transport = await connected(made, "bob", "/?events=on", **VIEWER)
        assert told(took(transport))["Recovered"] == "false"


def test_a_connection_that_stood_nowhere() -> None:
    """It leaves no place, takes nobody's away, and nobody is told of it."""
    places = Resumes(HandClock().clock, least)
    told: list[tuple[str, str, str, int]] = []
    places.when_changed = lambda *change: told.append(change)
    places.leave("room", "bob", Place("here", 60))
    places.leave("room", "bob", Place("", 60))
    assert told == [("room", "bob", "here", 60)]
    assert [places.take("room", "bob") for _ in range(2)] == ["here", ""]
    assert told[1:] == [("room", "bob", "", 0)]


def test_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many users' places are kept; then the oldest go. Of one user the first are."""
    monkeypatch.setattr(resumes, "MOST_PLACES", 2)
    monkeypatch.setattr(resumes, "MOST_OF_ONE", 2)
    places = Resumes(HandClock().clock, least)
    for place in ("3", "2", "2", "1"):
        places.leave("room", "bob", Place(place, 60))
    assert [places.take("room", "bob") for _ in range(5)] == [*["2"] * 4, ""]
    for user in ("ann", "bob", "eve"):
        places.leave("room", user, Place("here", 60))
    assert [places.take("room", user) for user in ("ann", "bob", "eve")] == ["", "here", "here"]
    assert places.dropped == 1


async def test_who_stood_before_everything_on_another_node() -> None:
    """He is given all there is, if that is all that there ever was."""
    async with stage() as made:
        ann = await room(made)
        made.replays.resumes.learn(str(ROOM), "bob", "-", 60)
        # Another word for it that this node does not know.
        made.replays.resumes.learn(str(ROOM), "eve", "-x", 60)
        await say(ann, "one")
        assert (await viewer(made))[2] == ["one"]
        bob, _, _ = await viewer(made)
        await say(ann, "two")
        bob.data_received(client_frame(b"-", 0x8A))
        bob.connection_lost(None)
        assert (await viewer(made))[2] == ["two"]
        ring = made.bus.rings.of(str(ROOM), 0)
        ring.more = True
        ring.changed()
        made.replays.resumes.learn(str(ROOM), "bob", "-", 60)
        _, transport = await connected(made, "bob", "/?events=on", **VIEWER)
        assert told(took(transport))["Recovered"] == "false"


@pytest.mark.parametrize("pong", [b"", b"\xff" * 12, b"elsewhere000", b"-0"])
async def test_a_pong_that_was_not_asked_for(pong: bytes) -> None:
    """Nothing comes of it but that nothing is recovered."""
    async with stage() as made:
        ann = await room(made)
        await say(ann, "zero")
        bob, _, _ = await viewer(made)
        bob.data_received(client_frame(pong, 0x8A))
        bob.connection_lost(None)
        await say(ann, "one")
        assert (await viewer(made))[2] in ([], ["one"])
