"""What a user wrote lately is deleted at once.

Covers: greenroom.chat.deletions
"""

import asyncio
import json
from typing import Any
from unittest import mock

import pytest

from greenroom.bus.base import Audience
from greenroom.chat import deletions, kept_history, kept_messages
from greenroom.chat.kept_messages import KeptMessages
from greenroom.messaging import own_actions
from greenroom.model.held_message import HeldMessage
from greenroom.storage.base import StorageUnavailable
from tests.messaging.test_own_actions import connected, do, took
from tests.messaging.test_replies import VIEWER, keep, replying, say
from tests.stand_ins.stage import ROOM, Stage, stage

CLEAR = {"Action": "greenroom:DELETE_USER_MESSAGES", "UserId": "bob", "RequestId": "r"}


async def history(made: Stage) -> list[str]:
    """Return the Ids of the messages that the next one who comes begins with."""
    _, transport = await connected(made, "new", url="/?history=100", **VIEWER)
    return [each["Id"] for each in took(transport)]


async def answers(who: tuple[Any, Any], frame: dict[str, Any]) -> list[dict[str, Any]]:
    """Do something; return what answers it."""
    return [each for each in await do(*who, frame) if each["RequestId"] == "r"]


def deleted(frames: list[dict[str, Any]]) -> list[str]:
    """Return the Ids of the messages that frames delete, as IVS Chat tells it."""
    assert {each["EventName"] for each in frames} == {"aws:DELETE_MESSAGE"}
    return [each["Attributes"]["MessageId"] for each in frames]


async def test_they_are_gone() -> None:
    """SDKs are told of each, who asked for events by one event; history has them no more."""
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        asked = await connected(made, "zoe", url="/?events=on", **VIEWER)
        old = await say(bob)
        made.time.advance(20)
        mine, other = await say(bob), await say(eve)
        for each in (eve, asked):
            took(each[1])
        frames = await do(*ann, {**CLEAR, "SinceSeconds": 10, "Reason": "spam"})
        result = json.loads(frames[-1]["Attributes"]["Result"])
        assert result == {"MessageIds": [mine["Id"]], "Count": 1}
        (told,) = plain = took(eve[1])
        assert deleted(plain) == [mine["Id"]]
        assert told["Attributes"]["Reason"] == "spam"
        (told,) = took(asked[1])
        assert told["EventName"] == "greenroom:DELETE_MESSAGES"
        assert told["Attributes"] == {
            "UserId": "bob",
            "MessageIds": json.dumps([mine["Id"]]),
            "Reason": "spam",
        }
        assert await history(made) == [old["Id"], other["Id"]]
        await do(*ann, {"Action": "SEND_MESSAGE", "Content": "/clear bob"})
        assert deleted(took(eve[1])) == [old["Id"]]
        assert took(asked[1])[0]["Attributes"]["MessageIds"] == json.dumps([old["Id"]])
        assert await history(made) == [other["Id"]]
        await do(*ann, CLEAR)
        assert took(eve[1]) == took(asked[1]) == []


async def test_how_far_back() -> None:
    """To the instant, which belongs to it; where nothing is said, all that there is."""
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        ids: list[str] = []
        since = {"SinceSeconds": 10}
        for seconds, asked, gone in ((10.001, since, []), (10, since, [1]), (60, {}, [0, 2])):
            ids.append((await say(bob))["Id"])
            made.time.advance(seconds)
            frames = await do(*ann, {**CLEAR, **asked})
            found = json.loads(frames[-1]["Attributes"]["Result"])["MessageIds"]
            assert found == [ids[number] for number in gone]


async def test_sdks_are_told_of_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many; who asked for events is told of all, and they are gone for everybody."""
    monkeypatch.setattr(deletions, "MOST_TOLD", 2)
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        asked = await connected(made, "zoe", url="/?events=on", **VIEWER)
        ids = [(await say(bob))["Id"] for _ in range(3)]
        for each in (eve, asked):
            took(each[1])
        await do(*ann, CLEAR)
        assert deleted(took(eve[1])) == ids[1:]
        (told,) = took(asked[1])
        assert json.loads(told["Attributes"]["MessageIds"]) == ids
        assert await history(made) == []


async def test_what_is_left_of_a_history_that_is_off() -> None:
    """It may come back until it is removed: so it is deleted, too."""
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        message = await say(bob)
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"historyMessages": 0}})
        frames = await do(*ann, CLEAR)
        result = json.loads(frames[-1]["Attributes"]["Result"])
        assert result["MessageIds"] == [message["Id"]]
        await keep(made)
        assert message["Id"] not in await history(made)


async def test_what_is_not_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is deleted as well, however much there is, in events that are not too large."""
    for module in (deletions, own_actions):
        monkeypatch.setattr(module, "IDS_AT_ONCE", 2)
    monkeypatch.setattr(kept_messages, "AT_ONCE", 2)
    monkeypatch.setattr(deletions, "MOST_TOLD", 4)
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        asked = await connected(made, "zoe", url="/?events=on", **VIEWER)
        ids = [(await say(bob))["Id"] for _ in range(5)]
        other = await say(eve)
        await made.history.appended()
        made.bus.rings.clear()
        ids.append((await say(bob))["Id"])
        for each in (eve, asked):
            took(each[1])
        (done,) = (each for each in await do(*ann, CLEAR) if each["RequestId"] == "r")
        assert json.loads(done["Attributes"]["Result"]) == {"MessageIds": ids[-2:], "Count": 6}
        assert deleted(took(eve[1])) == [ids[5], *ids[2:5]]
        told = [json.loads(each["Attributes"]["MessageIds"]) for each in took(asked[1])]
        assert told == [ids[5:], ids[:2], ids[2:4], ids[4:5]]
        assert await history(made) == [other["Id"]]


