"""What Greenroom has beside IVS Chat, as unmodified SDKs see it.

Covers: greenroom.aws.own_service
"""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest

from greenroom.aws import own_service
from tests.interop.answers import refusal
from tests.running.messaging_driver import Refused, Rooms
from tests.running.service import Service, environment
from tests.running.wire import WebSocket, token_line, upgrade_bytes

ROOT = Path(__file__).resolve().parents[2]
SEND = ["SEND_MESSAGE"]


@pytest.fixture(scope="module")
def own(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return boto3's client of the service `greenroom`, whose model is installed."""
    directory = tmp_path_factory.mktemp("models")
    place = directory / own_service.SERVICE / own_service.API_VERSION
    place.mkdir(parents=True)
    for name in own_service.FILES:
        (place / name).write_bytes(own_service.file(name))
    return own_client(service, directory)


def own_client(service: Service, directory: Path) -> Any:
    """Return a client for the models of a directory."""
    core = botocore.session.Session()
    core.register_component("data_loader", botocore.loaders.create_loader(str(directory)))
    make: Any = boto3.Session(botocore_session=core).client
    return make(
        "greenroom",
        endpoint_url=service.api_url,
        region_name="us-east-1",
        aws_access_key_id=service.ready["access_key_id"],
        aws_secret_access_key=service.ready["secret_access_key"],
    )


def test_boto3_knows_the_service(own: Any, arn: str) -> None:
    """Typed results, typed errors, and the operator's operations under their names."""
    changed = own.update_room_settings(
        roomIdentifier=arn, settings={"writers": ["vip"], "frozen": True}, expiresInSeconds=60
    )
    assert changed["effective"]["writers"] == ["vip"]
    assert {each["name"] for each in changed["overrides"]} == {"writers", "frozen"}
    assert changed["overrides"][0]["expires"].tzinfo is not None
    assert own.get_room_settings(roomIdentifier=arn)["version"] == 1
    with pytest.raises(own.exceptions.ResourceNotFoundException):
        own.get_room_settings(roomIdentifier=f"{arn[:-1]}-")
    with pytest.raises(own.exceptions.ValidationException) as raised:
        own.update_room_settings(roomIdentifier=arn)
    assert raised.value.response["fieldList"][0]["name"] == "settings"
    assert own.show_account()["suspended"] is False
    assert own.list_token_keys()["tokenKeys"][0]["current"] is True


def test_tags_are_defaults(service: Service, own: Any) -> None:
    """Through boto3's ivschat, as Terraform sets them."""
    ivschat = service.boto3()
    arn = ivschat.create_room(tags={"greenroom:frozen": "true"})["arn"]
    assert own.get_room_settings(roomIdentifier=arn)["effective"]["frozen"] is True
    own.update_room_settings(roomIdentifier=arn, settings={"frozen": False})
    ivschat.tag_resource(resourceArn=arn, tags={"greenroom:frozen": "true"})
    assert own.get_room_settings(roomIdentifier=arn)["effective"]["frozen"] is False
    with pytest.raises(ivschat.exceptions.ValidationException):
        ivschat.tag_resource(resourceArn=arn, tags={"greenroom:frozen": "x"})


@pytest.mark.asyncio(loop_scope="module")
async def test_a_frozen_room(rooms: Rooms, arn: str) -> None:
    """A viewer's promise is rejected with words for people; a moderator writes on, and ends it."""
    alice = await rooms.enter(arn, "alice", capabilities=[*SEND, "greenroom:MODERATE"])
    bob = await rooms.enter(arn, "bob", capabilities=SEND)
    asked = {"greenroom:action": "SET", "Settings": '{"frozen": true}'}
    done = await alice.send("", asked)
    assert done["sender"]["userId"] == "greenroom"
    assert json.loads(done["attributes"]["Result"])["Settings"]["frozen"] is True
    with pytest.raises(Refused) as refused:
        await bob.send("hi")
    assert (refused.value.code, refused.value.message) == (403, "Nobody may write now")
    sent = await alice.send("calm down")
    assert await bob.next("message") == sent
    await alice.send("", {**asked, "Settings": '{"frozen": null}'})
    assert (await bob.send("hi"))["content"] == "hi"
    assert [each["content"] for each in bob.seen("message")] == ["calm down", "hi"]


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_for_the_service_is_seen_by_nobody(rooms: Rooms, arn: str) -> None:
    """Attributes of tokens are hidden, forged ones of messages go."""
    own = {"greenroom:roles": "vip", "greenroom:capabilities": "MODERATE", "color": "red"}
    alice = await rooms.enter(arn, "alice", capabilities=SEND, attributes=own)
    sent = await alice.send("hi", {"greenroom:announcement": "INFO", "x": "y"})
    assert sent["sender"]["attributes"] == {"color": "red"}
    assert sent["attributes"] == {"x": "y"}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_pause(rooms: Rooms, own: Any, service: Service, arn: str) -> None:
    """A viewer's promise is fulfilled at once; others are shown the message later, he not again."""
    own.update_room_settings(roomIdentifier=arn, settings={"paused": True, "delaySeconds": 1})
    bob = await rooms.enter(arn, "bob", capabilities=SEND)
    eve = await rooms.enter(arn, "eve", capabilities=SEND)
    first, gone = await bob.send("hi"), await bob.send("never")
    service.boto3().delete_message(roomIdentifier=arn, id=gone["id"])
    assert (await eve.next("messageDelete"))["messageId"] == gone["id"]
    assert eve.seen("message") == []
    own.update_room_settings(roomIdentifier=arn, reset=["paused"])
    assert await eve.next("message") == first
    own.update_room_settings(roomIdentifier=arn, reset=["delaySeconds"])
    last = await eve.send("end")
    while await bob.next("message") != last:
        pass
    assert bob.seen("message") == [first, gone, last]
    assert eve.seen("message") == [first, last]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_ban(rooms: Rooms, own: Any, service: Service, arn: str) -> None:
    """The application is told by IVS Chat's own event; connecting again gets no token."""
    bob = await rooms.enter(arn, "bob", capabilities=SEND)
    eve = await rooms.enter(arn, "eve", capabilities=SEND)
    own.ban_user(roomIdentifier=arn, userId="bob", reason="spam", durationSeconds=60)
    for each in (bob, eve):
        told = await each.next("userDisconnect")
        assert told["userId"] == "bob"
        assert told["reason"] == "spam"
    await bob.next("disconnect")
    asked = {"roomIdentifier": arn, "userId": "bob"}
    refused = refusal(service.boto3(), "AccessDeniedException", "create_chat_token", **asked)
    assert "is banned from the room" in refused["Error"]["Message"]
    pages = own.get_paginator("list_restrictions").paginate(roomIdentifier=arn)
    assert [each["userId"] for page in pages for each in page["restrictions"]] == ["bob"]
    own.lift_restriction(roomIdentifier=arn, userId="bob", kind="BAN")
    assert (await (await rooms.enter(arn, "bob")).send("back"))["content"] == "back"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_shadow_and_a_mute(rooms: Rooms, own: Any, arn: str) -> None:
    """A shadowed user's promise is fulfilled as ever; a muted one's is rejected, with the end."""
    bob = await rooms.enter(arn, "bob", capabilities=SEND)
    eve = await rooms.enter(arn, "eve", capabilities=SEND)
    own.shadow_ban_user(roomIdentifier=arn, userId="bob")
    hidden = await bob.send("hidden")
    assert hidden["attributes"] is None if "attributes" in hidden else True
    assert await bob.next("message") == hidden
    own.lift_restriction(roomIdentifier=arn, userId="bob", kind="SHADOW")
    own.mute_user(roomIdentifier=arn, userId="bob", durationSeconds=60)
    with pytest.raises(Refused) as refused:
        await bob.send("hi")
    assert refused.value.code == 403
    assert refused.value.message.startswith("You may not write until 20")
    await eve.send("end")
    await bob.next("message")
    assert [each["content"] for each in eve.seen("message")] == ["end"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_message_over_http(rooms: Rooms, own: Any, arn: str) -> None:
    """Everybody sees an ordinary message; boto3 gives each call a request of its own by itself."""
    eve = await rooms.enter(arn, "eve", capabilities=SEND)
    asked = {"roomIdentifier": arn, "userId": "bot", "content": "hi", "requestId": "r1"}
    sent = [own.send_message(**asked, senderAttributes={"name": "Bot"}) for _ in range(2)]
    assert sent[0]["id"] == sent[1]["id"]
    assert sent[0]["sendTime"] == sent[1]["sendTime"]
    own.send_message(roomIdentifier=arn, userId="bot", content="ho")
    first, second = await eve.next("message"), await eve.next("message")
    assert (first["id"], first["content"], first["requestId"]) == (sent[0]["id"], "hi", "r1")
    assert first["sender"] == {"userId": "bot", "attributes": {"name": "Bot"}}
    assert (second["content"], len(second["requestId"])) == ("ho", 36)
    own.update_room_settings(roomIdentifier=arn, settings={"emojiOnly": True})
    with pytest.raises(own.exceptions.MessageRejectedException) as refused:
        own.send_message(roomIdentifier=arn, userId="bot", content="no")
    assert refused.value.response["reason"] == "Only emoji may be written now"


@pytest.mark.asyncio(loop_scope="module")
async def test_threads_pins_and_announcements(rooms: Rooms, own: Any, service: Service) -> None:
    """An SDK shows replies and announcements as messages, and is told nothing of pins."""
    arn = service.boto3().create_room(tags={"greenroom:history-messages": "10"})["arn"]
    eve = await rooms.enter(arn, "eve", capabilities=SEND)
    sent = await eve.send("hi")
    reply = await eve.send("yes", {"greenroom:reply-to": sent["id"]})
    assert reply["attributes"]["greenroom:reply-root"] == sent["id"]
    assert reply["attributes"]["greenroom:reply-user"] == "eve"
    with pytest.raises(Refused) as refused:
        await eve.send("no", {"greenroom:reply-to": "Message00001"})
    assert refused.value.code == 404
    (pin,) = own.pin_message(roomIdentifier=arn, messageId=sent["id"])["pins"]
    assert json.loads(pin["frame"])["Content"] == "hi"
    own.send_message(roomIdentifier=arn, content="Be kind", announcement="INFO")
    for _ in range(2):
        await eve.next("message")
    announced = await eve.next("message")
    assert announced["attributes"] == {"greenroom:announcement": "INFO"}
    assert announced["sender"]["userId"] == "greenroom"
    deleted = own.delete_user_messages(roomIdentifier=arn, userId="eve")["messageIds"]
    assert deleted == [sent["id"], reply["id"]]
    assert [(await eve.next("messageDelete"))["messageId"] for _ in deleted] == deleted
    assert own.unpin_message(roomIdentifier=arn, messageId=sent["id"])["pins"] == []
    assert eve.seen("event") == []


JS_V3 = """
const {ENDPOINT: endpoint, ARN: roomIdentifier, KEY, SECRET} = process.env;
const credentials = {accessKeyId: KEY, secretAccessKey: SECRET};
const options = {endpoint, region: "us-east-1", credentials};
const settings = {slowModeSeconds: 5, writers: ["vip"]};
const changed = await greenroom("UpdateRoomSettings", {roomIdentifier, settings}, options);
console.log(changed.effective.slowModeSeconds, changed.version);
for (const wrong of [{settings: {x: 1}}, {roomIdentifier: `${roomIdentifier}0`}]) {
  const asked = greenroom("UpdateRoomSettings", {roomIdentifier, settings, ...wrong}, options);
  await asked.catch(({name}) => console.log(name));
}
"""


def test_the_way_of_the_javascript_sdk_v3(service: Service, arn: str) -> None:
    """What the documentation shows signs with that SDK's own signer, and raises what is refused."""
    page = (ROOT / "docs" / "reference" / "extensions.md").read_text()
    (shown,) = re.findall(r"```js\n(import {SignatureV4}.*?)```", page, re.DOTALL)
    variables = {
        "ENDPOINT": service.api_url,
        "ARN": arn,
        "KEY": service.ready["access_key_id"],
        "SECRET": service.ready["secret_access_key"],
    }
    done = subprocess.run(
        ["node", "--input-type=module"],
        input=shown + JS_V3,
        env=environment(**variables),
        cwd=ROOT / "tests" / "interop",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["5", "1", "ValidationException", "ResourceNotFoundException"]


@pytest.mark.parametrize("pieces", [1, 2])
def test_what_the_url_asks_for(service: Service, arn: str, pieces: int) -> None:
    """It is heard, in whatever pieces the request comes; a wrong wish is refused by its name."""
    with WebSocket(service) as peer:
        request = upgrade_bytes(token_line(service.token(arn, "eve")), path=b"/?events=on")
        for piece in (request[:20], request[20:]) if pieces == 2 else (request,):
            peer.send(piece)
            # Otherwise both come with one read.
            time.sleep(0.05 * (pieces - 1))
        assert peer.read_answer().status == 101
        assert peer.read_json()["EventName"] == "greenroom:WELCOME"
    with WebSocket(service) as peer:
        peer.send(upgrade_bytes(token_line(service.token(arn, "eve")), path=b"/?events=yes"))
        answer = peer.read_answer()
        assert answer.status == 400
        assert b"events" in answer.body
