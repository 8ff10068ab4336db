"""GetRoomSettings and UpdateRoomSettings, and tags as the defaults of rooms.

Covers: greenroom.chat.settings, greenroom.control.resources, greenroom.control.room_tags
"""

from typing import Any

import msgspec
import pytest

from greenroom.bus.base import Audience, Deliver, RoomChanged
from greenroom.chat.held_queues import HeldQueues
from greenroom.chat.holding import Holding
from greenroom.model.held_message import HeldMessage
from greenroom.model.quotas import RateProfile
from greenroom.model.room_settings import DEFAULTS
from tests.stand_ins.caller import ACCOUNT, STRANGER, Caller

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
NONE: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(DEFAULTS))


async def update(api: Caller, room: str, **parameters: Any) -> Any:
    """Return the answer to UpdateRoomSettings."""
    answer = await api.call("UpdateRoomSettings", roomIdentifier=room, **parameters)
    assert answer.status == 200, answer.body
    return answer.body


async def test_a_room_has_the_defaults() -> None:
    """Of every setting, and nothing is set."""
    api = Caller()
    answer = await api.call("GetRoomSettings", roomIdentifier=await api.created())
    assert answer.body == {"effective": NONE, "defaults": NONE, "overrides": [], "version": 0}


async def test_what_is_set_goes_before_the_tag() -> None:
    """Until it is reset or expires; the answer says who has set it, and when it ends."""
    api = await Caller().listening()
    room = await api.created(tags={"greenroom:writers": "vip mod", "greenroom:frozen": "true"})
    body = await update(api, room, settings={"frozen": False, "emojiOnly": True})
    body = await update(api, room, settings={"followerMinutes": 5}, expiresInSeconds=60)
    assert body["defaults"] == {**NONE, "writers": ["vip", "mod"], "frozen": True}
    assert body["effective"] == {
        **body["defaults"],
        "frozen": False,
        "emojiOnly": True,
        "followerMinutes": 5,
    }
    assert body["overrides"] == [
        {"name": "emojiOnly", "value": "true", "by": ROOT},
        {
            "name": "followerMinutes",
            "value": "5",
            "by": ROOT,
            "expires": "2023-11-14T22:14:20.000Z",
        },
        {"name": "frozen", "value": "false", "by": ROOT},
    ]
    assert body["version"] == 2
    api.time.advance(60)
    body = await update(api, room, reset=["frozen", "writers"])
    assert body["effective"] == {**body["defaults"], "emojiOnly": True}
    assert (await api.call("GetRoomSettings", roomIdentifier=room)).body == body


async def test_everybody_who_asked_is_told() -> None:
    """The caches first, then the room, in its order; so is what tags change, and nothing else."""
    api = await Caller().listening()
    room = await api.created()
    api.published.clear()
    await update(api, room, settings={"frozen": True}, expiresInSeconds=1)
    await api.call("TagResource", resourceArn=room, tags={"team": "a"})
    await api.call("TagResource", resourceArn=room, tags={"greenroom:emoji-only": "true", "a": ""})
    await api.call("UntagResource", resourceArn=room, tagKeys=["a", "greenroom:emoji-only"])
    changed, *_ = api.published
    assert changed == RoomChanged(room)
    told = [each for each in api.published if isinstance(each, Deliver)]
    assert len(told) == 3
    assert len(api.published) == 6
    assert {each.audience for each in told} == {Audience.EVENTS}
    frames = [msgspec.json.decode(each.payload) for each in told]
    assert {each["EventName"] for each in frames} == {"greenroom:SETTINGS"}
    settings = [msgspec.json.decode(each["Attributes"]["Settings"]) for each in frames]
    assert [(each["frozen"], each["emojiOnly"]) for each in settings] == [
        (True, False),
        (True, True),
        (True, False),
    ]
    assert msgspec.json.decode(frames[0]["Attributes"]["Expires"]) == {
        "frozen": "2023-11-14T22:13:21Z"
    }


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({}, ["settings"]),
        ({"settings": {}}, ["settings"]),
        ({"settings": {"unknown": 1}}, ["settings"]),
        ({"settings": {"frozen": 1}}, ["settings.frozen"]),
        ({"settings": {"followerMinutes": 600_000}}, ["settings.followerMinutes"]),
        ({"settings": {"writers": ["a b"]}}, ["settings.writers[0]"]),
        ({"settings": {"shieldSettings": "slow=30"}}, ["settings.shieldSettings"]),
        ({"settings": {"shieldSettings": "shield=on"}}, ["settings.shieldSettings"]),
        ({"settings": {"frozen": True}, "reset": ["frozen"]}, ["reset[0]"]),
        ({"reset": ["x"]}, ["reset[0]"]),
        ({"settings": {"frozen": True}, "expiresInSeconds": 0}, ["expiresInSeconds"]),
        ({"settings": {"frozen": True}, "expiresInSeconds": 31_536_001}, ["expiresInSeconds"]),
        ({"settings": {"paused": True}, "expiresInSeconds": 301}, ["expiresInSeconds"]),
        ({"settings": {"delaySeconds": 31}}, ["settings.delaySeconds"]),
        ({"settings": []}, ["settings"]),
        ({"roomIdentifier": "room"}, ["roomIdentifier"]),
    ],
)
async def test_wrong_parameters(parameters: dict[str, Any], fields: list[str]) -> None:
    """Each is named with its rule, and nothing is changed."""
    api = Caller()
    room = await api.created()
    answer = await api.call("UpdateRoomSettings", **{"roomIdentifier": room, **parameters})
    assert answer.fields() == fields
    assert (await api.call("GetRoomSettings", roomIdentifier=room)).body["version"] == 0


