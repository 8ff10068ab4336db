"""The service's own actions and events, as connections see them.

Covers: greenroom.messaging.settings_teller, greenroom.messaging.welcome,
    greenroom.protocol.own_actions, greenroom.protocol.members
"""

import json
from pathlib import Path
from typing import Any

import pytest

from greenroom.audit.log import AuditLog
from greenroom.bus.base import RoomDeleted
from greenroom.messaging.actions import Actions
from greenroom.messaging.moderation_trail import ModerationTrail
from greenroom.messaging.own_actions import OWN_PERFORMERS
from greenroom.messaging.settings_teller import SettingsTeller
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability
from greenroom.model.errors import PendingVerification
from greenroom.model.held_message import HeldMessage
from greenroom.model.quotas import BY_NAME as QUOTAS
from greenroom.protocol.own_actions import OWN_ACTIONS, OWN_BY_NAME
from tests.stand_ins.stage import ROOM, Stage, Transport, client_frame, settle, stage, texts, token

FREEZE = {"Action": "greenroom:SET", "Settings": {"frozen": True}, "RequestId": "r"}


def test_the_table_is_whole() -> None:
    """Each action has a performer and a quota."""
    assert OWN_PERFORMERS.keys() == set(OWN_ACTIONS) == set(OWN_BY_NAME.values())
    assert {each.quota for each in OWN_ACTIONS} <= QUOTAS.keys()


async def connected(
    made: Stage, user: str = "ann", url: str = "/", **claims: Any
) -> tuple[Any, Any]:
    """Return a connection and its transport, with the 101 still in there."""
    _, transport = made.begin(token(user_id=user, **claims), target=url.encode())
    await settle()
    return transport.protocol, transport


def took(transport: Transport) -> list[dict[str, Any]]:
    """Return the frames that came, behind the 101 if that is there."""
    data = b"".join(transport.take())
    if data.startswith(b"HTTP/1.1 101 "):
        data = data.partition(b"\r\n\r\n")[2]
    return texts([data])


async def do(edge: Any, transport: Transport, frame: dict[str, Any]) -> list[dict[str, Any]]:
    """Send a frame; return what comes."""
    transport.take()
    edge.data_received(client_frame(json.dumps(frame).encode()))
    await settle(30)
    return took(transport)


async def test_who_asked_is_welcomed_first() -> None:
    """Before all else, with what he is and what holds; who did not ask sees nothing of it."""
    async with stage() as made:
        _, plain = await connected(made, "bob")
        _, asked = await connected(made, url="/?events=on", own={"roles": "vip"})
        made.publish(b"{}")
        await settle()
        assert took(plain) == [{}]
        welcome, other = took(asked)
        assert other == {}
        assert (welcome["Type"], welcome["EventName"]) == ("EVENT", "greenroom:WELCOME")
        attributes = welcome["Attributes"]
        assert all(isinstance(each, str) for each in attributes.values())
        assert attributes["Version"] == "2026-12-01"
        you = json.loads(attributes["You"])
        assert (you["UserId"], you["Roles"]) == ("ann", ["vip"])
        assert "greenroom:MODERATE" in you["Capabilities"]
        assert json.loads(attributes["Settings"])["frozen"] is False


async def test_a_url_that_asks_for_what_there_is_not() -> None:
    """400, and the token is good for another try."""
    async with stage() as made:
        text = token()
        _, transport = made.begin(text, target=b"/?history=many")
        await settle()
        (answer,) = transport.take()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"history must be a number from 0 to 200" in answer
        _, transport = made.begin(text, target=b"/?history=5")
        await settle()
        assert transport.take()[0].startswith(b"HTTP/1.1 101 ")


