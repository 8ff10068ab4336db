"""What people say and have seen, with rooms that the test shows things in."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.client import (
    ChatDisconnected,
    ChatEvent,
    ChatMessage,
    DeleteMessageEvent,
    DisconnectReason,
    DisconnectUserEvent,
)
from greenroom.protocol import received
from greenroom.testing import people
from greenroom.testing.people import People, Seen, Somebody, people_of, told

TIME = "2026-11-29T12:00:00Z"


def message(content: str = "hi", sender: str = "bob", number: int = 1) -> ChatMessage:
    """Return a message as clients are shown it."""
    found = received.decode(
        f'{{"Type": "MESSAGE", "Id": "m{number}", "Content": "{content}", "SendTime": "{TIME}",'
        f' "Sender": {{"UserId": "{sender}"}}}}'
    )
    assert isinstance(found, ChatMessage)
    return found


def event(name: str, attributes: str = "{}") -> ChatEvent:
    """Return an event as clients are shown it."""
    found = received.decode(
        f'{{"Type": "EVENT", "Id": "e", "EventName": "{name}", "SendTime": "{TIME}",'
        f' "Attributes": {attributes}}}'
    )
    assert isinstance(found, ChatEvent)
    return found


def deletion(of: str, reason: str = "") -> DeleteMessageEvent:
    """Return the deletion of a message."""
    said = f'{{"MessageID": "{of}", "Reason": "{reason}"}}'
    found = DeleteMessageEvent.of(event("aws:DELETE_MESSAGE", said))
    assert found is not None
    return found


def disconnection(of: str, reason: str = "") -> DisconnectUserEvent:
    """Return the disconnection of a user."""
    said = f'{{"UserId": "{of}", "Reason": "{reason}"}}'
    found = DisconnectUserEvent.of(event("aws:DISCONNECT_USER", said))
    assert found is not None
    return found


class Room:
    """A double of a chat room: shows what the test says, answers with what it is given."""

    def __init__(self) -> None:
        self.listeners: dict[str, Callable[..., object]] = {}
        self.asked: list[Any] = []
        self.answer: ChatMessage = message()
        self.refusal: ChatDisconnected | None = None

    def add_listener(self, name: str, listener: Callable[..., object]) -> None:
        self.listeners[name] = listener

    def show(self, *shown: Seen) -> None:
        """Show what everybody in the room is shown."""
        names = {
            ChatMessage: "message",
            ChatEvent: "event",
            DeleteMessageEvent: "message_delete",
            DisconnectUserEvent: "user_disconnect",
        }
        for each in shown:
            self.listeners[names[type(each)]](each)

    async def send_message(self, request: object) -> ChatMessage:
        self.asked.append(request)
        self.show(self.answer)
        return self.answer

    async def delete_message(self, request: object) -> None:
        self.asked.append(request)

    async def disconnect_user(self, request: object) -> None:
        self.asked.append(request)

    async def connect(self) -> None:
        self.asked.append("connect")
        if self.refusal is not None:
            raise self.refusal

    async def disconnect(self) -> None:
        self.asked.append("disconnect")


@pytest.fixture
def room() -> Room:
    """Give a room."""
    return Room()


@pytest.fixture
def alice(room: Room) -> Somebody:
    """Give somebody in it."""
    return Somebody("alice", room)  # type: ignore[arg-type]  # the double


async def test_what_somebody_says_is_not_to_be_asked_for(room: Room, alice: Somebody) -> None:
    """It is seen, and returned, but does not count as something that came."""
    said = await alice.say("hi", {"mood": "good"})
    assert said is room.answer
    assert (room.asked[0].content, room.asked[0].attributes) == ("hi", {"mood": "good"})
    assert alice.seen == [said]
    await alice.sees_nothing(0)


async def test_an_answer_that_was_asked_for_meanwhile(room: Room, alice: Somebody) -> None:
    """Whoever waited for what somebody says has had it: saying it does not fail for that."""
    waiting = asyncio.create_task(alice.receives("hi"))
    await asyncio.sleep(0)

    async def send(_request: object) -> ChatMessage:
        room.show(room.answer)
        await waiting
        return room.answer

    room.send_message = send  # type: ignore[assignment]  # the double's
    assert await alice.say("hi") is await waiting


async def test_moderation(room: Room, alice: Somebody) -> None:
    """A message is named by itself or by its id; the reasons are passed on."""
    await alice.delete(message(number=7), "spam")
    await alice.delete("m8")
    await alice.kick("bob", "rude")
    first, second, third = room.asked
    assert (first.id, first.reason) == ("m7", "spam")
    assert (second.id, second.reason) == ("m8", None)
    assert (third.user_id, third.reason) == ("bob", "rude")


ANYTHING = message("other", "carol")


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ({}, event("poll")),
        ({"content": "hi"}, message("hi")),
        ({"sender": "bob"}, message("hi", "bob")),
        ({"content": "hi", "sender": "bob"}, message("hi", "bob")),
        ({"event": "GOAL"}, event("GOAL")),
        ({"deleted": message(number=7)}, deletion("m7")),
        ({"deleted": "m7"}, deletion("m7")),
        ({"matching": lambda seen: isinstance(seen, DisconnectUserEvent)}, disconnection("bob")),
        ({"content": "hi", "matching": lambda seen: seen.id == "m2"}, message(number=2)),
    ],
)
async def test_what_is_waited_for(
    room: Room, alice: Somebody, wanted: dict[str, Any], shown: Seen
) -> None:
    """It is found before and after it comes, and once; what else there is stays."""
    for before in (True, False):
        if before:
            room.show(shown)
            found = await alice.receives(**wanted)
        else:
            waiting = asyncio.create_task(alice.receives(**wanted))
            await asyncio.sleep(0)
            room.show(shown)
            found = await waiting
        assert found is shown
        await alice.sees_nothing(0)


@pytest.mark.parametrize(
    ("wanted", "shown", "words"),
    [
        ({}, None, "anything"),
        ({"content": "hi"}, message("ho", "bob"), "'hi'"),
        ({"content": "hi"}, event("hi"), "'hi'"),
        ({"sender": "bob"}, message("hi", "carol"), "anything of bob"),
        ({"content": "hi", "sender": "bob"}, message("hi", "carol"), "'hi' of bob"),
        ({"content": "hi", "sender": "bob"}, message("ho", "bob"), "'hi' of bob"),
        ({"event": "GOAL"}, event("poll"), "the event GOAL"),
        ({"event": "GOAL"}, message("GOAL"), "the event GOAL"),
        ({"deleted": "m7"}, deletion("m8"), "the deletion of m7"),
        ({"deleted": message(number=7)}, message(number=7), "the deletion of m7"),
        ({"matching": lambda _: False}, message(), "what was wanted"),
        ({"content": "hi", "matching": lambda _: False}, message("hi"), "what was wanted"),
    ],
)
async def test_what_does_not_come(
    room: Room, alice: Somebody, wanted: dict[str, Any], shown: Seen | None, words: str
) -> None:
    """The failure says what was waited for, and what came instead."""
    if shown is not None:
        room.show(shown)
    with pytest.raises(AssertionError) as failed:
        await alice.receives(**wanted, within=0.001)
    first, second, *lines = str(failed.value).splitlines()
    assert (first, second) == (f"alice did not see {words} within 0.001 s", "alice saw:")
    assert len(lines) == 1
    assert lines[0].endswith("  nothing" if shown is None else told(shown))


async def test_how_long_is_waited(
    room: Room, alice: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seconds for what is to come, a moment for what is not."""
    waited: list[float] = []
    timeout = asyncio.timeout

    def at_once(seconds: float) -> asyncio.Timeout:
        waited.append(seconds)
        return timeout(0)

    monkeypatch.setattr(asyncio, "timeout", at_once)
    with pytest.raises(AssertionError, match="within 2 s"):
        await alice.receives()
    with pytest.raises(AssertionError, match="within 2 s"):
        await alice.is_disconnected()
    await alice.sees_nothing()
    assert waited == [2.0, 2.0, 0.2]


