"""The official messaging SDK for JavaScript (amazon-ivs-chat-messaging) in Node, with `ws`.

`greenroom.client.ChatRoom` must do the same: each test runs with both.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.running import messaging_driver
from tests.running.asked import TOGETHER
from tests.running.messaging_driver import Driver, Refused, Room, Rooms, Thrown, Tokens
from tests.running.service import Service, running, start
from tests.running.tokens_of import short_session_token

pytestmark = pytest.mark.asyncio(loop_scope="module")


# Messages


async def test_a_message_reaches_its_sender_and_the_others_alike(rooms: Rooms, arn: str) -> None:
    """`sendMessage` resolves with what every instance of the room receives."""
    alice = await rooms.enter(arn, "alice", attributes={"displayName": "Alice", "color": "red"})
    bob = await rooms.enter(arn, "bob")
    sent = await alice.send("hi", {"reply-to": "x"})
    assert sent == {
        "id": sent["id"],
        "sender": {"userId": "alice", "attributes": {"displayName": "Alice", "color": "red"}},
        "content": "hi",
        "sendTime": sent["sendTime"],
        "requestId": sent["requestId"],
        "attributes": {"reply-to": "x"},
    }
    assert len(sent["id"]) == 12
    assert len(sent["requestId"]) == 36
    age = datetime.now(UTC) - datetime.fromisoformat(sent["sendTime"])
    assert abs(age) < timedelta(minutes=5)
    assert await alice.next("message") == await bob.next("message") == sent


@pytest.mark.parametrize(
    "content",
    [
        "",
        " ",
        "Grüße aus Köln",
        "漢字かな交じり文",
        "👩‍👩‍👧‍👦 🎉",
        "a\tb\nc\u2028\0",
        '"\\</script>',
    ],
)
async def test_any_text_arrives_as_it_was_sent(rooms: Rooms, arn: str, content: str) -> None:
    """Content and attributes arrive unchanged, whatever their characters."""
    alice, bob = await rooms.enter(arn, "älice 🎉"), await rooms.enter(arn, "bob")
    sent = await alice.send(content, {content: content, "Kéy": "🎉"})
    received = await bob.next("message")
    assert received == sent
    assert received["content"] == content
    assert received["attributes"] == {content: content, "Kéy": "🎉"}
    assert received["sender"] == {"userId": "älice 🎉", "attributes": {}}


async def test_no_attributes_and_empty_attributes(rooms: Rooms, arn: str) -> None:
    """A message without attributes has none; the sender's are an empty object."""
    alice = await rooms.enter(arn, "alice")
    without, empty = await alice.send("hi"), await alice.send("hi", {})
    assert "attributes" not in without
    assert not empty.get("attributes")
    assert without["sender"]["attributes"] == empty["sender"]["attributes"] == {}


async def test_two_instances_of_one_user_see_the_same(rooms: Rooms, arn: str) -> None:
    """A user may be in a room twice: each instance receives what the other sends."""
    phone, laptop = await rooms.enter(arn, "alice"), await rooms.enter(arn, "alice")
    from_phone, from_laptop = await phone.send("phone"), await laptop.send("laptop")
    for instance in (phone, laptop):
        assert await instance.next("message") == from_phone
        assert await instance.next("message") == from_laptop


async def test_rooms_are_apart(rooms: Rooms, service: Service, arn: str) -> None:
    """Nothing of one room reaches another."""
    other = service.boto3().create_room()["arn"]
    here, there = await rooms.enter(arn, "alice"), await rooms.enter(other, "alice")
    await here.send("here")
    await there.send("there")
    await there.next("message")
    assert [message["content"] for message in here.seen("message")] == ["here"]
    assert [message["content"] for message in there.seen("message")] == ["there"]


async def test_who_may_only_watch_receives(rooms: Rooms, arn: str) -> None:
    """A token without capabilities lets its bearer see the room."""
    alice, viewer = await rooms.enter(arn, "alice"), await rooms.enter(arn, "bob", capabilities=[])
    sent = await alice.send("hi")
    assert await viewer.next("message") == sent


# Moderation


@pytest.mark.parametrize("reason", ["spam", "unerwünscht 🚫", None])
async def test_a_deletion_reaches_both(rooms: Rooms, arn: str, reason: str | None) -> None:
    """`deleteMessage` resolves with the `messageDelete` that everybody receives."""
    moderator, bob = await rooms.enter(arn, "moderator"), await rooms.enter(arn, "bob")
    message = await bob.send("spam")
    deleted = await moderator.delete(message["id"], reason)
    assert deleted["messageId"] == message["id"]
    assert deleted.get("reason") == reason
    assert deleted["id"] != message["id"]
    assert await moderator.next("messageDelete") == await bob.next("messageDelete") == deleted


