"""The five operations on rooms.

Covers: greenroom.control.ivschat.api, greenroom.control.ivschat.context
"""

from typing import Any

import pytest

from greenroom.bus.base import RoomChanged, RoomDeleted
from tests.stand_ins.caller import ACCOUNT, LAMBDA, STRANGER, Caller

HANDLER = {"uri": LAMBDA, "fallbackResult": "DENY"}


async def test_create_with_defaults() -> None:
    """An empty request makes a room: limits have AWS's defaults, absent members stay absent."""
    api = Caller()
    answer = await api.call("CreateRoom")
    body = answer.body
    assert body.pop("arn") == f"arn:aws:ivschat:us-east-1:{ACCOUNT}:room/{body['id']}"
    body.pop("id")
    assert body == {
        "createTime": "2023-11-14T22:13:20.000Z",
        "updateTime": "2023-11-14T22:13:20.000Z",
        "maximumMessageRatePerSecond": 10,
        "maximumMessageLength": 500,
        "tags": {},
        "loggingConfigurationIdentifiers": [],
    }


async def test_create_with_everything() -> None:
    """What was given is returned, by CreateRoom, GetRoom and, in part, ListRooms."""
    api = Caller()
    given: dict[str, Any] = {
        "name": "studio-1",
        "maximumMessageRatePerSecond": 100,
        "maximumMessageLength": 1,
        "messageReviewHandler": HANDLER,
        "tags": {"a": "b"},
        "loggingConfigurationIdentifiers": [await api.configuration()],
    }
    created = (await api.call("CreateRoom", **given)).body
    assert {name: created[name] for name in given} == given
    assert (await api.call("GetRoom", identifier=created["arn"])).body == created
    (summary,) = (await api.call("ListRooms")).body["rooms"]
    limits = {"maximumMessageRatePerSecond", "maximumMessageLength"}
    assert summary == {name: value for name, value in created.items() if name not in limits}


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"name": "a b"}, ["name"]),
        ({"name": "x" * 129}, ["name"]),
        ({"maximumMessageRatePerSecond": 101}, ["maximumMessageRatePerSecond"]),
        ({"maximumMessageLength": 0}, ["maximumMessageLength"]),
        ({"maximumMessageLength": "500"}, ["maximumMessageLength"]),
        ({"messageReviewHandler": {"uri": "x"}}, ["messageReviewHandler.uri"]),
        (
            {"messageReviewHandler": {"fallbackResult": "x"}},
            ["messageReviewHandler.fallbackResult"],
        ),
        ({"loggingConfigurationIdentifiers": ["x"]}, ["loggingConfigurationIdentifiers[0]"]),
    ],
)
async def test_refusals(parameters: dict[str, Any], fields: list[str]) -> None:
    """CreateRoom and UpdateRoom name each failed constraint by its field's path."""
    api = Caller()
    room = await api.created()
    assert (await api.call("CreateRoom", **parameters)).fields() == fields
    assert (await api.call("UpdateRoom", identifier=room, **parameters)).fields() == fields
    assert len((await api.call("ListRooms")).body["rooms"]) == 1


async def test_all_refusals_at_once() -> None:
    """Tags and attachments are reported together, each by its name."""
    api = Caller()
    arn = await api.configuration()
    answer = await api.call(
        "CreateRoom", tags={"aws:a": "", "b": "*"}, loggingConfigurationIdentifiers=[arn, arn]
    )
    assert answer.fields() == ["tags.aws:a", "tags.b", "loggingConfigurationIdentifiers[1]"]
    room = await api.created()
    again = await api.call(
        "UpdateRoom", identifier=room, loggingConfigurationIdentifiers=[arn, arn]
    )
    assert again.fields() == ["loggingConfigurationIdentifiers[1]"]


async def test_partial_updates() -> None:
    """What is absent or null stays, an empty uri or list clears, the update time moves."""
    api = await Caller().listening()
    arn = await api.created(
        name="studio",
        messageReviewHandler=HANDLER,
        loggingConfigurationIdentifiers=[await api.configuration()],
    )
    before = (await api.call("GetRoom", identifier=arn)).body

    async def updated(**changes: Any) -> dict[str, Any]:
        api.time.advance(1)
        body = (await api.call("UpdateRoom", identifier=arn, **changes)).body
        assert body.pop("updateTime") > before["updateTime"]
        assert (await api.call("GetRoom", identifier=arn)).body.items() >= body.items()
        return {name: value for name, value in body.items() if before[name] != value}

    assert await updated() == {}
    assert await updated(name=None) == {}
    assert await updated(maximumMessageLength=7) == {"maximumMessageLength": 7}
    before["maximumMessageLength"] = 7
    changed = await updated(messageReviewHandler={"fallbackResult": "ALLOW"})
    assert changed == {"messageReviewHandler": {"uri": LAMBDA, "fallbackResult": "ALLOW"}}
    cleared = await updated(
        name="", messageReviewHandler={"uri": ""}, loggingConfigurationIdentifiers=[]
    )
    assert cleared == {
        "name": "",
        "messageReviewHandler": {"uri": "", "fallbackResult": "ALLOW"},
        "loggingConfigurationIdentifiers": [],
    }
    assert api.published == [RoomChanged(arn)] * 5