async def test_a_moderator_sets_what_holds() -> None:
    """He is answered, whoever asked for events is told, and the next message is refused."""
    async with stage() as made:
        edge, transport = await connected(made)
        viewer, seen = await connected(made, "bob", capabilities=IVS_CAPABILITIES)
        _, watching = await connected(made, "eve", "/?events=on", capabilities=())
        took(seen), took(watching)
        (done,) = await do(edge, transport, FREEZE)
        assert (done["EventName"], done["RequestId"]) == ("greenroom:DONE", "r")
        assert done["Attributes"]["Action"] == "greenroom:SET"
        result = json.loads(done["Attributes"]["Result"])
        assert (result["Settings"]["frozen"], result["Version"]) == (True, 1)
        (told,) = took(watching)
        assert told["EventName"] == "greenroom:SETTINGS"
        assert took(seen) == []
        (error,) = await do(viewer, seen, {"Action": "SEND_MESSAGE", "Content": "hi"})
        assert (error["ErrorCode"], error["ErrorMessage"]) == (403, "Nobody may write now")
        by = (await made.store.rooms.get(ROOM)).overrides.values["frozen"].by
        assert by == "user:ann"
        await do(edge, transport, {**FREEZE, "Settings": {"frozen": None}})
        assert (await do(viewer, seen, {"Action": "SEND_MESSAGE", "Content": "hi"}))[0][
            "Type"
        ] == "MESSAGE"


async def test_whether_a_room_has_commands() -> None:
    """As it is set there, once the room is known here; one that is gone has none."""
    async with stage() as made:
        room_arn, settings = str(ROOM), made.settings
        made.rooms.forget(room_arn)
        assert settings.has_commands(room_arn) is None
        assert await settings.read_has_commands(room_arn) is True
        assert settings.has_commands(room_arn) is True
        await settings.change(room_arn, {"commands": False}, (), 0, "root")
        assert await settings.read_has_commands(room_arn) is False
        assert settings.has_commands(room_arn) is False
        await settings.change(room_arn, {"commands": True}, (), 0, "root")
        await made.store.rooms.delete(ROOM)
        made.rooms.forget(room_arn)
        assert await settings.read_has_commands(room_arn) is False
        assert settings.has_commands(room_arn) is False


CHANGES: tuple[dict[str, Any], ...] = (
    FREEZE,
    {**FREEZE, "DiscardWaiting": True},
    {"Action": "greenroom:RESTRICT", "UserId": "eve", "Kind": "BAN"},
    {"Action": "greenroom:LIFT", "UserId": "eve", "Kind": "BAN"},
    {"Action": "greenroom:DELETE_USER_MESSAGES", "UserId": "eve"},
    {"Action": "greenroom:PIN", "MessageId": "Message00001"},
    {"Action": "greenroom:UNPIN", "MessageId": "Message00001"},
)
"""What moderators and hosts change in a room."""