async def test_a_kick_reaches_both_and_is_final(rooms: Rooms, arn: str) -> None:
    """`disconnectUser` resolves, both see it, and the kicked stays out."""
    moderator = await rooms.enter(arn, "moderator")
    url = f"{rooms.service.websocket_url}?troll"
    troll = await rooms.enter(arn, "troll", url=url)
    event = await moderator.kick("troll", "rude")
    assert event["userId"] == "troll"
    assert event["reason"] == "rude"
    assert await moderator.next("userDisconnect") == event
    assert await troll.next("userDisconnect") == event
    assert await troll.next("disconnect") == "serverDisconnect"
    closed = await troll.next("socketClose")
    assert closed == {"code": 1000, "reason": "rude", "wasClean": True}
    assert await troll.state() == "disconnected"
    assert troll.seen("connecting") == [None], "the SDK came back"
    assert await moderator.state() == "connected"


async def test_a_kick_without_reason_closes_every_instance(rooms: Rooms, arn: str) -> None:
    """All of a user's instances go, nobody else's; a new token lets the user in again."""
    moderator, bob = await rooms.enter(arn, "moderator"), await rooms.enter(arn, "bob")
    instances = [await rooms.enter(arn, "troll") for _ in range(2)]
    event = await moderator.kick("troll")
    assert "reason" not in event
    for instance in instances:
        assert await instance.next("disconnect") == "serverDisconnect"
    again = await rooms.enter(arn, "troll")
    sent = await bob.send("welcome back")
    assert await again.next("message") == sent
    assert bob.seen("disconnect") == []


async def test_who_kicks_oneself_sees_the_promise_resolve(rooms: Rooms, arn: str) -> None:
    """The event comes before the close, also to the one who asked for it."""
    alice = await rooms.enter(arn, "alice")
    assert (await alice.kick("alice", "bye"))["userId"] == "alice"
    assert await alice.next("disconnect") == "serverDisconnect"


async def test_the_control_plane_looks_like_the_sdk(
    rooms: Rooms, service: Service, arn: str
) -> None:
    """DeleteMessage and DisconnectUser over HTTP give the same events, but for the RequestId."""
    moderator, bob = await rooms.enter(arn, "moderator"), await rooms.enter(arn, "bob")
    await moderator.delete("abcDEF123456", "spam")
    answer = service.boto3().delete_message(roomIdentifier=arn, id="abcDEF123456", reason="spam")
    by_sdk, by_api = await bob.next("messageDelete"), await bob.next("messageDelete")
    assert by_api["id"] == answer["id"]
    assert _lasting(by_sdk) == _lasting(by_api)
    assert by_api["requestId"] == ""

    await moderator.kick("nobody", "rude")
    service.boto3().disconnect_user(roomIdentifier=arn, userId="nobody", reason="rude")
    by_sdk, by_api = await bob.next("userDisconnect"), await bob.next("userDisconnect")
    assert _lasting(by_sdk) == _lasting(by_api)
    assert by_api["requestId"] == ""

    service.boto3().disconnect_user(roomIdentifier=arn, userId="bob", reason="rude")
    assert (await bob.next("userDisconnect"))["userId"] == "bob"
    assert await bob.next("disconnect") == "serverDisconnect"


async def test_an_event_of_the_control_plane_reaches_everybody(
    rooms: Rooms, service: Service, arn: str
) -> None:
    """SendEvent arrives as `event` with its name and attributes."""
    instances = [await rooms.enter(arn, "alice"), await rooms.enter(arn, "bob", capabilities=[])]
    answer = service.boto3().send_event(
        roomIdentifier=arn, eventName="app:näme", attributes={"k": "v", "ü": "🎉"}
    )
    for instance in instances:
        event = await instance.next("event")
        assert event == {
            "id": answer["id"],
            "eventName": "app:näme",
            "sendTime": event["sendTime"],
            "requestId": "",
            "attributes": {"k": "v", "ü": "🎉"},
        }


# Refused requests: every promise is rejected, none is left hanging

_Request = Callable[[messaging_driver.Room], Awaitable[Any]]
_REQUESTS: dict[str, _Request] = {
    "SEND_MESSAGE": lambda room: room.send("hi"),
    "DELETE_MESSAGE": lambda room: room.delete("abcDEF123456"),
    "DISCONNECT_USER": lambda room: room.kick("nobody"),
}


@pytest.mark.parametrize("action", _REQUESTS)
async def test_a_missing_capability_is_403(rooms: Rooms, arn: str, action: str) -> None:
    """Each action needs its own capability; the other two still work."""
    capabilities = [name for name in _REQUESTS if name != action]
    alice = await rooms.enter(arn, "alice", capabilities=capabilities)
    with pytest.raises(Refused) as refused:
        await _REQUESTS[action](alice)
    assert refused.value.code == 403
    assert "Forbidden" in refused.value.message
    for name in capabilities:
        await _REQUESTS[name](alice)


