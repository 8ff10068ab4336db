"""What a connection begins with: history, and what it missed.

Covers: greenroom.chat.history, greenroom.messaging.views
"""

import json
from typing import Any
from unittest import mock

import pytest

from greenroom.bus.base import Deliver
from greenroom.chat import history
from greenroom.messaging import replays
from greenroom.model.chat_token import IVS_CAPABILITIES
from greenroom.model.restriction import Kind
from tests.messaging.test_own_actions import connected, do, took
from tests.stand_ins.stage import ROOM, Stage, client_frame, settle, stage, token

VIEWER: dict[str, Any] = {"capabilities": IVS_CAPABILITIES}


async def kept(made: Stage, **settings: Any) -> tuple[Any, Any]:
    """Return a moderator of a room that keeps history."""
    ann = await connected(made, "ann", "/?events=on")
    await do(*ann, {"Action": "greenroom:SET", "Settings": {"historyMessages": 100, **settings}})
    return ann


async def say(who: tuple[Any, Any], *contents: str) -> list[str]:
    """Send messages; return their ids."""
    ids = []
    for content in contents:
        frames = await do(*who, {"Action": "SEND_MESSAGE", "Content": content})
        ids.append(str(frames[-1]["Id"]))
    return ids


async def came(made: Stage, user: str, url: str, **claims: Any) -> list[dict[str, Any]]:
    """Return what somebody is shown who comes."""
    return took((await connected(made, user, url, **{**VIEWER, **claims}))[1])


def contents(frames: list[dict[str, Any]]) -> list[str]:
    """Return what messages say, and the names of events."""
    return [each.get("Content") or each["EventName"] for each in frames]


def told(frames: list[dict[str, Any]]) -> dict[str, str]:
    """Return the attributes of the HISTORY among frames."""
    (found,) = [each for each in frames if each.get("EventName") == "greenroom:HISTORY"]
    return dict(found["Attributes"])


async def test_who_comes_sees_the_last_messages() -> None:
    """So many as asked for, oldest first, the bytes that all were shown; without a word before."""
    async with stage() as made:
        ann = await kept(made)
        bob = await connected(made, "bob", **VIEWER)
        took(bob[1])
        await say(ann, "one", "two", "three")
        live = took(bob[1])
        assert await came(made, "eve", "/?history=2") == live[1:]
        assert await came(made, "eve", "/?history=200") == live
        assert await came(made, "eve", "/?history=0") == await came(made, "eve", "/") == []


async def test_who_asked_for_events_is_told_what_follows() -> None:
    """Behind the welcome, before the messages."""
    async with stage() as made:
        ann = await kept(made)
        await say(ann, "one", "two", "three")
        frames = await came(made, "eve", "/?history=2&events=on")
        assert contents(frames) == ["greenroom:WELCOME", "greenroom:HISTORY", "two", "three"]
        assert told(frames) == {"Count": "2", "More": "true"}
        assert told(await came(made, "eve", "/?history=3&events=on"))["More"] == "false"
        assert "greenroom:HISTORY" not in contents(await came(made, "eve", "/?events=on"))


async def test_who_comes_back_sees_what_he_missed() -> None:
    """All of it, events and deletions included, and no message that was deleted since."""
    async with stage() as made:
        ann = await kept(made)
        (one,) = await say(ann, "one")
        (two, _) = await say(ann, "two", "three")
        await made.chat.delete_message(str(ROOM), two, None)
        await made.chat.send_event(str(ROOM), "app", {})
        await settle()
        frames = await came(made, "eve", f"/?since={one}&history=1")
        assert contents(frames) == ["three", "aws:DELETE_MESSAGE", "app"]
        assert contents(await came(made, "eve", f"/?since={frames[1]['Id']}")) == ["app"]
        with_events = await came(made, "eve", f"/?since={frames[2]['Id']}&events=on")
        assert told(with_events) == {"Count": "0", "More": "false", "Recovered": "true"}
        assert contents(await came(made, "eve", "/?history=50")) == ["one", "three"]