async def test_what_waits_is_discarded() -> None:
    """Before the settings change; those are told who have seen it."""
    api = await Caller().listening()
    room = await api.created()
    where = {"roomIdentifier": room}
    waiting = [HeldMessage(room, f"Message{n:05}", user, n, b"{}") for n, user in enumerate("aba")]
    await api.store.held_messages.add([*waiting, msgspec.structs.replace(waiting[0], room="other")])
    body = await update(api, room, settings={"paused": True})
    assert body["overrides"][0]["expires"] == "2023-11-14T22:18:20.000Z"
    api.published.clear()
    body = await update(api, room, reset=["paused"], discardWaiting=True)
    assert body["effective"] == NONE
    told = [each for each in api.published if isinstance(each, Deliver) and each.deletes]
    assert {each.audience for each in told} == {Audience.SHADOWED}
    assert {each.user_id: set(each.deletes) for each in told if len(each.deletes) == 2} == {
        "a": {"Message00000", "Message00002"}
    }
    assert {each for one in told for each in one.deletes} == {each.id for each in waiting}
    assert isinstance(api.published[-1], Deliver)
    assert api.published[-1].action == "UpdateRoomSettings"
    assert (await api.call("UpdateRoomSettings", **where, discardWaiting=True)).error()[0] == 400


async def test_while_a_node_knows_nothing_of_it() -> None:
    """What has messages wait is refused, and can be switched off."""
    api = await Caller().listening()
    room = await api.created()
    chat = api.services.chat
    chat.holding = Holding(HeldQueues(api.time.clock), lambda: False)
    for name, value in (("paused", True), ("delaySeconds", 5)):
        asked: dict[str, Any] = {"settings": {name: value}}
        answer = await api.call("UpdateRoomSettings", roomIdentifier=room, **asked)
        assert answer.error() == (409, "ConflictException")
        assert f"set {name} when all of them are replaced" in answer.body["message"]
    await update(api, room, settings={"paused": False, "delaySeconds": 0, "frozen": True})


async def test_a_wrong_tag_is_refused() -> None:
    """At the creation and later, with the tag and the rule; other resources may have any."""
    api = Caller()
    room = await api.created()
    for tags in (
        {"greenroom:frozen": "maybe"},
        {"greenroom:other": "1"},
        {"greenroom:paused": "true"},
    ):
        path = f"tags.{next(iter(tags))}"
        assert (await api.call("CreateRoom", tags=tags)).fields() == [path]
        answer = await api.call("TagResource", resourceArn=room, tags=tags)
        assert answer.fields() == [path]
    await api.configuration(tags={"greenroom:other": "1"})


async def test_rooms_of_others_are_not_there() -> None:
    """Another account's and another region's are as those that never were."""
    api = Caller()
    room = await api.created()
    asked: dict[str, Any] = {"roomIdentifier": room}
    change = {**asked, "settings": {"frozen": True}}
    for where in ({"account": STRANGER}, {"region": "eu-west-1"}):
        for answer in (
            await api.call("GetRoomSettings", **where, **asked),
            await api.call("UpdateRoomSettings", **where, **change),
        ):
            assert answer.error() == (404, "ResourceNotFoundException")
    await api.call("DeleteRoom", identifier=room)
    assert (await api.call("UpdateRoomSettings", **change)).error()[0] == 404


async def test_changes_have_a_quota_and_end_with_the_account() -> None:
    """An account's moderators do no more than so much; a suspended account changes nothing."""
    api = await Caller(RateProfile.OFF, moderation_rate=2).listening()
    change: dict[str, Any] = {"roomIdentifier": await api.created(), "settings": {"frozen": True}}
    statuses = [(await api.call("UpdateRoomSettings", **change)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    api.time.advance(1)
    await api.accounts.suspend(ACCOUNT)
    answer = await api.call("UpdateRoomSettings", **change)
    assert answer.error() == (403, "PendingVerification")