async def test_delete() -> None:
    """A deleted room is gone, its deletion published; a second one finds nothing."""
    api = await Caller().listening()
    arn = await api.created()
    assert (await api.call("DeleteRoom", identifier=arn)).status == 204
    assert api.published == [RoomDeleted(arn)]
    assert (await api.call("GetRoom", identifier=arn)).status == 404
    assert (await api.call("DeleteRoom", identifier=arn)).status == 404
    assert (await api.call("UpdateRoom", identifier=arn)).status == 404
    assert api.published == [RoomDeleted(arn)]
    assert (await api.call("ListRooms")).body == {"rooms": []}


async def test_refused_changes_publish_nothing() -> None:
    """A change that the store refuses leaves the caches alone."""
    api = await Caller().listening()
    arn, configuration = await api.created(), await api.configuration()
    await api.call("DeleteLoggingConfiguration", identifier=configuration)
    answer = await api.call(
        "UpdateRoom", identifier=arn, loggingConfigurationIdentifiers=[configuration]
    )
    assert answer.error() == (404, "ResourceNotFoundException")
    assert api.published == []


async def test_quota() -> None:
    """At the quota no room is created in the region; another region and account have their own."""
    api = Caller(rooms=1)
    await api.created()
    refused = await api.call("CreateRoom")
    assert refused.error() == (402, "ServiceQuotaExceededException")
    assert refused.body["limit"] == 1
    assert (await api.call("CreateRoom", region="eu-west-1")).status == 200
    assert (await api.call("CreateRoom", account=STRANGER)).status == 200


async def test_filters() -> None:
    """Filters narrow a listing together; empty ones are none; others' rooms never appear."""
    api = Caller()
    configuration = await api.configuration()
    await api.created(name="a", loggingConfigurationIdentifiers=[configuration])
    await api.created(name="a", messageReviewHandler=HANDLER)
    await api.call("CreateRoom", account=STRANGER, name="a")
    await api.call("CreateRoom", region="eu-west-1", name="a")

    async def count(**filters: str) -> int:
        return len((await api.call("ListRooms", **filters)).body["rooms"])

    assert await count() == await count(name="a") == await count(name="") == 2
    assert await count(name="b") == 0
    assert await count(messageReviewHandlerUri=LAMBDA) == 1
    assert await count(messageReviewHandlerUri="", name="a") == 2
    assert await count(loggingConfigurationIdentifier=configuration) == 1
    assert await count(loggingConfigurationIdentifier=configuration, name="b") == 0


async def test_a_function_that_may_not_be_invoked() -> None:
    """Associating it is refused with the real service's words, and changes nothing."""
    api = Caller()
    api.reviewer.problems[LAMBDA] = "invalid lambda permission"
    message = "Request member: uri failed to satisfy the constraints: invalid lambda permission"
    refused = await api.call("CreateRoom", messageReviewHandler=HANDLER)
    assert refused.fields() == ["uri"]
    assert refused.body["message"] == message
    assert (await api.call("ListRooms")).body["rooms"] == []
    room = (await api.call("CreateRoom", name="before")).body["arn"]
    refused = await api.call(
        "UpdateRoom", identifier=room, name="after", messageReviewHandler=HANDLER
    )
    assert (refused.error(), refused.body["message"]) == ((400, "ValidationException"), message)
    assert (await api.call("GetRoom", identifier=room)).body["name"] == "before"


async def test_only_a_new_function_is_looked_at() -> None:
    """Updates that leave the function, or take it away, ask nothing; a missing room is a 404."""
    api = Caller()
    room = (await api.call("CreateRoom", messageReviewHandler=HANDLER)).body["arn"]
    assert api.reviewer.asked == [LAMBDA]
    api.reviewer.problems[LAMBDA] = "invalid lambda permission"
    for handler in (HANDLER, {"fallbackResult": "ALLOW"}, {"uri": ""}):
        changed = await api.call("UpdateRoom", identifier=room, messageReviewHandler=handler)
        assert changed.status == 200
    await api.call("UpdateRoom", identifier=room, name="x")
    await api.call("CreateRoom", messageReviewHandler={"uri": ""})
    await api.call("CreateRoom", messageReviewHandler={"fallbackResult": "DENY"})
    missing = await api.call("UpdateRoom", identifier=room[:-1], messageReviewHandler=HANDLER)
    assert missing.error() == (404, "ResourceNotFoundException")
    assert api.reviewer.asked == [LAMBDA]
