"""Tests as users of the fixtures write them; `tests/testing/test_plugin.py` runs them."""

import os
import subprocess
import sys

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from greenroom.client import ChatDisconnected, ChatError

MODERATES = ("SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER")
ONCE = Config(retries={"total_max_attempts": 1})


async def test_two_people_chat(chat):
    """Each sees what the other says."""
    alice, bob = await chat("alice"), await chat("bob", attributes={"color": "blue"})
    await alice.say("hi")
    assert (await bob.receives("hi", sender="alice")).sender.user_id == "alice"
    await bob.say("hello", {"mood": "good"})
    hello = await alice.receives("hello", within=5)
    assert hello.sender.attributes == {"color": "blue"}
    assert hello.attributes == {"mood": "good"}
    await alice.sees_nothing(0.05)


def test_two_people_chat_without_asyncio(blocking_chat, chat_room):
    """A test that awaits nothing says the same in the same words."""
    alice, bob = blocking_chat("alice"), blocking_chat("bob", chat_room.arn)
    alice.say("hi")
    bob.receives("hi")
    assert [each.content for each in bob.seen] == ["hi"]
    alice.sees_nothing(0.05)


async def test_moderators(chat):
    """Deletions and disconnections are seen; who may not moderate is refused."""
    alice, bob = await chat("alice", capabilities=MODERATES), await chat("bob")
    said = await bob.say("spam")
    with pytest.raises(ChatError, match="403"):
        await bob.delete(said)
    await alice.delete(said, "spam")
    await bob.receives(deleted=said)
    await alice.kick("bob")
    assert await bob.is_disconnected() == "serverDisconnect"


async def test_events(chat, ivschat, chat_room):
    """An application's events arrive by their names."""
    alice = await chat("alice")
    ivschat.send_event(roomIdentifier=chat_room.arn, eventName="GOAL", attributes={"by": "7"})
    assert (await alice.receives(event="GOAL")).attributes == {"by": "7"}


def test_the_application_finds_the_service_by_itself(greenroom):
    """boto3 without arguments, here and in a subprocess, speaks to the service."""
    room = boto3.client("ivschat").create_room(name="made-here")["arn"]
    code = "import boto3; print(boto3.client('ivschat').list_rooms()['rooms'][0]['arn'])"
    ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert ended.stdout.decode().strip() == room
    assert os.environ["IVSCHAT_MESSAGING_URL"] == greenroom.websocket_url
    assert [(each.operation, each.status) for each in greenroom.requests] == [
        ("CreateRoom", 200),
        ("ListRooms", 200),
    ]
    assert greenroom.requests[0].parameters == {"name": "made-here"}


def test_every_region_is_served_and_nothing_is_left_of_others(greenroom):
    """Another test's rooms are gone, in every region."""
    client = boto3.client("ivschat", region_name="eu-west-1")
    assert client.list_rooms()["rooms"] == boto3.client("ivschat").list_rooms()["rooms"] == []
    client.create_room(name="made-elsewhere")


@pytest.mark.parametrize("again", [False, True])
def test_nothing_is_left_in_other_regions(greenroom, again):
    """Neither in other regions."""
    test_every_region_is_served_and_nothing_is_left_of_others(greenroom)
    assert greenroom.requests[0].operation == "ListRooms"


@pytest.fixture(scope="module")
def lobby(ivschat):
    """A room that an application makes when it starts."""
    return ivschat.create_room(name="lobby")


@pytest.mark.parametrize("again", [False, True])
async def test_rooms_of_wider_fixtures_stay(chat, lobby, ivschat, again):
    """A fixture of a module has its room in all of its tests, and the clock is right in each."""
    assert [room["name"] for room in ivschat.list_rooms()["rooms"]] == ["lobby"]
    alice = await chat("alice", lobby)
    await alice.say("hi")


async def test_an_expired_token(greenroom, chat_room, ivschat):
    """A token is refused when its minute is over; nobody waits for that."""
    from greenroom.client import ChatRoom

    token = ivschat.create_chat_token(roomIdentifier=chat_room.arn, userId="alice")
    greenroom.advance(seconds=61)

    async def provide():
        return token

    room = ChatRoom(greenroom.websocket_url, provide, max_reconnect_attempts=0)
    with pytest.raises(ChatDisconnected):
        await room.connect()
    # The application's clients go on.
    ivschat.get_room(identifier=chat_room.arn)


async def test_a_session_ends_and_begins_anew(greenroom, chat, chat_room):
    """After its hour a session ends, and the client gets another token by itself."""
    alice, bob = await chat("alice"), await chat("bob")
    await alice.say("before")
    greenroom.advance(minutes=61)
    assert await reconnected(alice) == "after"
    await bob.receives("before")
    assert [frame["Content"] for frame in greenroom.frames(chat_room)] == ["before", "after"]


async def reconnected(person):
    """Say something as soon as that works again."""
    for _ in range(100):
        try:
            return (await person.say("after")).content
        except ChatDisconnected:
            await person.sees_nothing(0.02)
    return None


async def test_a_dropped_connection_and_an_expired_session(greenroom, chat, chat_room):
    """Both are made anew by the client; how many there were is told."""
    alice = await chat("alice")
    assert greenroom.drop("alice", chat_room) == 1
    assert await reconnected(alice) == "after"
    assert greenroom.expire("alice") == 1
    assert await reconnected(alice) == "after"
    assert greenroom.drop("nobody") == 0


