"""Replies and announcements of connections.

Covers: greenroom.chat.originals, greenroom.chat.replies
"""

import json
from typing import Any
from unittest import mock

import pytest

from greenroom.chat.originals import Originals
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability
from tests.messaging.test_own_actions import connected, do, took
from tests.stand_ins.stage import Stage, stage

VIEWER: dict[str, Any] = {"capabilities": IVS_CAPABILITIES}
HOST: dict[str, Any] = {"capabilities": (Capability.SEND_MESSAGE, Capability.HOST)}


async def say(who: tuple[Any, Any], **attributes: str) -> dict[str, Any]:
    """Send a message; return its answer."""
    frame = {"Action": "SEND_MESSAGE", "Content": "hi", "RequestId": "r", "Attributes": attributes}
    frames = await do(*who, frame)
    (found,) = [each for each in frames if each["RequestId"] == "r"]
    return found


async def keep(made: Stage) -> tuple[Any, Any]:
    """Have the room keep its history; return its moderator."""
    ann = await connected(made, "ann")
    await do(*ann, {"Action": "greenroom:SET", "Settings": {"historyMessages": 10}})
    return ann


def replying(message: dict[str, Any]) -> dict[str, str]:
    """Return the attribute of a reply."""
    return {"greenroom:reply-to": message["Id"]}


async def test_a_reply() -> None:
    """It says in which thread it is, and to whom; what a client says of that goes."""
    async with stage() as made:
        await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        root = await say(bob)
        eve = await connected(made, "eve", **VIEWER)
        reply = await say(eve, **replying(root), **{"greenroom:reply-user": "zoe"})
        thread = {"greenroom:reply-root": root["Id"], "greenroom:reply-user": "bob"}
        assert reply["Attributes"] == {**replying(root), **thread}
        again = await say(bob, **replying(reply))
        assert again["Attributes"]["greenroom:reply-root"] == root["Id"]
        assert again["Attributes"]["greenroom:reply-user"] == "eve"


@pytest.mark.parametrize("what", ["unknown", "deleted", "shadowed", "event"])
async def test_what_is_not_there(what: str) -> None:
    """404 with words for people, whatever the reason: nobody notices who is shadowed."""
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        if what == "shadowed":
            restrict = {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "SHADOW"}
            await do(*ann, restrict)
        root = await say(bob)
        if what == "unknown":
            root = {"Id": "Message00001"}
        if what in ("deleted", "event"):
            frames = await do(*ann, {"Action": "DELETE_MESSAGE", "Id": root["Id"]})
            root = frames[-1] if what == "event" else root
        took(eve[1])
        answer = await say(eve, **replying(root))
        assert (answer["Type"], answer["ErrorCode"]) == ("ERROR", 404)
        assert answer["ErrorMessage"] == "The message that this replies to cannot be found"
        assert (await say(eve))["Type"] == "MESSAGE"


async def test_what_is_refused_anyway_is_not_looked_for() -> None:
    """And what is not there counts for no rate: the next message is as if it had not been."""
    async with stage(send_message_rate=2) as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        root = await say(bob)
        find = mock.AsyncMock(return_value=None)
        with mock.patch.object(Originals, "find", find):
            for _ in range(3):
                assert (await say(bob, **replying(root)))["ErrorCode"] == 404
            assert find.call_count == 3
            await do(*ann, {"Action": "greenroom:SET", "Settings": {"frozen": True}})
            assert (await say(bob, **replying(root)))["ErrorCode"] == 403
            await do(*ann, {"Action": "greenroom:SET", "Settings": {"frozen": None}})
            assert (await say(bob))["Type"] == "MESSAGE"
            assert (await say(bob, **replying(root)))["ErrorCode"] == 429
            assert find.call_count == 3


async def test_a_shadowed_user_replies_to_himself() -> None:
    """As anybody may, so that he does not notice; nobody else is told of it."""
    async with stage() as made:
        ann = await keep(made)
        bob = await connected(made, "bob", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        await do(*ann, {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "SHADOW"})
        root = await say(bob)
        took(eve[1])
        reply = await say(bob, **replying(root))
        thread = {"greenroom:reply-root": root["Id"], "greenroom:reply-user": "bob"}
        assert reply["Attributes"] == {**replying(root), **thread}
        assert took(eve[1]) == []
        pin = {"Action": "greenroom:PIN", "MessageId": root["Id"], "RequestId": "r"}
        assert [each.get("ErrorCode") for each in await do(*ann, pin)] == [404]


async def test_an_announcement() -> None:
    """Everybody sees a message with the style, also in a frozen room; the host gets an answer."""
    async with stage() as made:
        await do(*await keep(made), {"Action": "greenroom:SET", "Settings": {"frozen": True}})
        host = await connected(made, "host", **HOST)
        eve = await connected(made, "eve", **VIEWER)
        took(eve[1])
        announce = {"Action": "greenroom:ANNOUNCE", "Content": "Goal!", "Style": "SUCCESS"}
        answers = await do(*host, {**announce, "RequestId": "r"})
        (shown,) = took(eve[1])
        assert shown["Attributes"] == {"greenroom:announcement": "SUCCESS"}
        assert (shown["Content"], shown["Sender"]["UserId"]) == ("Goal!", "host")
        (done,) = [each for each in answers if each != shown]
        assert (done["EventName"], done["RequestId"]) == ("greenroom:DONE", "r")
        assert json.loads(done["Attributes"]["Result"]) == {"Id": shown["Id"]}
        await do(*host, {"Action": "SEND_MESSAGE", "Content": "/announce All aboard"})
        (shown,) = took(eve[1])
        assert shown["Content"] == "All aboard"
        assert shown["Attributes"]["greenroom:announcement"] == "INFO"


@pytest.mark.parametrize(
    ("members", "who", "code"),
    [
        ({"Style": "LOUD", "Content": "x"}, HOST, 400),
        ({}, HOST, 400),
        ({"Content": "x" * 501}, HOST, 413),
        ({"Content": "x"}, VIEWER, 403),
    ],
)
async def test_announcements_that_are_refused(
    members: dict[str, str], who: dict[str, Any], code: int
) -> None:
    """With the RequestId, for which somebody waits."""
    async with stage() as made:
        host = await connected(made, "host", **who)
        announce = {"Action": "greenroom:ANNOUNCE", **members, "RequestId": "r"}
        (answer,) = await do(*host, announce)
        assert (answer["ErrorCode"], answer["RequestId"]) == (code, "r")


async def test_commands_need_the_capability_of_their_action() -> None:
    """Who hosts does not moderate by typing, nor the other way round."""
    async with stage() as made:
        host = await connected(made, "host", **HOST)
        moderates = (Capability.SEND_MESSAGE, Capability.MODERATE)
        moderator = await connected(made, "mod", capabilities=moderates)
        for who, typed in ((host, "/ban bob"), (moderator, "/announce x")):
            (answer,) = await do(*who, {"Action": "SEND_MESSAGE", "Content": typed})
            assert answer["ErrorCode"] == 403
            assert "lacks the capability greenroom:" in answer["ErrorMessage"]
