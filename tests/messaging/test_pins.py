"""Pins, as connections see them.

Covers: greenroom.chat.pins, greenroom.model.pin
"""

import json
from typing import Any

import pytest

from greenroom.bus.base import RoomChanged
from greenroom.chat.pins import GONE
from greenroom.model.chat_token import Capability
from greenroom.model.pin import Pin
from greenroom.model.room_settings import PinsChange
from tests.messaging.test_own_actions import connected, do, settings_teller, took
from tests.messaging.test_replies import VIEWER, keep, say
from tests.stand_ins.stage import ROOM, Stage, settle, stage

HOST: dict[str, Any] = {"capabilities": (Capability.SEND_MESSAGE, Capability.HOST)}
PIN = {"Action": "greenroom:PIN", "RequestId": "r"}
UNPIN = {"Action": "greenroom:UNPIN", "RequestId": "r"}


def pinned(frame: dict[str, Any]) -> list[str]:
    """Return the Ids of the messages that an event shows as pinned."""
    return [each["Message"]["Id"] for each in json.loads(frame["Attributes"]["Pins"])]


async def pins_of(made: Stage) -> list[str]:
    """Return what the next one who comes is welcomed with."""
    _, transport = await connected(made, "new", url="/?events=on", **VIEWER)
    return pinned(took(transport)[0])


async def test_a_message_is_pinned() -> None:
    """Who asked for events is told, with the whole message; whoever comes later is, too."""
    async with stage() as made:
        await keep(made)
        host = await connected(made, "host", **HOST)
        eve = await connected(made, "eve", **VIEWER)
        asked = await connected(made, "zoe", url="/?events=on", **VIEWER)
        message = await say(eve)
        for each in (host, eve, asked):
            took(each[1])
        (done,) = await do(*host, {**PIN, "MessageId": message["Id"], "DurationSeconds": 60})
        assert json.loads(done["Attributes"]["Result"]) == {"Pins": [message["Id"]]}
        (told,) = took(asked[1])
        assert told["EventName"] == "greenroom:PINS"
        assert json.loads(told["Attributes"]["Pins"]) == [
            {"By": "user:host", "Message": message, "Until": "2023-11-14T22:14:20Z"}
        ]
        assert took(eve[1]) == []
        assert await pins_of(made) == [message["Id"]]
        (done,) = await do(*host, {**UNPIN, "MessageId": message["Id"]})
        assert json.loads(done["Attributes"]["Result"]) == {"Pins": []}
        assert pinned(took(asked[1])[0]) == []
        assert await pins_of(made) == []


async def test_there_are_three_at_most() -> None:
    """A fourth is refused: 409. One that is there already is pinned anew, and is the newest."""
    async with stage() as made:
        await keep(made)
        host = await connected(made, "host", **HOST)
        ids = [(await say(host))["Id"] for _ in range(4)]
        answers = [(await do(*host, {**PIN, "MessageId": each}))[0] for each in ids]
        assert (answers[3]["Type"], answers[3]["ErrorCode"]) == ("ERROR", 409)
        assert answers[3]["RequestId"] == "r"
        await do(*host, {**PIN, "MessageId": ids[0]})
        assert await pins_of(made) == [ids[1], ids[2], ids[0]]


async def test_a_deleted_message_is_not_pinned() -> None:
    """Whoever deletes it, its pin goes; and it cannot be pinned any more."""
    async with stage() as made:
        ann = await keep(made)
        host = await connected(made, "host", **HOST)
        message = await say(host)
        await do(*host, {**PIN, "MessageId": message["Id"]})
        await do(*ann, {"Action": "DELETE_MESSAGE", "Id": message["Id"]})
        assert await pins_of(made) == []
        (error,) = await do(*host, {**PIN, "MessageId": message["Id"]})
        assert (error["ErrorCode"], error["ErrorMessage"]) == (404, GONE)


async def test_other_pins_stay() -> None:
    """Of a message that is not deleted; and of a room that is gone nothing is to be done."""
    async with stage() as made:
        ann = await keep(made)
        host = await connected(made, "host", **HOST)
        kept, gone = (await say(host))["Id"], (await say(host))["Id"]
        for each in (kept, gone):
            await do(*host, {**PIN, "MessageId": each})
        await do(*ann, {"Action": "DELETE_MESSAGE", "Id": gone})
        assert await pins_of(made) == [kept]
        room = await made.store.rooms.get(ROOM)
        await made.store.rooms.delete(ROOM)
        made.rooms.forget(str(ROOM))
        await made.pins.forget(room, [kept])


