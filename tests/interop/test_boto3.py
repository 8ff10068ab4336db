"""boto3: each of the 17 operations, its answer compared member by member."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from tests.interop.answers import ACCOUNT, LAMBDA, members, s3, status
from tests.running.service import Service

WIRE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
TAGS = {"stage": "test", "Größe": "größer als 1", "a:b/c=d+e-f@g_h.i": ""}
DESTINATIONS = [
    {"s3": {"bucketName": "chat-logs.example-1"}},
    {"cloudWatchLogs": {"logGroupName": "/chat/logs_1.a#b"}},
    {"firehose": {"deliveryStreamName": "chat_logs.example-1"}},
]


@pytest.fixture
def bodies(client: Any) -> list[Any]:
    """Return the list that receives the JSON of each of the client's answers."""
    received: list[Any] = []

    def keep(response_dict: dict[str, Any], **_: object) -> None:
        if response_dict["body"]:
            received.append(json.loads(response_dict["body"]))

    client.meta.events.register("before-parse.ivschat", keep)
    return received


@pytest.fixture
def room(client: Any) -> str:
    """Return the ARN of a room."""
    return str(client.create_room(name="room")["arn"])


@pytest.fixture
def viewer(client: Any, service: Service, room: str) -> Iterator[ClientConnection]:
    """Return the connection of a viewer of the room, whose user id is not ASCII."""
    token = client.create_chat_token(roomIdentifier=room, userId="Zuschauer №1 🎉")["token"]
    with connect(service.websocket_url, subprotocols=[token], proxy=None) as connection:
        yield connection


def now() -> datetime:
    """Return the time as the service states it, in whole milliseconds."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def is_resource(answer: dict[str, Any], kind: str, region: str, started: datetime) -> bool:
    """Return whether the answer's id, name and times are those of a resource created since."""
    created, updated = answer["createTime"], answer["updateTime"]
    assert re.fullmatch("[a-zA-Z0-9]{12}", answer["id"])
    assert answer["arn"] == f"arn:aws:ivschat:{region}:{ACCOUNT}:{kind}/{answer['id']}"
    assert isinstance(created, datetime)
    assert isinstance(updated, datetime)
    return started <= created <= updated <= now() + timedelta(seconds=1)


# ---------------------------------------------------------------------------------------- rooms


def test_create_room_without_members(client: Any, region: str, bodies: list[Any]) -> None:
    """A room of which nothing is said has the defaults, and neither a name nor a handler."""
    started = now()
    answer = client.create_room()
    room = members(answer)
    assert status(answer) == 200
    assert is_resource(room, "room", region, started)
    assert room == {
        "arn": room["arn"],
        "id": room["id"],
        "createTime": room["createTime"],
        "updateTime": room["createTime"],
        "maximumMessageRatePerSecond": 10,
        "maximumMessageLength": 500,
        "tags": {},
        "loggingConfigurationIdentifiers": [],
    }
    assert bodies[0].keys() == room.keys()
    assert re.fullmatch(WIRE_TIME, bodies[0]["createTime"])
    assert re.fullmatch(WIRE_TIME, bodies[0]["updateTime"])


def test_create_and_get_room_with_every_member(client: Any, region: str) -> None:
    """Every member of a room comes back as it was given, at once and later."""
    attached = [s3(client)["arn"] for _ in range(3)]
    asked = {
        "name": "Room-1_x" * 16,
        "maximumMessageRatePerSecond": 100,
        "maximumMessageLength": 1,
        "messageReviewHandler": {"uri": LAMBDA, "fallbackResult": "DENY"},
        "tags": TAGS,
        "loggingConfigurationIdentifiers": [attached[2], attached[0], attached[1]],
    }
    started = now()
    created = members(client.create_room(**asked))
    assert is_resource(created, "room", region, started)
    times = {name: created[name] for name in ("arn", "id", "createTime", "updateTime")}
    assert created == {**asked, **times}
    assert members(client.get_room(identifier=created["arn"])) == created


def test_room_names_are_not_unique(client: Any) -> None:
    """Two rooms may have one name, and a room the empty one."""
    assert client.create_room(name="same")["id"] != client.create_room(name="same")["id"]
    assert client.create_room(name="")["name"] == ""


@pytest.mark.parametrize(
    "change",
    [
        {"name": "renamed"},
        {"name": ""},
        {"maximumMessageRatePerSecond": 1},
        {"maximumMessageLength": 499},
        {"messageReviewHandler": {"uri": LAMBDA + ":1", "fallbackResult": "ALLOW"}},
        {"loggingConfigurationIdentifiers": []},
        {},
    ],
    ids=lambda change: next(iter(change), "nothing"),
)
def test_update_room_changes_only_what_it_is_given(client: Any, change: dict[str, Any]) -> None:
    """A partial update keeps every other member, and moves the update time."""
    before = members(
        client.create_room(
            name="before",
            maximumMessageRatePerSecond=20,
            maximumMessageLength=50,
            messageReviewHandler={"uri": LAMBDA, "fallbackResult": "DENY"},
            loggingConfigurationIdentifiers=[s3(client)["arn"]],
            tags=TAGS,
        )
    )
    answer = client.update_room(identifier=before["arn"], **change)
    after = members(answer)
    assert status(answer) == 200
    assert after == {**before, **change, "updateTime": after["updateTime"]}
    assert after["updateTime"] >= before["updateTime"]
    assert members(client.get_room(identifier=before["arn"])) == after


