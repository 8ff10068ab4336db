"""What tests have in their hands: rooms and people, whose coroutines run elsewhere."""

import asyncio
from concurrent.futures import Future
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.client import DisconnectReason
from greenroom.testing.fixtures import (
    BlockingChat,
    BlockingPerson,
    Chat,
    Person,
    Room,
    new_room,
)
from greenroom.testing.people import People, Somebody

ALL = ("say", "delete", "kick", "receives", "sees_nothing", "is_disconnected", "forget", "leave")


class Elsewhere:
    """A double of people: runs what it is given at once, on a loop of its own."""

    def run(self, doing: Any) -> "Future[Any]":
        """Return what came of it."""
        found: Future[Any] = Future()
        try:
            doing.send(None)
        except StopIteration as ended:
            found.set_result(ended.value)
        except ValueError as error:
            found.set_exception(error)
        return found


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a user who says of each thing that it was done, and with what."""
    made: Any = Mock(user_id="alice", seen=["hi"], reason=DisconnectReason.SERVER_DISCONNECT)
    return made


def test_a_room() -> None:
    """It has what the API says of it."""
    service = Mock()
    service.calls.call.return_value = {"arn": "a", "id": "i", "name": "n", "tags": {}}
    assert new_room(service, "n") == Room("a", "i", "n")
    service.calls.call.assert_called_once_with("CreateRoom", name="n")


@pytest.mark.parametrize("kind", [Person, BlockingPerson])
def test_what_is_known_of_a_person(kind: Any, somebody: Any) -> None:
    """Who it is, what was seen by now, and why the connection ended."""
    person = kind(Elsewhere(), somebody)
    assert (person.user_id, person.seen) == ("alice", ["hi"])
    person.seen.clear()
    assert person.seen == ["hi"]
    assert person.reason is DisconnectReason.SERVER_DISCONNECT
    somebody.reason = None
    assert person.reason is None


@pytest.mark.parametrize("name", ALL)
def test_each_has_the_names_and_words_of_one(name: str) -> None:
    """Both kinds of people do what `Somebody` does."""
    for kind in (Person, BlockingPerson):
        assert getattr(kind, name).__wrapped__ is getattr(Somebody, name)
        assert getattr(kind, name).__doc__ == getattr(Somebody, name).__doc__


async def test_doing_something() -> None:
    """It is awaited or waited for; what it raises is raised."""
    room: Any = Mock()
    somebody, elsewhere = Somebody("alice", room), Elsewhere()
    somebody._unasked.append(seen := Mock())
    people: Any = elsewhere
    person, blocking = Person(people, somebody), BlockingPerson(people, somebody)
    assert await person.receives(within=5) is seen
    somebody._unasked.append(seen)
    assert blocking.receives(within=5) is seen
    room.send_message.side_effect = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        await person.say("hi")
    with pytest.raises(ValueError, match="no"):
        blocking.say("hi")


async def test_entering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever enters is a person of the same people."""
    people = People(Mock(), lambda: "arn")
    entered: list[Any] = []

    class Connection:
        def __init__(self, *_: object, **__: object) -> None:
            entered.append(self)

        def add_listener(self, *_: object) -> None: ...

        async def connect(self) -> None: ...

        async def disconnect(self) -> None: ...

    monkeypatch.setattr("greenroom.testing.people.ChatRoom", Connection)
    alice = await Chat(people)("alice")
    bob = await asyncio.to_thread(lambda: BlockingChat(people)("bob"))
    assert isinstance(alice, Person)
    assert isinstance(bob, BlockingPerson)
    assert (alice.user_id, alice.people, bob.user_id, bob.people) == (
        "alice",
        people,
        "bob",
        people,
    )
    people.close()
    assert len(entered) == 2