async def test_what_is_not_known_is_not_recovered() -> None:
    """History in its place, and the word that something may be missing."""
    async with stage() as made:
        ann = await kept(made, historyMessages=3)
        (one, *_) = await say(ann, "one", "two", "three", "four")
        for since in (one, "a" * 12):
            frames = await came(made, "eve", f"/?since={since}&history=2&events=on")
            assert contents(frames)[2:] == ["three", "four"]
            assert told(frames)["Recovered"] == "false"
        assert contents(await came(made, "eve", "/?history=50")) == ["two", "three", "four"]
        made.time.advance(24 * 3600 + 1)
        late = {"token_expires": 2**43, "session_expires": 2**43}
        assert await came(made, "eve", "/?history=50", **late) == []


async def test_a_room_that_keeps_less_than_before() -> None:
    """What is beyond that is not given any more, though it is in memory yet."""
    async with stage() as made:
        ann = await kept(made)
        (one, *_) = await say(ann, "one", "two", "three")
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"historyMessages": 3}})
        # That this was changed is one of them.
        frames = await came(made, "eve", f"/?since={one}&history=9&events=on")
        assert contents(frames)[2:] == ["two", "three"]
        assert told(frames) == {"Count": "2", "More": "false", "Recovered": "false"}


async def test_how_long_is_as_long() -> None:
    """To the very moment: what is as old as is kept is there, and a moment later it is not."""
    async with stage() as made:
        ann = await kept(made, historyHours=1)
        (one,) = await say(ann, "one")
        late = {"token_expires": 2**43, "session_expires": 2**43}
        made.time.advance(3600)
        assert contents(await came(made, "eve", "/?history=9", **late)) == ["one"]
        since = await came(made, "eve", f"/?since={one}&events=on", **late)
        assert told(since)["Recovered"] == "true"
        made.time.advance(0.001)
        # What was put together is given for some seconds more.
        made.replays._made.clear()
        assert await came(made, "eve", "/?history=9", **late) == []
        since = await came(made, "eve", f"/?since={one}&events=on", **late)
        assert told(since)["Recovered"] == "false"


async def test_deletions_do_not_count() -> None:
    """However much a moderator deletes, what others wrote stays, and is recovered over."""
    async with stage() as made:
        ann = await kept(made, historyMessages=3)
        (one, *_) = await say(ann, "one", "two", "three")
        for number in range(4):
            await made.chat.delete_message(str(ROOM), f"Spam{number:08}", None)
        assert contents(await came(made, "eve", "/?history=9")) == ["one", "two", "three"]
        frames = await came(made, "eve", f"/?since={one}&events=on")
        assert told(frames) == {"Count": "6", "More": "false", "Recovered": "true"}
        await say(ann, "four")
        assert contents(await came(made, "eve", "/?history=9")) == ["two", "three", "four"]


async def test_too_much_is_not_recovered() -> None:
    """What was missed has a bound in bytes; history comes, as much as goes into it."""
    async with stage() as made:
        ann = await kept(made)
        ids = await say(ann, *["x" * 400] * 4)
        size = history.MOST_BYTES
        history.MOST_BYTES = 1200
        try:
            frames = await came(made, "eve", f"/?since={ids[0]}&history=4&events=on")
            assert told(frames) == {"Count": "2", "More": "true", "Recovered": "false"}
            again = await came(made, "eve", f"/?since={ids[1]}&events=on")
            assert told(again)["Recovered"] == "true"
        finally:
            history.MOST_BYTES = size


async def test_a_room_without_history_keeps_nothing() -> None:
    """Nothing is given, and what was said meanwhile is known to be missing."""
    async with stage() as made:
        ann = await kept(made)
        (one,) = await say(ann, "one")
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"historyMessages": 0}})
        frames = await came(made, "eve", f"/?since={one}&history=9&events=on")
        assert told(frames) == {"Count": "0", "More": "false", "Recovered": "false"}
        await say(ann, "two")
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"historyMessages": 9}})
        await say(ann, "three")
        frames = await came(made, "eve", f"/?since={one}&history=9&events=on")
        assert told(frames)["Recovered"] == "false"
        assert contents(frames)[2:] == ["one", "three"]


