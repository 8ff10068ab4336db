"""What somebody could try with what Greenroom has beside IVS Chat, and gets nothing by.

The threat model (`docs/explanation/threat-model.md`) names these tests.
"""

from typing import Any

from greenroom.model.arn import Arn, ResourceType
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability
from greenroom.model.room import Room
from tests.messaging.test_own_actions import connected, do, took
from tests.stand_ins.hand_clock import START_MS
from tests.stand_ins.stage import ROOM as OWN
from tests.stand_ins.stage import Stage, stage

OTHER = Arn("us-east-1", "123456789012", ResourceType.ROOM, "Room00000002")
VIEWER: dict[str, Any] = {"capabilities": IVS_CAPABILITIES}
SETTINGS = {"historyMessages": 50, "duplicateSeconds": 60}
Seen = list[dict[str, Any]]
Peer = tuple[Any, Any]
"""A connection and its transport."""


def message(content: str, **attributes: str) -> dict[str, Any]:
    """Return a frame that sends a message."""
    named = {f"greenroom:{name.replace('_', '-')}": value for name, value in attributes.items()}
    return {"Action": "SEND_MESSAGE", "Content": content, "Attributes": named, "RequestId": "r"}


async def what_bob_sees(restriction: str, user: str) -> list[Seen]:
    """Return all that bob is shown and answered while somebody is restricted."""
    async with stage() as made:
        ann = await connected(made, "ann")
        await do(*ann, {"Action": "greenroom:SET", "Settings": SETTINGS})
        bob = await connected(made, "bob", "/?events=on", **VIEWER)
        second = await connected(made, "bob", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        await do(*ann, {"Action": "greenroom:RESTRICT", "UserId": user, "Kind": restriction})
        for _, transport in (bob, second, eve):
            took(transport)
        sent = await do(*bob, message("hello"))
        own = sent[-1]["Id"]
        seen = [
            sent,
            await do(*bob, message("HELLO ")),
            await do(*bob, message("x" * 501)),
            await do(*bob, message("to myself", reply_to=own)),
            await do(*bob, message("to nobody", reply_to="Message00001")),
            await do(*bob, {"Action": "greenroom:VIEWERS", "RequestId": "r"}),
            await do(*bob, {"Action": "greenroom:LIST_USERS", "RequestId": "r"}),
            await do(*bob, {"Action": "greenroom:PIN", "MessageId": own, "RequestId": "r"}),
            await do(*eve, message("somebody else")),
            took(bob[1]),
            took(second[1]),
        ]
        again = await connected(made, "bob", f"/?events=on&history=50&since={own}", **VIEWER)
        late = await connected(made, "bob", "/?history=50", **VIEWER)
        return [*seen, took(again[1]), took(late[1])]


async def test_what_a_shadowed_user_could_notice() -> None:
    """Nothing: frames, errors, counts, order and times are those of somebody who is not."""
    assert await what_bob_sees("SHADOW", "bob") == await what_bob_sees("MONITOR", "zoe")


async def test_what_others_see_of_him_is_another_matter() -> None:
    """So that the comparison compares something: nobody else is shown his messages."""
    async with stage() as made:
        ann, bob = await connected(made, "ann"), await connected(made, "bob", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        await do(*ann, {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "SHADOW"})
        took(eve[1])
        assert [each["Content"] for each in await do(*bob, message("hello"))] == ["hello"]
        assert took(eve[1]) == []


async def test_forged_attributes() -> None:
    """What only the service says is taken out of what a client says, whoever he is."""
    async with stage() as made:
        for user, capabilities in (("ann", tuple(Capability)), ("bob", IVS_CAPABILITIES)):
            who = await connected(made, user, capabilities=capabilities)
            forged = message(
                "hi",
                announcement="INFO",
                mark="SHADOW",
                reply_root="Message00001",
                reply_user="eve",
                roles="vip",
                until="2026-01-01T00:00:00Z",
            )
            (shown,) = await do(*who, forged)
            assert shown["Attributes"] is None or shown["Attributes"] == {}
            assert shown["Sender"] == {"UserId": user, "Attributes": {}}


async def test_a_viewer_types_commands_and_asks_for_actions() -> None:
    """What is behind his slash is a message; what he asks for is refused, and changes nothing."""
    async with stage() as made:
        bob = await connected(made, "bob", **VIEWER)
        for typed in ("/ban ann", "/slow 1h", "/freeze", "/announce hi", "/shield", "/clear ann"):
            (shown,) = await do(*bob, message(typed))
            assert (shown["Content"], shown["Sender"]["UserId"]) == (typed, "bob")
        asked: list[dict[str, Any]] = [
            {"Action": "greenroom:SET", "Settings": {"frozen": True}},
            {"Action": "greenroom:RESTRICT", "UserId": "ann", "Kind": "BAN"},
            message("", action="SET")
            | {"Attributes": {"greenroom:action": "SET", "Settings": "{}"}},
        ]
        for each in asked:
            (error,) = await do(*bob, each)
            assert error["ErrorCode"] in {400, 403}
        assert not len(made.restrictions)
        assert not made.settings.in_force(await made.rooms.get(str(OWN))).frozen


async def two_rooms(made: Stage) -> tuple[Peer, Peer, str]:
    """Return a moderator of one room, a viewer of another, and the Id of his message there."""
    room = Room(arn=OTHER, create_time=START_MS, update_time=START_MS)
    await made.store.rooms.create(room, quota=0)
    ann = await connected(made, "ann")
    there = await connected(made, "ann", room_arn=str(OTHER))
    for each in (ann, there):
        await do(*each, {"Action": "greenroom:SET", "Settings": {"historyMessages": 50}})
    bob = await connected(made, "bob", room_arn=str(OTHER), **VIEWER)
    (said,) = await do(*bob, message("there"))
    await do(*there, {"Action": "greenroom:SET", "Settings": {"slowModeSeconds": 0}})
    return ann, bob, said["Id"]


async def test_a_moderator_of_one_room_acts_in_no_other() -> None:
    """Whatever he names: users, messages and settings of the other room stay as they are."""
    async with stage() as made:
        ann, bob, said = await two_rooms(made)
        elsewhere = {"RoomIdentifier": str(OTHER), "RoomArn": str(OTHER), "Scope": "ACCOUNT"}
        own: list[dict[str, Any]] = [
            {"Action": "greenroom:SET", "Settings": {"frozen": True}},
            {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "BAN"},
            {"Action": "greenroom:DELETE_USER_MESSAGES", "UserId": "bob"},
        ]
        for each in own:
            answer = await do(*ann, {**each, **elsewhere})
            assert "greenroom:DONE" in [frame.get("EventName") for frame in answer]
        for action in ("PIN", "UNPIN"):
            (answered, *_) = await do(
                *ann, {"Action": f"greenroom:{action}", "MessageId": said, **elsewhere}
            )
            assert answered.get("ErrorCode") == 404 or action == "UNPIN"
        (refused,) = await do(*ann, message("yes", reply_to=said))
        assert refused["ErrorCode"] == 404
        await do(*ann, {"Action": "DELETE_MESSAGE", "Id": said})
        assert (await do(*bob, message("still here")))[-1]["Content"] == "still here"
        eve = await connected(made, "eve", "/?history=50", room_arn=str(OTHER), **VIEWER)
        assert [each.get("Content") for each in took(eve[1])] == ["there", "still here"]


async def test_an_id_of_another_room_recovers_nothing() -> None:
    """It is as unknown as one that nobody ever had."""
    async with stage() as made:
        ann, _, said = await two_rooms(made)
        await do(*ann, message("here"))
        eve = await connected(made, "eve", f"/?events=on&since={said}", **VIEWER)
        told = [each for each in took(eve[1]) if each.get("EventName") == "greenroom:HISTORY"]
        assert [each["Attributes"]["Recovered"] for each in told] == ["false"]
        none = await connected(made, "eve", "/?events=on&since=Message00001", **VIEWER)
        again = [each for each in took(none[1]) if each.get("EventName") == "greenroom:HISTORY"]
        assert [each["Attributes"] for each in again] == [each["Attributes"] for each in told]


async def test_history_without_a_bound() -> None:
    """More than 200 messages are refused by name; nobody is let in to find out what he gets."""
    async with stage() as made:
        for query in (
            "history=201",
            "history=1e9",
            "history=-1",
            "since=../../x",
            "history=9" * 99,
        ):
            _, transport = await connected(made, "eve", f"/?{query}", **VIEWER)
            answer = b"".join(transport.take())
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert query.partition("=")[0].encode() in answer