_TOO_MUCH: dict[str, tuple[_Request, int]] = {
    "content": (lambda room: room.send("x" * 501), 413),
    "attributes": (lambda room: room.send("x", {"k": "v" * 1024}), 413),
    "reason": (lambda room: room.delete("abcDEF123456", "x" * 257), 413),
    "user id": (lambda room: room.kick("x" * 129), 413),
    "message id": (lambda room: room.delete("not an id"), 400),
    "no user id": (lambda room: room.kick(""), 400),
}


@pytest.mark.parametrize("what", _TOO_MUCH)
async def test_what_breaks_a_limit_is_rejected(rooms: Rooms, arn: str, what: str) -> None:
    """Members that are too large or malformed reject the promise; the connection goes on."""
    request, code = _TOO_MUCH[what]
    alice = await rooms.enter(arn, "alice")
    with pytest.raises(Refused) as refused:
        await request(alice)
    assert refused.value.code == code
    if what == "content":
        assert refused.value.message == "Message exceeds maximum length"
    assert (await alice.send("still here"))["content"] == "still here"


async def test_too_many_messages_are_429(rooms: Rooms, service: Service) -> None:
    """Over the room's rate the promise is rejected with the text that AWS's samples compare."""
    arn = service.boto3().create_room(maximumMessageRatePerSecond=1)["arn"]
    alice = await rooms.enter(arn, "alice")
    first, *others = await asyncio.gather(
        *(alice.send(str(number)) for number in range(4)), return_exceptions=True
    )
    assert not isinstance(first, BaseException)
    assert first["content"] == "0"
    refused = [each for each in others if isinstance(each, BaseException)]
    # A second that passes meanwhile allows one more.
    assert refused
    for each in refused:
        assert isinstance(each, Refused)
        assert (each.code, each.message) == (429, "rate limit exceeded")


async def test_a_deleted_room_is_404(rooms: Rooms, service: Service, arn: str) -> None:
    """Connections to a deleted room stay, and requests but for moderating users are rejected."""
    alice = await rooms.enter(arn, "alice")
    await alice.send("hi")
    service.boto3().delete_room(identifier=arn)
    if TOGETHER:
        await _refused_at_last(alice)
    for name, request in _REQUESTS.items():
        if name == "DISCONNECT_USER":
            continue
        with pytest.raises(Refused) as refused:
            await request(alice)
        assert refused.value.code == 404
    assert await alice.state() == "connected"


async def _refused_at_last(user: Room) -> None:
    """Send until it is refused: another node hears milliseconds later that a room is gone."""
    async with asyncio.timeout(10):
        while True:
            try:
                await user.send("still there?")
            except Refused:
                return


async def test_after_leaving_the_sdk_itself_refuses(rooms: Rooms, arn: str) -> None:
    """`disconnect` ends the room as the client's own doing, with a clean close."""
    alice = await rooms.enter(arn, "alice", url=f"{rooms.service.websocket_url}?leaving")
    await alice.close()
    assert await alice.next("disconnect") == "clientDisconnect"
    assert (await alice.next("socketClose"))["wasClean"]
    with pytest.raises(Thrown, match="not connected"):
        await alice.send("hi")


# Sessions and connections that end


async def test_an_expired_session_goes_on_with_a_fresh_token(
    rooms: Rooms, service: Service, arn: str
) -> None:
    """The SDK is told that its session is over, connects again and sends."""
    asked = 0

    async def provider() -> Mapping[str, str]:
        nonlocal asked
        asked += 1
        if asked == 1:
            return {"token": short_session_token(service, arn, "alice", 2)}
        return {"token": service.token(arn, "alice")}

    url = f"{service.websocket_url}?expiring"
    alice, bob = await rooms.enter(arn, url=url, provider=provider), await rooms.enter(arn, "bob")
    before = await alice.send("before")
    closed = await alice.next("socketClose")
    await alice.next("connect")
    after = await alice.send("after")
    assert [await bob.next("message"), await bob.next("message")] == [before, after]
    assert asked == 2
    assert closed["code"] == 1000
    assert [name for name, _ in alice.events if name.endswith(("connecting", "connect"))] == [
        "connecting",
        "connect",
        "connecting",
        "connect",
    ]
    assert alice.seen("disconnect") == []