async def test_a_message_that_is_deleted_while_it_is_pinned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By somebody who knows nothing of the pin, as on another node: it is not pinned."""
    async with stage() as made:
        ann = await keep(made)
        host = await connected(made, "host", **HOST)
        message = await say(host)
        put = made.store.rooms.set

        async def deleting(*given: Any) -> Any:
            monkeypatch.setattr(made.store.rooms, "set", put)
            await made.chat.delete_message(str(ROOM), message["Id"], None)
            return await put(*given)

        monkeypatch.setattr(made.store.rooms, "set", deleting)
        await do(*host, {**PIN, "MessageId": message["Id"]})
        assert await pins_of(made) == []
        took(ann[1])


async def test_a_message_that_is_pinned_while_it_is_deleted() -> None:
    """On another node, after the room was looked up here: the pin goes as well."""
    async with stage() as made:
        await keep(made)
        host = await connected(made, "host", **HOST)
        message = await say(host)

        async def pinned_elsewhere(*given: Any) -> None:
            pin = Pin(message["Id"], json.dumps(message), "eve", made.time.clock.now_ms())
            await made.store.rooms.set(ROOM, PinsChange(made.time.clock.now_ms(), pin))
            made.bus.broadcast(RoomChanged(str(ROOM)))
            await made.pins.forget(*given)

        made.chat.when_deleted = pinned_elsewhere
        await made.chat.delete_message(str(ROOM), message["Id"], None)
        assert (await made.store.rooms.get(ROOM)).overrides.pins == ()
        assert await pins_of(made) == []


async def test_a_pin_expires() -> None:
    """At its millisecond; who asked for events is told a moment later."""
    async with stage() as made:
        await keep(made)
        host = await connected(made, "host", **HOST)
        asked = await connected(made, "zoe", url="/?events=on", **VIEWER)
        teller = settings_teller(made)
        message = await say(host)
        await do(*host, {"Action": "SEND_MESSAGE", "Content": f"/pin {message['Id']} 10s"})
        made.time.advance(9.999)
        took(asked[1])
        teller.tick()
        await settle()
        assert took(asked[1]) == []
        assert await pins_of(made) == [message["Id"]]
        made.time.advance(0.001)
        assert await pins_of(made) == []
        for _ in range(2):
            teller.tick()
            await settle()
        (told,) = took(asked[1])
        assert pinned(told) == []


async def test_a_pin_expires_while_its_room_is_not_at_hand() -> None:
    """The room changed in that second, and was not read again yet: it is told with the next one."""
    async with stage() as made:
        await keep(made)
        host = await connected(made, "host", **HOST)
        asked = await connected(made, "zoe", url="/?events=on", **VIEWER)
        teller = settings_teller(made)
        message = await say(host)
        await do(*host, {"Action": "SEND_MESSAGE", "Content": f"/pin {message['Id']} 10s"})
        took(asked[1])
        made.time.advance(10.0)
        made.rooms.forget(next(iter(made.rooms._rooms)))
        teller.tick()
        await settle()
        made.time.advance(1.0)
        teller.tick()
        await settle()
        (told,) = took(asked[1])
        assert pinned(told) == []


async def test_a_pin_that_expired_before_anybody_came() -> None:
    """Nobody is told of its end: he was told that it is not there when he came."""
    async with stage() as made:
        ann, teller = await keep(made), settings_teller(made)
        host = await connected(made, "host", **HOST)
        message = await say(host)
        await do(*host, {"Action": "SEND_MESSAGE", "Content": f"/pin {message['Id']} 10s"})
        for edge, _ in (ann, host):
            edge.connection_lost(None)
        made.time.advance(11.0)
        teller.tick()
        _, asked = await connected(made, "zoe", url="/?events=on", **VIEWER)
        took(asked)
        made.time.advance(1.0)
        teller.tick()
        await settle()
        assert took(asked) == []


async def test_settings_leave_pins_alone() -> None:
    """And the other way round: each change knows of all others."""
    async with stage() as made:
        ann = await keep(made)
        host = await connected(made, "host", **HOST)
        message = await say(host)
        await do(*host, {**PIN, "MessageId": message["Id"]})
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"frozen": True}})
        assert await pins_of(made) == [message["Id"]]
        await do(*host, {"Action": "SEND_MESSAGE", "Content": f"/unpin {message['Id']}"})
        room = await made.store.rooms.get(ROOM)
        assert room.overrides.values["frozen"].value is True
        assert (room.overrides.version, room.overrides.pins) == (4, ())


@pytest.mark.parametrize("typed", ["/pin", "/pin bob", "/pin Message00001 x", "/unpin", "/unpin b"])
async def test_commands_that_are_wrong(typed: str) -> None:
    """They are answered with the usage."""
    async with stage() as made:
        host = await connected(made, "host", **HOST)
        (error,) = await do(*host, {"Action": "SEND_MESSAGE", "Content": typed})
        assert error["ErrorMessage"].startswith("Usage: /")


@pytest.mark.parametrize(
    ("members", "who", "code"),
    [
        ({"MessageId": "short"}, HOST, 400),
        ({}, HOST, 400),
        ({"MessageId": "Message00001", "DurationSeconds": 0}, HOST, 400),
        ({"MessageId": "Message00001"}, HOST, 404),
        ({"MessageId": "Message00001"}, VIEWER, 403),
    ],
)
async def test_what_is_refused(members: dict[str, Any], who: dict[str, Any], code: int) -> None:
    """With the RequestId, and the reason by its name."""
    async with stage() as made:
        host = await connected(made, "host", **who)
        (error,) = await do(*host, {**PIN, **members})
        assert (error["ErrorCode"], error["RequestId"]) == (code, "r")