@pytest.mark.parametrize("frame", CHANGES, ids=lambda each: str(each["Action"]))
@pytest.mark.parametrize("why", ["rate", "account"])
async def test_what_moderators_may_not_change_now(
    frame: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them together have a rate, and none of a suspended account does anything."""

    def suspended(_account: str) -> None:
        raise PendingVerification("suspended")

    async with stage(moderation_rate=1) as made:
        edge, transport = await connected(made, url="/?events=on")
        _, watching = await connected(made, "bob", url="/?events=on")
        waiting = HeldMessage(str(ROOM), "Message00002", "eve", 1, b"{}")
        await made.store.held_messages.add([waiting])
        if why == "rate":
            made.chat.check_may_change(ROOM)
        else:
            monkeypatch.setattr(made.chat, "_check_account", suspended)
        took(watching)
        (error,) = await do(edge, transport, {**frame, "RequestId": "r"})
        assert (error["Type"], error["RequestId"]) == ("ERROR", "r")
        assert error["ErrorCode"] == (429 if why == "rate" else 403)
        assert took(watching) == []
        assert (await made.store.rooms.get(ROOM)).overrides.version == 0
        assert not await made.store.restrictions.since(ROOM.account, 0)


async def test_an_official_sdk_asks_by_a_message() -> None:
    """The answer is a message to it alone, with its RequestId: the SDK's promise is fulfilled."""
    async with stage() as made:
        edge, transport = await connected(made)
        _, other = await connected(made, "bob")
        took(other)
        frame = {
            "action": "SEND_MESSAGE",
            "content": "",
            "requestId": "r",
            "attributes": {
                "greenroom:action": "SET",
                "Settings": '{"frozen": true}',
                "ExpiresInSeconds": "60",
            },
        }
        (answer,) = await do(edge, transport, frame)
        assert (answer["Type"], answer["RequestId"]) == ("MESSAGE", "r")
        assert answer["Sender"] == {"UserId": "greenroom", "Attributes": {}}
        assert answer["Attributes"]["greenroom:action"] == "SET"
        assert json.loads(answer["Attributes"]["Result"])["Settings"]["frozen"] is True
        assert took(other) == []
        held = (await made.store.rooms.get(ROOM)).overrides.values["frozen"]
        assert held.expires == made.time.clock.now_ms() + 60_000


@pytest.mark.parametrize(
    ("members", "code", "said"),
    [
        ({"Action": "greenroom:NONE"}, 400, "Action must be one of greenroom:SET"),
        ({"Settings": None}, 400, "Settings must hold some of frozen"),
        ({"Settings": {}}, 400, "Settings must hold some of frozen"),
        ({"Settings": [1]}, 400, "Settings must be an object"),
        ({"Settings": "{"}, 400, "Settings must be an object, or one as JSON text"),
        ({"Settings": {"frozen": "x"}}, 400, "Settings.frozen must be true or false"),
        ({"Settings": {"x": 1}}, 400, "Settings.x is none of frozen"),
        ({"Settings": {"x": None}}, 400, "Settings[0] is none of frozen"),
        ({"Settings": {"\ud800": None}}, 400, "Settings must not hold half of a surrogate pair"),
        ({"ExpiresInSeconds": 0}, 400, "ExpiresInSeconds must be from 1 to 31536000"),
        ({"ExpiresInSeconds": "1e3"}, 400, "ExpiresInSeconds must be a number"),
        ({"ExpiresInSeconds": 1.5}, 400, "ExpiresInSeconds must be a number"),
        ({"ExpiresInSeconds": True}, 400, "ExpiresInSeconds must be a number"),
    ],
)
async def test_wrong_members(members: dict[str, Any], code: int, said: str) -> None:
    """The member and the rule, in an ERROR with the RequestId; nothing is changed."""
    async with stage() as made:
        edge, transport = await connected(made)
        (error,) = await do(edge, transport, {**FREEZE, **members})
        assert (error["Type"], error["ErrorCode"], error["RequestId"]) == ("ERROR", code, "r")
        assert said in error["ErrorMessage"]
        assert (await made.store.rooms.get(ROOM)).overrides.version == 0


async def test_who_may_not_moderate_changes_nothing() -> None:
    """Neither way; the refusal names the capability, and no line is written about it."""
    everything = tuple(each for each in Capability if each is not Capability.MODERATE)
    async with stage() as made:
        edge, transport = await connected(made, capabilities=everything)
        asked = {"greenroom:action": "SET", "Settings": '{"frozen": true}'}
        by_message = {"Action": "SEND_MESSAGE", "Content": "", "Attributes": asked}
        for frame in (FREEZE, by_message):
            (error,) = await do(edge, transport, frame)
            assert error["ErrorCode"] == 403
            assert "greenroom:MODERATE" in error["ErrorMessage"]
        assert (await made.store.rooms.get(ROOM)).overrides.version == 0


async def test_the_audit_log_has_what_was_set(tmp_path: Path) -> None:
    """Who, what, for how long: one line, as for the operation over HTTP."""
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    async with stage() as made:
        trail = ModerationTrail(log, made.time.clock)
        made.actions = Actions(
            made.chat,
            made.hub,
            made.time.clock,
            made.ids,
            made.metrics,
            made.logger,
            trail,
            made.own,
        )
        edge, transport = await connected(made)
        await do(edge, transport, {**FREEZE, "ExpiresInSeconds": 5})
    await log.close()
    (line,) = (json.loads(each) for each in (tmp_path / "audit.log").read_text().splitlines())
    assert line["event"] == "UpdateRoomSettings"
    assert line["details"] == {
        "moderator": "ann",
        "settings": {"frozen": True},
        "reset": [],
        "expiresInSeconds": 5,
        "discardWaiting": False,
    }


async def test_ends_one_after_the_other_are_told() -> None:
    """Each of them, with the tick behind it."""
    async with stage() as made:
        teller = settings_teller(made)
        ann = await connected(made)
        _, watching = await connected(made, "eve", "/?events=on")
        slow = {"Action": "greenroom:SET", "Settings": {"slowModeSeconds": 7}}
        await do(*ann, {**FREEZE, "ExpiresInSeconds": 1})
        await do(*ann, {**slow, "ExpiresInSeconds": 2})
        teller.tick()
        await settle()
        took(watching)
        for expected in ((False, 7), (False, 0)):
            made.time.advance(1)
            teller.tick()
            await settle()
            (told,) = took(watching)
            shown = json.loads(told["Attributes"]["Settings"])
            assert (shown["frozen"], shown["slowModeSeconds"]) == expected


def settings_teller(made: Stage) -> SettingsTeller:
    """Return what tells of ends."""
    clock = made.time.clock
    return SettingsTeller(made.hub, made.settings, made.rooms, clock, made.ids, made.bus)


async def test_an_end_is_told() -> None:
    """Once, by the node itself, to those who asked; what somebody does is not told again."""
    async with stage() as made:
        teller = settings_teller(made)
        edge, transport = await connected(made)
        _, watching = await connected(made, "eve", "/?events=on")
        _, plain = await connected(made, "bob")
        await do(edge, transport, {**FREEZE, "ExpiresInSeconds": 5})
        assert len(took(watching)) == 2
        took(plain)
        for _ in range(2):
            teller.tick()
            await settle()
        assert took(watching) == []
        made.time.advance(5)
        for _ in range(2):
            teller.tick()
            await settle()
        (told,) = took(watching)
        assert told["EventName"] == "greenroom:SETTINGS"
        assert json.loads(told["Attributes"]["Settings"])["frozen"] is False
        assert took(plain) == []
        made.rooms.forget(str(ROOM))
        teller.tick()
        await settle()
        teller.tick()
        assert made.rooms.peek(str(ROOM)).arn == ROOM
        made.rooms.note_deleted(str(ROOM))


async def test_an_end_is_told_to_who_came_before_anybody_looked() -> None:
    """He was told what held then, by his first frame."""
    async with stage() as made:
        teller = settings_teller(made)
        await do(*await connected(made), {**FREEZE, "ExpiresInSeconds": 1})
        _, watching = await connected(made, "eve", "/?events=on")
        took(watching)
        made.time.advance(1)
        teller.tick()
        await settle()
        (told,) = took(watching)
        assert json.loads(told["Attributes"]["Settings"])["frozen"] is False


@pytest.mark.parametrize("heard", [True, False])
async def test_a_deleted_room(heard: bool) -> None:
    """Who asked for events is told once, at once, or when the room is found gone; nobody ends."""
    async with stage() as made:
        teller = settings_teller(made)
        _, asked = await connected(made, "eve", "/?events=on")
        _, plain = await connected(made, "bob")
        took(asked), took(plain)
        await made.store.rooms.delete(ROOM)
        if heard:
            made.bus.broadcast(RoomDeleted(str(ROOM)))
            await settle()
            assert asked.written, "no tick is waited for"
        else:
            made.rooms.forget(str(ROOM))
        for _ in range(3):
            teller.tick()
            await settle()
        (told,) = took(asked)
        assert (told["EventName"], told["Attributes"]) == ("greenroom:ROOM_DELETED", None)
        assert took(plain) == []
        assert not asked.closed
        made.bus.broadcast(RoomDeleted("arn:aws:ivschat:us-east-1:123456789012:room/nobodysRoom1"))