async def test_each_sees_his_own() -> None:
    """A shadowed user's messages come back to himself and to moderators, marked for these."""
    async with stage() as made:
        ann = await kept(made)
        (before,) = await say(ann, "before")
        restrict = {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": Kind.SHADOW}
        await do(*ann, restrict)
        bob = await connected(made, "bob", **VIEWER)
        await say(bob, "hidden")
        await say(ann, "after")
        for wish in ("history=9", f"since={before}"):
            seen = await came(made, "eve", f"/?{wish}")
            assert contents(seen)[-1] == "after"
            assert "hidden" not in contents(seen)
            assert contents(await came(made, "bob", f"/?{wish}"))[-2:] == ["hidden", "after"]
            assert "hidden" not in contents(await came(made, "eve", f"/?{wish}"))
            seen = await came(
                made, "cay", f"/?{wish}&events=on", capabilities=("greenroom:MODERATE",)
            )
            (hidden,) = [each for each in seen if each.get("Content") == "hidden"]
            assert hidden["Attributes"] == {"greenroom:mark": "SHADOW"}


async def test_the_token_goes_before() -> None:
    """An application's backend says what its users see first."""
    async with stage() as made:
        ann = await kept(made)
        await say(ann, "one", "two")
        assert await came(made, "eve", "/?history=9", own={"history": "0"}) == []
        assert contents(await came(made, "eve", "/", own={"history": "1"})) == ["two"]


async def test_nothing_comes_twice() -> None:
    """What has arrived and was not shown yet comes once, in its place, whoever joins when."""
    async with stage() as made:
        ann = await kept(made)
        await say(ann, "one")
        _, transport = made.begin(token(user_id="eve", **VIEWER), target=b"/?history=9")
        for number in range(8):
            await made.chat.send_event(str(ROOM), f"event{number}", {})
            ann[0].data_received(_send(f"message{number}"))
            if number > 1:
                await settle(number)
        await settle()
        seen = [each for each in contents(took(transport)) if not each.startswith("event")]
        assert seen == ["one", *(f"message{number}" for number in range(8))]


def _send(content: str) -> bytes:
    return client_frame(json.dumps({"Action": "SEND_MESSAGE", "Content": content}).encode())


async def test_many_are_given_the_same_bytes() -> None:
    """While nothing new comes, the frames are put together once."""
    async with stage() as made:
        ann = await kept(made)
        await say(ann, "one", "two")
        made.time.advance(replays.FRESH_SECONDS - made.time.clock.monotonic() % 10)
        assert contents(await came(made, "eve", "/?history=9")) == ["one", "two"]
        made.replays._history.find = None  # type: ignore[method-assign,assignment]
        made.time.advance(replays.FRESH_SECONDS - 0.1)
        assert contents(await came(made, "bob", "/?history=9")) == ["one", "two"]


async def test_who_asks_for_nothing_costs_nothing() -> None:
    """Nothing is read for him, nor for anybody where a room keeps nothing."""
    async with stage() as made:
        prepare = mock.Mock(return_value=None)
        made.replays._history.prepare = prepare  # type: ignore[method-assign]
        assert await came(made, "eve", "/?history=9") == []
        assert await came(made, "eve", "/") == []
        await kept(made)
        prepare.reset_mock()
        assert await came(made, "eve", "/") == []
        assert not prepare.called
        await came(made, "eve", "/?history=9")
        assert prepare.called


async def test_how_much_is_kept_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many answers, of so many bytes: the oldest goes, the rest are given as they are."""
    async with stage() as made:
        ann = await kept(made)
        await say(ann, "one", "two", "three")
        kept_there = made.replays._made
        monkeypatch.setattr(replays, "MOST_ANSWERS", 2)
        await came(made, "eve", "/?history=1")
        (one,) = [len(each.data) for each in kept_there.values()]
        for count in (2, 3):
            await came(made, "eve", f"/?history={count}")
        assert [each.count for each in kept_there.values()] == [2, 3]
        assert made.replays._bytes == sum(len(each.data) for each in kept_there.values())
        monkeypatch.setattr(replays, "MOST_ANSWERS", 9)
        monkeypatch.setattr(replays, "MOST_BYTES", made.replays._bytes + one)
        await came(made, "eve", "/?history=1")
        assert [each.count for each in kept_there.values()] == [2, 3, 1]
        await came(made, "eve", "/?history=1&events=on")
        assert [each.count for each in kept_there.values()] == [3, 1, 1]
        assert made.replays._bytes == sum(len(each.data) for each in kept_there.values())


async def test_for_how_long_it_is_kept_for_others() -> None:
    """What is too old meanwhile is not given, though nothing new has come."""
    async with stage() as made:
        ann = await kept(made, historyHours=1)
        made.time.advance(replays.FRESH_SECONDS - made.time.clock.monotonic() % 10)
        await say(ann, "one")
        made.time.advance(3600 - replays.FRESH_SECONDS)
        late = {"token_expires": 2**43, "session_expires": 2**43}
        for seconds, shown in ((0, ["one"]), (replays.FRESH_SECONDS - 0.1, ["one"]), (0.2, [])):
            made.time.advance(seconds)
            assert contents(await came(made, "eve", "/?history=9", **late)) == shown


async def test_so_they_are_where_some_of_it_is_for_one_user() -> None:
    """A shadowed user's message makes nobody's frames but his own anew."""
    async with stage() as made:
        ann = await kept(made)
        restrict = {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": Kind.SHADOW}
        await do(*ann, restrict)
        await say(ann, "one")
        await say(await connected(made, "bob", **VIEWER), "hidden")
        find = mock.Mock(wraps=made.replays._history.find)
        made.replays._history.find = find  # type: ignore[method-assign]
        for user in ("eve", "zoe", "cay"):
            assert contents(await came(made, user, "/?history=9")) == ["one"]
        assert find.call_count == 1
        for _ in range(2):
            assert contents(await came(made, "bob", "/?history=9")) == ["one", "hidden"]
        assert find.call_count == 3
        assert contents(await came(made, "zoe", "/?history=9")) == ["one"]
        assert find.call_count == 3


async def test_who_came_back_is_counted() -> None:
    """By whether all that was missed was there; who just begins is not."""
    async with stage() as made:
        ann = await kept(made)
        (one, _) = await say(ann, "one", "two")
        for wish in ("history=9", f"since={one}", f"since={one}&history=9", "since=aaaaaaaaaaaa"):
            await came(made, "eve", f"/?{wish}")
        assert made.replays.recoveries == {"recovered": 2, "not_recovered": 1}


async def test_a_reader_gets_what_it_began_with() -> None:
    """However slow: what was missed is not held against it."""
    async with stage() as made:
        ann = await kept(made)
        await say(ann, *["x" * 400] * 5)
        _, transport = made.begin(token(user_id="eve", **VIEWER), target=b"/?history=9")
        most = made.edges.limits.outbound_bytes

        def stall() -> None:
            transport.when_written, transport.queued = None, most + 2000
            transport.protocol.pause_writing()

        transport.when_written = stall
        await settle()
        eve = transport.protocol
        assert eve.is_open
        assert len(took(transport)) == 5
        eve.ping()
        assert eve.is_open
        transport.queued = 0
        eve.resume_writing()
        transport.queued = most + 1
        eve.pause_writing()
        assert not eve.is_open


def test_how_much_is_shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many bytes, the last of them included."""
    monkeypatch.setattr(history, "MOST_BYTES", 6)
    for text, shown in ((b"abc", 2), (b"abcd", 1)):
        kept = [Deliver(text, "SendMessage", id=f"m{number}") for number in range(3)]
        frames, more = history._messages(kept, 9, lambda envelope: envelope.payload)
        assert (frames, more) == ([text] * shown, True)