def test_update_room_changes_one_member_of_the_handler(client: Any, room: str) -> None:
    """The handler's members are updated apart; a cleared handler stays, with an empty uri."""

    def update(**handler: str) -> Any:
        answer = client.update_room(identifier=room, messageReviewHandler=handler)
        return answer["messageReviewHandler"]

    assert update(uri=LAMBDA) == {"uri": LAMBDA, "fallbackResult": "ALLOW"}
    assert update(fallbackResult="DENY") == {"uri": LAMBDA, "fallbackResult": "DENY"}
    assert update(uri="") == {"uri": "", "fallbackResult": "DENY"}
    assert client.get_room(identifier=room)["messageReviewHandler"] == {
        "uri": "",
        "fallbackResult": "DENY",
    }


def test_list_rooms_gives_summaries(client: Any) -> None:
    """A summary is the room without its limits, and the newest update comes first."""
    rooms = [
        members(client.create_room(name="plain")),
        members(
            client.create_room(
                messageReviewHandler={"uri": LAMBDA},
                tags=TAGS,
                loggingConfigurationIdentifiers=[s3(client)["arn"]],
            )
        ),
    ]
    rooms[0] = members(client.update_room(identifier=rooms[0]["arn"], name="newest"))
    answer = client.list_rooms()
    limits = {"maximumMessageRatePerSecond", "maximumMessageLength"}
    assert status(answer) == 200
    assert members(answer) == {
        "rooms": [
            {name: value for name, value in room.items() if name not in limits} for room in rooms
        ]
    }


def test_delete_room(client: Any, room: str) -> None:
    """A deleted room is answered with 204 and nothing, and is gone."""
    answer = client.delete_room(identifier=room)
    assert status(answer) == 204
    assert members(answer) == {}
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_room(identifier=room)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.delete_room(identifier=room)
    assert client.list_rooms()["rooms"] == []


# ----------------------------------------------------------------------- logging configurations


@pytest.mark.parametrize("destination", DESTINATIONS, ids=lambda union: next(iter(union)))
def test_create_and_get_logging_configuration(
    client: Any, region: str, bodies: list[Any], destination: dict[str, Any]
) -> None:
    """Each destination comes back as given; the answer waits for the state ACTIVE."""
    asked = {"name": "configuration-1_", "destinationConfiguration": destination, "tags": TAGS}
    started = now()
    answer = client.create_logging_configuration(**asked)
    created = members(answer)
    assert status(answer) == 200
    assert is_resource(created, "logging-configuration", region, started)
    assert created["updateTime"] > created["createTime"]
    assert created == {
        **asked,
        "arn": created["arn"],
        "id": created["id"],
        "createTime": created["createTime"],
        "updateTime": created["updateTime"],
        "state": "ACTIVE",
    }
    assert re.fullmatch(WIRE_TIME, bodies[0]["createTime"])
    assert members(client.get_logging_configuration(identifier=created["arn"])) == created


def test_create_logging_configuration_without_name_and_tags(client: Any) -> None:
    """The name is absent when none was given, the tags are an empty map."""
    created = s3(client)
    assert "name" not in created
    assert created["tags"] == {}


def test_update_logging_configuration(client: Any) -> None:
    """A partial update keeps what it does not name, and the configuration is ACTIVE again."""
    before = s3(client, name="before", tags=TAGS)
    renamed = members(client.update_logging_configuration(identifier=before["arn"], name="after"))
    assert renamed == {**before, "name": "after", "updateTime": renamed["updateTime"]}
    assert renamed["updateTime"] > before["updateTime"]
    moved = members(
        client.update_logging_configuration(
            identifier=before["arn"], destinationConfiguration=DESTINATIONS[1]
        )
    )
    change = {"destinationConfiguration": DESTINATIONS[1], "updateTime": moved["updateTime"]}
    assert moved == {**renamed, **change}
    assert members(client.get_logging_configuration(identifier=before["arn"])) == moved


def test_list_logging_configurations_gives_whole_configurations(client: Any) -> None:
    """A listing has every member of each configuration, the newest first."""
    created = [s3(client, name="first"), s3(client, tags=TAGS)]
    answer = client.list_logging_configurations()
    assert status(answer) == 200
    assert members(answer) == {"loggingConfigurations": created[::-1]}


def test_delete_logging_configuration(client: Any) -> None:
    """A deleted configuration is answered with 204 and nothing, and is gone."""
    arn = s3(client)["arn"]
    answer = client.delete_logging_configuration(identifier=arn)
    assert status(answer) == 204
    assert members(answer) == {}
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_logging_configuration(identifier=arn)
    assert client.list_logging_configurations()["loggingConfigurations"] == []


