"""SendEvent, DeleteMessage and DisconnectUser over HTTP."""

from typing import Any

import msgspec
import pytest

from greenroom.bus.base import Deliver, Disconnect
from tests.stand_ins.caller import Caller


async def test_send_event() -> None:
    """The event goes to the room; attributes that were not given are null, empty ones empty."""
    api = await Caller().listening()
    room = await api.created()
    for attributes, shown in ((None, None), ({}, {}), ({"a": "b"}, {"a": "b"})):
        answer = await api.call(
            "SendEvent", roomIdentifier=room, eventName="poll", attributes=attributes
        )
        envelope = api.published[-1]
        assert isinstance(envelope, Deliver)
        frame = msgspec.json.decode(envelope.payload)
        assert (api.bus.rooms[-1], frame["EventName"], frame["Attributes"]) == (room, "poll", shown)
        assert answer.body == {"id": frame["Id"]}
        assert frame["RequestId"] == ""


async def test_delete_message() -> None:
    """The id that is returned is the event's own."""
    api = await Caller().listening()
    room = await api.created()
    answer = await api.call("DeleteMessage", roomIdentifier=room, id="a" * 12, reason="spam")
    (envelope,) = api.published
    assert isinstance(envelope, Deliver)
    frame = msgspec.json.decode(envelope.payload)
    assert frame["Attributes"]["MessageID"] == "a" * 12
    assert answer.body == {"id": frame["Id"]}
    assert frame["Id"] != "a" * 12


async def test_disconnect_user() -> None:
    """It succeeds whether the user is there or not, and returns nothing."""
    api = await Caller().listening()
    room = await api.created()
    answer = await api.call("DisconnectUser", roomIdentifier=room, userId="ann", reason="spam")
    assert (answer.status, answer.body) == (200, {})
    (envelope,) = api.published
    assert isinstance(envelope, Disconnect)
    assert (api.bus.rooms, envelope.user_id, envelope.reason) == ([room], "ann", "spam")


@pytest.mark.parametrize(
    ("operation", "parameters", "fields"),
    [
        ("SendEvent", {}, ["eventName"]),
        ("SendEvent", {"eventName": ""}, ["eventName"]),
        ("SendEvent", {"eventName": "e", "attributes": {"k": "ä" * 512}}, ["attributes"]),
        ("DeleteMessage", {"id": "short"}, ["id"]),
        ("DisconnectUser", {"userId": "", "reason": "x" * 257}, ["userId", "reason"]),
    ],
)
async def test_refusals(operation: str, parameters: dict[str, Any], fields: list[str]) -> None:
    """Each constraint is named by its field, and nothing is published."""
    api = await Caller().listening()
    answer = await api.call(operation, roomIdentifier=await api.created(), **parameters)
    assert sorted(answer.fields()) == sorted(fields)
    assert api.published == []


async def test_rates() -> None:
    """The account's moderation rate holds over HTTP as over WebSocket, and says so."""
    api = await Caller(delete_message_rate=1).listening()
    room = await api.created()
    statuses = [
        (await api.call("DeleteMessage", roomIdentifier=room, id="a" * 12)).status for _ in range(2)
    ]
    assert statuses == [200, 429]


async def test_deleted_room() -> None:
    """A room that was deleted is not found, also when it was cached; its users can be ended."""
    api = await Caller().listening()
    room = await api.created()
    call = {"roomIdentifier": room, "userId": "ann"}
    assert (await api.call("DisconnectUser", **call)).status == 200
    await api.call("DeleteRoom", identifier=room)
    assert (await api.call("DisconnectUser", **call)).status == 200
    event = {"roomIdentifier": room, "eventName": "e"}
    assert (await api.call("SendEvent", **event)).status == 404
    assert (await api.call("CreateChatToken", **call)).status == 404