async def test_nothing_is_to_come(room: Room, alice: Somebody) -> None:
    """What came before and was not asked for counts, until it is forgotten."""
    room.show(message())
    with pytest.raises(AssertionError, match="alice was to see nothing"):
        await alice.sees_nothing()
    await alice.forget()
    await alice.sees_nothing(0)
    waiting = asyncio.create_task(alice.sees_nothing(5))
    await asyncio.sleep(0)
    room.show(message())
    with pytest.raises(AssertionError, match=r"\n +0\.\d{3} s  bob: hi$"):
        await waiting


async def test_the_story_has_its_times(room: Room) -> None:
    """Each line says after how many seconds of somebody's life it was seen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people.time, "monotonic", Mock(side_effect=[100.0, 102.5]))  # type: ignore[attr-defined]
        alice = Somebody("alice", room)  # type: ignore[arg-type]  # the double
        room.show(message())
    with pytest.raises(AssertionError, match=r"\n {4}2\.500 s  bob: hi$"):
        await alice.sees_nothing(0)


async def test_an_end_for_good(room: Room, alice: Somebody) -> None:
    """It is waited for, its reason is known, and it stands in the story."""
    room.show(message())
    with pytest.raises(AssertionError, match=r"was not disconnected within 0\.001 s"):
        await alice.is_disconnected(0.001)
    waiting = asyncio.create_task(alice.is_disconnected())
    await asyncio.sleep(0)
    room.listeners["disconnect"](DisconnectReason.SERVER_DISCONNECT)
    assert await waiting is alice.reason is DisconnectReason.SERVER_DISCONNECT
    with pytest.raises(AssertionError, match=r"\(disconnected: serverDisconnect\)"):
        await alice.receives("more", within=0)


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (message("hi", "bob"), "bob: hi"),
        (deletion("m1", "spam"), "message deleted: m1 (spam)"),
        (deletion("m1"), "message deleted: m1 (no reason)"),
        (disconnection("bob", "rude"), "user disconnected: bob (rude)"),
        (disconnection("bob"), "user disconnected: bob (no reason)"),
        (event("poll", '{"k": "v"}'), "event poll: {'k': 'v'}"),
        (event("poll", "null"), "event poll: {}"),
    ],
)
def test_what_is_told_of_what_is_shown(shown: Seen, line: str) -> None:
    """One line, by which a person knows it again."""
    assert told(shown) == line


def test_people_come_and_go(monkeypatch: pytest.MonkeyPatch, room: Room) -> None:
    """A token is asked for as the test says; all leave at the end, and no thread is left."""
    given: list[Any] = []

    def chat_room(url: str, token: object, *, delay: Callable[[int], float]) -> Room:
        given.extend((url, token, delay(3)))
        return room

    monkeypatch.setattr(people, "ChatRoom", chat_room)
    service, before = Mock(websocket_url="ws://here"), set(threading.enumerate())
    everybody = People(service, lambda: "arn:own")
    somebody = everybody.run(everybody.enter("alice")).result()
    assert (somebody.user_id, given[0], given[2]) == ("alice", "ws://here", 0.05)
    assert everybody.run(given[1]()).result() is service.calls.call.return_value
    service.calls.call.assert_called_once_with(
        "CreateChatToken",
        roomIdentifier="arn:own",
        userId="alice",
        capabilities=["SEND_MESSAGE"],
        attributes=None,
        sessionDurationInMinutes=None,
    )
    entering = everybody.enter(
        "bob", "arn:other", capabilities=(), attributes={"k": "v"}, minutes=5
    )
    everybody.run(entering).result()
    everybody.run(given[4]()).result()
    service.calls.call.assert_called_with(
        "CreateChatToken",
        roomIdentifier="arn:other",
        userId="bob",
        capabilities=[],
        attributes={"k": "v"},
        sessionDurationInMinutes=5,
    )
    assert everybody._thread.daemon
    everybody.close()
    assert room.asked == ["connect", "connect", "disconnect", "disconnect"]
    assert not set(threading.enumerate()) - before
    assert everybody._loop.is_closed()


@pytest.mark.parametrize("cause", ["expired", None])
def test_who_is_not_let_in(monkeypatch: pytest.MonkeyPatch, room: Room, cause: str | None) -> None:
    """The error says who, and why: by its cause if there is one."""
    room.refusal = ChatDisconnected(DisconnectReason.SOCKET_ERROR, "not connected")
    room.refusal.__cause__ = None if cause is None else RuntimeError(cause)
    monkeypatch.setattr(people, "ChatRoom", lambda *_, **__: room)
    everybody = People(Mock(), lambda: "arn:own")
    why = f"alice was not let in: {cause or 'not connected'}"
    with pytest.raises(ChatDisconnected, match=why) as refused:
        everybody.run(everybody.enter("alice")).result()
    assert refused.value.reason is DisconnectReason.SOCKET_ERROR
    everybody.close()
    assert people_of(everybody) is everybody
    with pytest.raises(TypeError, match="_people"):
        people_of(room)