async def test_a_function_reviews(greenroom, chat, chat_room):
    """A function of the test decides, and is shown what a handler is shown."""
    events = []

    def review(event):
        events.append(event)
        return {"ReviewResult": "ALLOW", "Content": event["Content"].upper()}

    alice = await chat("alice", attributes={"color": "red"})
    with greenroom.review(review, chat_room):
        assert (await alice.say("hi")).content == "HI"
    assert events[0]["Sender"]["Attributes"] == {"color": "red"}
    assert (await alice.say("unreviewed")).content == "unreviewed"


async def test_what_a_function_may_say_in_short(greenroom, chat, chat_room):
    """True allows, False denies, a text replaces; coroutines and contexts are welcome."""
    alice = await chat("alice")
    greenroom.review(lambda event: event["Content"] != "spam", chat_room)
    await alice.say("hi")
    with pytest.raises(ChatError, match="406"):
        await alice.say("spam")

    async def shout(event, context):
        return event["Content"] + "!"

    greenroom.review(shout)
    assert (await alice.say("hi")).content == "hi!"


async def test_a_function_that_fails(greenroom, chat, ivschat, caplog):
    """The room's fallback decides when a function raises, or is not there in time."""
    handler = {"uri": "arn:aws:lambda:us-east-1:1:function:real", "fallbackResult": "DENY"}
    handler["uri"] = handler["uri"].replace(":1:", f":{greenroom.account}:")
    room = ivschat.create_room(messageReviewHandler=handler)
    alice = await chat("alice", room)
    for error in (TimeoutError, KeyError("x")):

        def fails(event, error=error):
            raise error

        greenroom.review(fails)
        with pytest.raises(ChatError, match="406"):
            await alice.say("hi")
    assert [record.message for record in caplog.records] == ["the review function failed"]


async def test_a_function_by_its_name(greenroom, chat, chat_room, tmp_path, monkeypatch):
    """A function that is named runs in the service's process."""
    (tmp_path / "my_review.py").write_text(
        "def handler(event, context):\n"
        "    print('not on the pipe')\n"
        "    return {'ReviewResult': 'ALLOW', 'Content': context.function_name}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    greenroom.review("my_review:handler", chat_room)
    assert (await (await chat("alice")).say("hi")).content == "greenroom-test"
    with pytest.raises(RuntimeError, match="my_review has no nothing"):
        greenroom.review("my_review:nothing")


async def test_throttling(greenroom, chat, chat_room):
    """Operations and messages are refused as too many, so often."""
    client = boto3.client("ivschat", config=ONCE)
    with greenroom.throttle("GetRoom"), pytest.raises(ClientError) as refused:
        client.get_room(identifier=chat_room.arn)
    assert refused.value.response["Error"]["Code"] == "ThrottlingException"
    assert greenroom.requests[-1].error == "ThrottlingException"
    client.get_room(identifier=chat_room.arn)
    alice = await chat("alice")
    greenroom.throttle("SendMessage", times=1)
    with pytest.raises(ChatError, match="429"):
        await alice.say("hi")
    await alice.say("hi")


def test_the_sdk_tries_again(greenroom, chat_room):
    """An operation that is throttled once succeeds with the SDK's own retry."""
    greenroom.throttle("GetRoom", times=1)
    boto3.client("ivschat").get_room(identifier=chat_room.arn)
    assert [each.status for each in greenroom.requests] == [429, 200]


def test_storage_that_fails(greenroom, chat_room):
    """A service whose storage fails answers as such a service does."""
    client = boto3.client("ivschat", config=ONCE)
    with greenroom.fail("storage"), pytest.raises(ClientError) as refused:
        client.create_room()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    client.create_room()


async def test_chat_logs(greenroom, chat, ivschat):
    """What a logging configuration was given can be looked at; a destination can fail."""
    made = ivschat.create_logging_configuration(
        destinationConfiguration={"s3": {"bucketName": "chat-logs"}}
    )
    room = ivschat.create_room(loggingConfigurationIdentifiers=[made["arn"]])
    alice = await chat("alice", room)
    with greenroom.fail("s3:chat-*"):
        failed = ivschat.create_logging_configuration(
            destinationConfiguration={"s3": {"bucketName": "chat-more"}}
        )
        assert failed["state"] == "CREATE_FAILED"
        await alice.say("hi")
        assert greenroom.chat_logs == []
    while not greenroom.chat_logs:
        await alice.sees_nothing(0.05)
    (logged,) = greenroom.chat_logs
    assert (logged.kind, logged.name, logged.room) == ("s3", "chat-logs", room["arn"])
    assert logged.frame["Content"] == "hi"


def test_what_is_refused(greenroom):
    """What makes no sense is refused at once."""
    with pytest.raises(ValueError, match="only advances"):
        greenroom.advance(seconds=-1)
    with pytest.raises(ValueError, match="KIND:NAME"):
        greenroom.fail("journal")
    with pytest.raises(TypeError, match="its ARN"):
        greenroom.drop("alice", 5)


async def test_a_reset_of_the_test_s_own(greenroom, chat, ivschat):
    """A reset forgets rooms, cuts those who are in them, and forgets what was recorded."""
    alice = await chat("alice")
    await alice.say("hi")
    greenroom.advance(days=1)
    greenroom.reset()
    assert ivschat.list_rooms()["rooms"] == []
    assert [each.operation for each in greenroom.requests] == ["ListRooms"]
    assert greenroom.frames() == []
    assert await alice.is_disconnected() in ("fetchTokenError", "socketError")