async def test_token_refresh_overlaps_without_loss_or_duplicates(
    rooms: Rooms, service: Service, arn: str
) -> None:
    """A second connection replaces the first; what is sent meanwhile arrives once, in order."""
    second_wanted, second_allowed = asyncio.Event(), asyncio.Event()
    tokens = Tokens(service, arn, "alice")

    async def provider() -> Mapping[str, str]:
        token = await tokens()
        if tokens.given == 1:
            # The SDK connects anew 30 seconds before that time: in less than a second.
            expires = datetime.now(UTC) + timedelta(seconds=30.5)
            return {**token, "tokenExpirationTime": expires.isoformat()}
        second_wanted.set()
        await second_allowed.wait()
        return token

    alice = await rooms.enter(arn, url=f"{service.websocket_url}?overlap", provider=provider)
    bob = await rooms.enter(arn, "bob")
    await alice.next("socketOpen")
    await second_wanted.wait()
    before = _ticks(service, arn, 5)
    await _until(alice, before[-1])
    second_allowed.set()
    # While the one opens and the other closes, frames come over both.
    during = asyncio.create_task(asyncio.to_thread(_ticks, service, arn, 30))
    await alice.next("socketOpen")
    promised = await alice.send("on the second connection")
    await during
    await alice.next("socketClose")
    state = await asyncio.to_thread(service.greenroom().get_room_state, roomIdentifier=arn)
    assert state["users"] == 2, "the one who was replaced is gone, or one more"
    after = _ticks(service, arn, 5)
    await _until(alice, after[-1])
    await _until(bob, after[-1])

    sent, seen = _ids(bob.seen("event")), _ids(alice.seen("event"))
    assert sent == before + during.result() + after
    assert seen == [each for each in sent if each in seen], "twice, or out of order"
    # The SDK stops listening to the first connection at once when the second opens: of what came
    # over the first alone in that very moment, it may drop what it has not read.
    assert set(before + after) <= set(seen)
    assert await alice.next("message") == await bob.next("message") == promised
    assert tokens.given == 2
    assert alice.seen("disconnect") == []
    assert alice.seen("connecting") == [None]


async def test_a_used_token_is_given_up_at_last(rooms: Rooms, service: Service, arn: str) -> None:
    """The SDK asks for another token after each refusal, and stops after its last attempt."""
    used = service.token(arn, "alice")
    asked = 0

    async def provider() -> Mapping[str, str]:
        nonlocal asked
        asked += 1
        return {"token": used}

    first = await rooms.enter(arn, provider=provider)
    second = await rooms.begin(provider, config={"maxReconnectAttempts": 3})
    assert await second.next("disconnect") == "socketError"
    assert asked == 1 + 4
    assert second.seen("connect") == []
    assert await first.state() == "connected"


async def test_a_fresh_token_after_a_used_one_connects(
    rooms: Rooms, service: Service, arn: str
) -> None:
    """A refused token is no more than one lost attempt."""
    used, fresh = service.token(arn, "alice"), service.token(arn, "alice")
    given = [used, used, fresh]

    async def provider() -> Mapping[str, str]:
        return {"token": given.pop(0)}

    await rooms.enter(arn, provider=provider)
    second = await rooms.enter(arn, provider=provider)
    assert given == []
    assert second.seen("disconnect") == []


@pytest.mark.parametrize("ending", ["kill -9", "SIGTERM"])
async def test_a_restart_is_survived(sdk: Driver, tmp_path: Path, ending: str) -> None:
    """When the service dies or stops, the SDK comes back as soon as the service does."""
    with running(tmp_path / "data") as service:
        arn = service.boto3().create_room()["arn"]
        up = asyncio.Event()
        up.set()

        rooms = Rooms(sdk, service)
        alice = await rooms.enter(arn, provider=Tokens(service, arn, "alice", up=up))
        bob = await rooms.enter(arn, provider=Tokens(service, arn, "bob", up=up))
        await alice.send("before")
        await bob.next("message")
        up.clear()
        if ending == "SIGTERM":
            assert await asyncio.to_thread(service.stop) == 0
        else:
            service.kill()
        for room in (alice, bob):
            assert [await room.next("connecting"), await room.next("connecting")] == [None, None]
        again = await asyncio.to_thread(start, tmp_path / "data", "--port", _port(service))
        try:
            up.set()
            for room in (alice, bob):
                await room.next("connect")
            assert await alice.send("after") == await bob.next("message")
            assert alice.seen("disconnect") == bob.seen("disconnect") == []
            await rooms.leave()
        finally:
            again.kill()


def _port(service: Service) -> str:
    return service.api_url.rpartition(":")[2]


def _ticks(service: Service, room: str, count: int) -> list[str]:
    """Send events, one after another; return their ids."""
    client = service.boto3()
    return [
        client.send_event(roomIdentifier=room, eventName="app:tick")["id"] for _ in range(count)
    ]


async def _until(room: messaging_driver.Room, event_id: str) -> None:
    while (await room.next("event"))["id"] != event_id:
        pass


def _ids(entities: list[dict[str, Any]]) -> list[str]:
    return [entity["id"] for entity in entities]


def _lasting(entity: dict[str, Any]) -> dict[str, Any]:
    """Return an entity without what differs each time."""
    return {
        name: value for name, value in entity.items() if name not in {"id", "sendTime", "requestId"}
    }