# ----------------------------------------------------------------------------------------- tags


@pytest.mark.parametrize("kind", ["room", "logging-configuration"])
def test_tags_of_both_resources(client: Any, kind: str) -> None:
    """Tags are added, overwritten, removed and read alike, without touching the update time."""
    if kind == "room":
        resource, get = members(client.create_room(tags={"old": "1"})), client.get_room
    else:
        resource, get = s3(client, tags={"old": "1"}), client.get_logging_configuration
    arn = resource["arn"]
    answer = client.tag_resource(resourceArn=arn, tags={"old": "2", **TAGS})
    assert (status(answer), members(answer)) == (200, {})
    answer = client.list_tags_for_resource(resourceArn=arn)
    assert (status(answer), members(answer)) == (200, {"tags": {"old": "2", **TAGS}})
    answer = client.untag_resource(resourceArn=arn, tagKeys=["old", "never there"])
    assert (status(answer), members(answer)) == (200, {})
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == TAGS
    assert members(get(identifier=arn)) == {**resource, "tags": TAGS}


# -------------------------------------------------------------------- tokens and what rooms hear


def test_create_chat_token(client: Any, room: str, bodies: list[Any]) -> None:
    """A token is good for a minute, its session for an hour, and both times are exact."""
    started = now()
    answer = client.create_chat_token(roomIdentifier=room, userId="user")
    token = members(answer)
    assert status(answer) == 200
    assert token.keys() == {"token", "tokenExpirationTime", "sessionExpirationTime"}
    assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", token["token"])
    created = token["tokenExpirationTime"] - timedelta(minutes=1)
    assert started <= created <= now()
    assert token["sessionExpirationTime"] == created + timedelta(minutes=60)
    assert re.fullmatch(WIRE_TIME, bodies[-1]["tokenExpirationTime"])
    assert re.fullmatch(WIRE_TIME, bodies[-1]["sessionExpirationTime"])


@pytest.mark.parametrize("minutes", [1, 180])
def test_create_chat_token_with_every_member(client: Any, room: str, minutes: int) -> None:
    """The session lasts as long as asked, and each request makes another token."""
    asked = {
        "roomIdentifier": room,
        "userId": "ü" * 128,
        "capabilities": ["SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER", "SEND_MESSAGE"],
        "sessionDurationInMinutes": minutes,
        "attributes": {"Name": "Zoë 🎭", "empty": ""},
    }
    token = client.create_chat_token(**asked)
    lasts = token["sessionExpirationTime"] - token["tokenExpirationTime"]
    assert lasts == timedelta(minutes=minutes - 1)
    assert client.create_chat_token(**asked)["token"] != token["token"]


def test_send_event(client: Any, room: str, viewer: ClientConnection) -> None:
    """An event reaches the room with its name and attributes, whatever their letters."""
    attributes = {"größe": "½", "🎉": "日本語"}
    answer = client.send_event(
        roomIdentifier=room, eventName="app:Ereignis ü", attributes=attributes
    )
    assert (status(answer), answer.keys()) == (200, {"id", "ResponseMetadata"})
    frame = json.loads(viewer.recv(timeout=10))
    assert frame == {
        "Type": "EVENT",
        "Id": answer["id"],
        "RequestId": "",
        "EventName": "app:Ereignis ü",
        "Attributes": attributes,
        "SendTime": frame["SendTime"],
    }


def test_delete_message(client: Any, room: str, viewer: ClientConnection) -> None:
    """The room is told which message to remove and why; the answer has the event's own id."""
    answer = client.delete_message(roomIdentifier=room, id="AbCdEf123456", reason="пожалуйста")
    assert (status(answer), answer.keys()) == (200, {"id", "ResponseMetadata"})
    assert re.fullmatch("[a-zA-Z0-9]{12}", answer["id"])
    frame = json.loads(viewer.recv(timeout=10))
    assert (frame["Id"], frame["EventName"]) == (answer["id"], "aws:DELETE_MESSAGE")
    assert frame["Attributes"]["MessageID"] == "AbCdEf123456"
    assert frame["Attributes"]["Reason"] == "пожалуйста"


def test_disconnect_user(client: Any, room: str, viewer: ClientConnection) -> None:
    """The user's connection hears of it, then is closed cleanly with the reason."""
    user = "Zuschauer №1 🎉"
    answer = client.disconnect_user(roomIdentifier=room, userId=user, reason="genug für heute")
    assert (status(answer), members(answer)) == (200, {})
    frame = json.loads(viewer.recv(timeout=10))
    assert frame["EventName"] == "aws:DISCONNECT_USER"
    assert frame["Attributes"] == {"UserId": user, "Reason": "genug für heute"}
    with pytest.raises(ConnectionClosedOK) as closed:
        viewer.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "genug für heute")


def test_disconnect_user_who_is_not_there(client: Any, room: str) -> None:
    """A user without a connection can be disconnected as well."""
    assert status(client.disconnect_user(roomIdentifier=room, userId="nobody")) == 200
