"""What tests have in their hands: rooms and people, whose coroutines run elsewhere.

Covers: greenroom.testing.plugin
"""

import asyncio
import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.client import DisconnectReason
from greenroom.testing import fixtures, plugin, service
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


# -------------------------------------------------------------------------------- pytest's fixtures


def fixture(name: str) -> Any:
    """Return the function behind a fixture of the plugin."""
    return getattr(plugin, name).__wrapped__


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a service that is taken for one."""
    made = Mock(
        region="us-east-1",
        api_url="http://127.0.0.1:1",
        access_key_id="AKIA",
        secret_access_key="secret",
        environment={"AWS_REGION": "us-east-1"},
    )
    monkeypatch.setattr("greenroom.testing.service.service_of", lambda given: given)
    monkeypatch.setattr("greenroom.testing.service.Greenroom", Mock(return_value=made))
    return made


def test_the_service_of_a_run(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment leads to it, and to no other, until it ends."""
    monkeypatch.setenv("AWS_PROFILE", "of-somebody")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_PROFILE", raising=False)
    config: Any = Mock(getini=lambda name: ["regions = *"] if name == plugin.SETTINGS else [])
    given = fixture("greenroom")(config)
    assert next(given) is served
    service.Greenroom.assert_called_once_with({"regions": "*"})  # type: ignore[attr-defined]
    assert os.environ["AWS_REGION"] == "us-east-1"
    assert "AWS_PROFILE" not in os.environ
    served.close.assert_not_called()
    assert next(given, None) is None
    served.close.assert_called_once_with()
    assert os.environ["AWS_PROFILE"] == "of-somebody"
    assert "AWS_REGION" not in os.environ


@pytest.mark.parametrize("asked", [True, False])
def test_the_service_is_as_before_each_test(served: Any, asked: bool) -> None:
    """But for what wider fixtures have made; a test that does not ask for it starts none."""
    names = ["chat", "greenroom"] if asked else ["other"]
    request: Any = Mock(fixturenames=names, getfixturevalue=Mock(return_value=served))
    given = fixture("_greenroom_is_reset")(request)
    assert next(given) is None
    served.reset.assert_not_called()
    assert next(given, None) is None
    if asked:
        served.reset.assert_called_once_with(keep=served.made.return_value)
        request.getfixturevalue.assert_called_once_with("greenroom")
    else:
        assert request.getfixturevalue.call_count == served.reset.call_count == 0


def test_the_room_of_a_test(served: Any) -> None:
    """It has the test's name, as far as a room's may be such."""
    served.calls.call.return_value = {"arn": "a", "id": "i", "name": "n"}
    request: Any = Mock()
    request.node.name = "test_ü[a-b c]" + "x" * 200
    assert fixture("chat_room")(served, request) == Room("a", "i", "n")
    (made,) = served.calls.call.call_args_list
    assert made.kwargs["name"] == ("test_--a-b-c-" + "x" * 200)[:128]


def test_the_client_of_a_run(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed at the end."""
    session = Mock()
    monkeypatch.setattr("botocore.session.Session", Mock(return_value=session))
    given = fixture("ivschat")(served)
    client = next(given)
    assert client is session.create_client.return_value
    session.create_client.assert_called_once_with(
        "ivschat",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="AKIA",
        aws_secret_access_key="secret",
    )
    client.close.assert_not_called()
    assert next(given, None) is None
    client.close.assert_called_once_with()


def test_the_people_of_a_test(served: Any) -> None:
    """Both kinds of chat let the same people in, who leave when the test is over."""
    request: Any = Mock(getfixturevalue={"chat_room": "arn"}.__getitem__)
    given = fixture("_people")(served, request)
    people = next(given)
    assert people._room() == "arn"
    for name, kind in (("chat", Chat), ("blocking_chat", BlockingChat)):
        chat = fixture(name)(people)
        assert isinstance(chat, kind)
        assert chat.people is people
    assert people._thread.is_alive()
    assert next(given, None) is None
    assert not people._thread.is_alive()


def test_settings_of_the_configuration() -> None:
    """Each line is a name and a value, which may have an equals sign."""
    lines = ["quotas = rooms=1", "regions=*"]
    config: Any = Mock(getini=lambda _: lines)
    assert plugin._settings(config) == {"quotas": "rooms=1", "regions": "*"}
    lines.append("alone")
    with pytest.raises(pytest.UsageError, match="greenroom_settings: 'alone' is not NAME=VALUE"):
        plugin._settings(config)


def test_pytest_knows_the_settings() -> None:
    """They are lines, and there are none by default."""
    parser = Mock()
    plugin.pytest_addoption(parser)
    (made,) = parser.addini.call_args_list
    assert made.args[0] == "greenroom_settings"
    assert made.kwargs == {"type": "linelist", "default": []}


async def test_a_failure_is_shown_where_the_test_asked_for_it() -> None:
    """Frames of ours between the two are hidden, in tests that await and in those that do not."""

    class Doing:
        somebody = None

        def begin(self, _coroutine: object) -> "Future[None]":
            failed: Future[None] = Future()
            failed.set_exception(LookupError("nobody"))
            return failed

    def method(_somebody: object) -> None:
        return None

    person: Any = Doing()
    asked: Any = method
    with pytest.raises(LookupError) as blocking:
        fixtures._blocking(asked)(person)
    with pytest.raises(LookupError) as awaited:
        await fixtures._awaited(asked)(person)
    for failure in (blocking, awaited):
        ours = [each for each in failure.traceback if Path(each.path).name == "fixtures.py"]
        assert [each.ishidden(failure) for each in ours] == [True]
