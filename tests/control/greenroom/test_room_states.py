"""The operations that count who is in rooms."""

from typing import Any

import pytest

from greenroom.chat.occupancy import GRACE_SECONDS
from tests.stand_ins.caller import STRANGER, Caller


async def done(api: Caller, operation: str, **parameters: Any) -> Any:
    """Return the answer of an operation that succeeds."""
    answer = await api.call(operation, **parameters)
    assert answer.status == 200, answer.body
    return answer.body


async def test_a_room_is_counted() -> None:
    """Nobody in a new one; then connections and users; a bot is neither."""
    api = Caller()
    room = await api.created()
    assert await done(api, "GetRoomState", roomIdentifier=room) == {
        "roomIdentifier": room,
        "connections": 0,
        "users": 0,
    }
    for user in ("alice", "alice", "bob"):
        api.presence.joined(room, user)
    api.presence.joined(room, "robot", is_bot=True)
    state = await done(api, "GetRoomState", roomIdentifier=room)
    assert (state["connections"], state["users"]) == (3, 2)
    api.presence.left(room, "bob")
    api.time.advance(GRACE_SECONDS)
    state = await done(api, "GetRoomState", roomIdentifier=room)
    assert (state["connections"], state["users"]) == (2, 1)


async def test_only_a_room_of_the_account_has_a_state() -> None:
    """Another account's is not found, and neither is one that was deleted."""
    api = Caller()
    room = await api.created()
    api.presence.joined(room, "alice")
    answer = await api.call("GetRoomState", account=STRANGER, roomIdentifier=room)
    assert answer.error() == (404, "ResourceNotFoundException")
    assert await done(api, "ListRoomStates", account=STRANGER) == {"roomStates": []}
    assert (await api.call("DeleteRoom", identifier=room)).status == 204
    answer = await api.call("GetRoomState", roomIdentifier=room)
    assert answer.error() == (404, "ResourceNotFoundException")


async def test_rooms_are_listed_by_their_users() -> None:
    """Page by page, the last one full or not; rooms without anybody are not there."""
    api = Caller()
    rooms = [await api.created() for _ in range(5)]
    for number, room in enumerate(rooms):
        for user in range(number):
            api.presence.joined(room, str(user))
        for _ in range(3 * (number == 2)):
            api.presence.joined(room, "0")
    whole = (await done(api, "ListRoomStates"))["roomStates"]
    assert [each["roomIdentifier"] for each in whole] == rooms[:0:-1]
    assert [each["users"] for each in whole] == [4, 3, 2, 1]
    for size, pages in ((3, 2), (2, 2), (4, 1)):
        found: list[Any] = []
        token: dict[str, Any] = {}
        for _ in range(pages):
            page = await done(api, "ListRoomStates", maxResults=size, **token)
            found += page["roomStates"]
            token = {"nextToken": page.get("nextToken")}
        assert (found, token) == (whole, {"nextToken": None})


async def test_users_are_listed() -> None:
    """By their ids, page by page, with what the application says of them; a room must be there."""
    api = Caller()
    room = await api.created()
    for user in ("carol", "alice", "bob", "alice"):
        api.presence.joined(room, user)
    first = await done(api, "ListUsers", roomIdentifier=room, maxResults=2)
    assert first == {
        "users": [
            {"userId": "alice", "connections": 2, "attributes": {"color": "red"}},
            {"userId": "bob", "connections": 1, "attributes": {"color": "red"}},
        ],
        "nextToken": "bob",
    }
    second = await done(api, "ListUsers", roomIdentifier=room, nextToken=first["nextToken"])
    assert [each["userId"] for each in second["users"]] == ["carol"]
    full = await done(api, "ListUsers", roomIdentifier=room, maxResults=3)
    assert [len(full["users"]), "nextToken" in full, "nextToken" in second] == [3, False, False]
    for missing in ({"account": STRANGER, "roomIdentifier": room}, {"roomIdentifier": room[:-1]}):
        answer = await api.call("ListUsers", **missing)
        assert answer.error() == (404, "ResourceNotFoundException")


@pytest.mark.parametrize("token", ["x", "1.2", "1.2.", "1.2.a/b", "-1.2.abc", ""])
async def test_a_token_that_was_not_answered(token: str) -> None:
    """It is refused by name."""
    answer = await Caller().call("ListRoomStates", nextToken=token)
    assert answer.error() == (400, "ValidationException")
    assert answer.body["fieldList"][0]["name"] == "nextToken"