async def test_what_waits_is_among_it() -> None:
    """What he wrote in that time, each message once, wherever else it is found as well."""
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        made.time.advance(60)
        stored = (await say(bob))["Id"]
        await made.history.appended()
        made.bus.rings.clear()
        in_memory, now = (await say(bob))["Id"], made.time.wall_ns
        since = now - 10 * 10**9
        times = {stored: now, in_memory: now, "Message00001": since, "Message00002": since - 1}
        await made.store.held_messages.add(
            [HeldMessage(str(ROOM), name, "bob", time, b"{}") for name, time in times.items()]
        )
        (done,) = await answers(ann, {**CLEAR, "SinceSeconds": 10})
        result = json.loads(done["Attributes"]["Result"])
        assert sorted(result["MessageIds"]) == sorted([stored, in_memory, "Message00001"])


@pytest.mark.parametrize("what", ["of a user", "all"])
async def test_what_is_known_to_wait_after_a_look(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where many nodes share the store it may have it only then: it is deleted all the same."""
    async with stage() as made:
        ann = await keep(made)
        zoe = await connected(made, "zoe", url="/?events=on", **VIEWER)
        took(zoe[1])
        catch_up = KeptMessages.catch_up

        async def later(self: KeptMessages, room: str) -> None:
            waiting = HeldMessage(room, "Message00001", "bob", made.time.wall_ns, b"{}")
            await made.store.held_messages.add([waiting])
            await catch_up(self, room)

        monkeypatch.setattr(KeptMessages, "catch_up", later)
        discard = {"Action": "greenroom:SET", "Settings": {"frozen": True}, "DiscardWaiting": True}
        await do(*ann, CLEAR if what == "of a user" else discard)
        (told,) = [
            each for each in took(zoe[1]) if each["EventName"] == "greenroom:DELETE_MESSAGES"
        ]
        assert json.loads(told["Attributes"]["MessageIds"]) == ["Message00001"]


async def test_a_look_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in memory is deleted, and the answer is that not everything was looked at."""
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        message = await say(bob)
        took(eve[1])
        with monkeypatch.context() as patch:
            fails = mock.AsyncMock(side_effect=StorageUnavailable("not now"))
            patch.setattr(made.store.history, "messages", fails)
            frames = await do(*ann, CLEAR)
            assert [each["ErrorCode"] for each in frames if each["RequestId"] == "r"] == [500]
        assert deleted(took(eve[1])) == [message["Id"]]
        (done,) = (each for each in await do(*ann, CLEAR) if each["RequestId"] == "r")
        assert json.loads(done["Attributes"]["Result"])["Count"] == 0


async def test_what_a_shadowed_user_wrote() -> None:
    """It goes as well; he and moderators are told, in their ways, and nobody else is."""
    async with stage() as made:
        ann = await keep(made)
        moderator = await connected(made, "mod", url="/?events=on")
        bob = await connected(made, "bob", **VIEWER)
        bobs_other = await connected(made, "bob", url="/?events=on", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        zoe = await connected(made, "zoe", url="/?events=on", **VIEWER)
        await do(*ann, {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "SHADOW"})
        hidden = await say(bob)
        for each in (moderator, bob, bobs_other, eve, zoe):
            took(each[1])
        (done,) = (each for each in await do(*ann, CLEAR) if each["RequestId"] == "r")
        assert json.loads(done["Attributes"]["Result"])["MessageIds"] == [hidden["Id"]]
        assert took(eve[1]) == took(zoe[1]) == []
        assert deleted(took(bob[1])) == [hidden["Id"]]
        for each in (bobs_other, moderator):
            (told,) = took(each[1])
            assert told["EventName"] == "greenroom:DELETE_MESSAGES"
            assert told["Attributes"]["MessageIds"] == json.dumps([hidden["Id"]])
        for user in ("eve", "bob"):
            _, transport = await connected(made, user, url="/?history=9", **VIEWER)
            assert took(transport) == []


async def test_what_one_wrote_before_he_was_shadowed() -> None:
    """He is told of all by one event, as of anybody's: two would tell him where it began."""
    async with stage() as made:
        ann = await keep(made)
        moderator = await connected(made, "mod", url="/?events=on")
        bob = await connected(made, "bob", **VIEWER)
        bobs_other = await connected(made, "bob", url="/?events=on", **VIEWER)
        zoe = await connected(made, "zoe", url="/?events=on", **VIEWER)
        shown = [(await say(bob))["Id"] for _ in range(2)]
        restrict = {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "SHADOW"}
        await do(*ann, restrict)
        ids = [*shown, (await say(bob))["Id"]]
        for each in (moderator, bob, bobs_other, zoe):
            took(each[1])
        await do(*ann, CLEAR)
        for each, told in ((moderator, ids), (bobs_other, ids), (zoe, shown)):
            (event,) = took(each[1])
            assert event["EventName"] == "greenroom:DELETE_MESSAGES"
            assert json.loads(event["Attributes"]["MessageIds"]) == told
        assert deleted(took(bob[1])) == ids
        for user, found in (("bob", ids), ("zoe", shown)):
            back = await connected(made, user, url=f"/?events=on&since={ids[0]}", **VIEWER)
            told = [each for each in took(back[1]) if "DELETE_MESSAGES" in str(each)]
            assert [json.loads(each["Attributes"]["MessageIds"]) for each in told] == [found]


async def test_a_version_before_knows_for_whom_it_is() -> None:
    """It would not show what it does not know, nor give a room's history, and delete nothing."""
    assert {*Audience} == {
        *("everybody", "sender", "you", "shadowed", "moderators", "events", "plain")
    }


async def test_with_a_restriction() -> None:
    """He is banned, and what he said goes; of his shadowed messages nobody else is told."""
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        seen = await say(bob)
        restrict = {"Action": "greenroom:RESTRICT", "UserId": "bob"}
        await do(*ann, {**restrict, "Kind": "SHADOW"})
        await say(bob)
        took(eve[1])
        await do(*ann, {**restrict, "Kind": "BAN", "DeleteMessagesSinceSeconds": 60})
        kick, *gone = took(eve[1])
        assert kick["EventName"] == "aws:DISCONNECT_USER"
        assert deleted(gone) == [seen["Id"]]


async def test_a_pin_goes_with_its_message() -> None:
    """However it is deleted."""
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        message = await say(bob)
        await made.pins.pin(str(ROOM), message["Id"], 0, "ann")
        await do(*ann, CLEAR)
        assert (await made.store.rooms.get(ROOM)).overrides.pins == ()


async def test_a_store_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that there was nothing to delete, to pin, or to reply to: the API says 503."""
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        message = await say(bob)
        await made.history.appended()
        made.bus.rings.clear()
        with monkeypatch.context() as patch:
            for name in ("newest", "messages"):
                fails = mock.AsyncMock(side_effect=StorageUnavailable("not now"))
                patch.setattr(made.store.history, name, fails)
            pin = {"Action": "greenroom:PIN", "MessageId": message["Id"], "RequestId": "r"}
            for asked in (CLEAR, pin):
                assert [each.get("ErrorCode") for each in await do(*ann, asked)] == [500]
            assert (await say(bob, **replying(message)))["ErrorCode"] == 500
        assert (await say(bob, **replying(message)))["Type"] == "MESSAGE"
        await do(*ann, CLEAR)
        assert await history(made) == []


async def test_a_deletion_that_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, and so is the next attempt, until it is kept."""
    monkeypatch.setattr(kept_history, "WAITED_SECONDS", 0.01)
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        message = await say(bob)
        await made.history.appended()
        delete = {"Action": "DELETE_MESSAGE", "Id": message["Id"], "RequestId": "r"}
        with monkeypatch.context() as patch:
            fails = mock.AsyncMock(side_effect=StorageUnavailable("not now"))
            patch.setattr(made.store.history, "append", fails)
            for asked in (CLEAR, CLEAR, delete):
                frames = await do(*ann, asked)
                while not (frames and "ErrorCode" in frames[-1]):
                    await asyncio.sleep(0.005)
                    frames = took(ann[1])
                assert frames[-1]["ErrorCode"] == 500
        assert await history(made) == []


async def test_a_room_without_history() -> None:
    """Nothing is known of what was said: nothing is deleted, and nobody told."""
    async with stage() as made:
        ann = await connected(made, "ann")
        await say(await connected(made, "bob", **VIEWER))
        took(ann[1])
        (done,) = await do(*ann, CLEAR)
        assert json.loads(done["Attributes"]["Result"]) == {"MessageIds": [], "Count": 0}
