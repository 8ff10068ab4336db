"""SendMessage: what is sent, every refusal, and that one `requestId` sends one message.

Covers: greenroom.control.greenroom.pins, greenroom.chat.outcome, greenroom.chat.posting
"""

import asyncio
from typing import Any

import msgspec
import pytest

from greenroom.bus.base import BusUnavailable, Deliver
from greenroom.chat.posting import Posting
from greenroom.model.quotas import RateProfile
from greenroom.model.sent_message import KEPT_MS, PENDING_MS
from greenroom.protocol.errors import ActionError, ErrorCode
from greenroom.storage.base import StorageUnavailable
from tests.stand_ins.caller import LAMBDA, STRANGER, Answer, Caller

SAYS = {"userId": "bob", "content": "hi"}


class Room:
    """A room to send messages to."""

    def __init__(self, api: Caller, arn: str) -> None:
        self.api, self.arn = api, arn

    async def send(self, **parameters: Any) -> Answer:
        """Send a message of bob's."""
        asked: dict[str, Any] = {"roomIdentifier": self.arn, **SAYS, **parameters}
        return await self.api.call("SendMessage", **asked)

    async def set(self, **settings: Any) -> None:
        """Set something in the room."""
        answer = await self.api.call(
            "UpdateRoomSettings", roomIdentifier=self.arn, settings=settings
        )
        assert answer.status == 200, answer.body

    @property
    def messages(self) -> list[Any]:
        """Return the messages that were published."""
        return [
            msgspec.json.decode(each.payload)
            for each in self.api.published
            if isinstance(each, Deliver) and each.action == "SendMessage"
        ]


async def a_room(
    profile: RateProfile = RateProfile.OFF, quotas: dict[str, int] | None = None, **members: Any
) -> Room:
    """Return a new room of a new service."""
    api = await Caller(profile, **(quotas or {})).listening()
    return Room(api, await api.created(**members))


async def test_a_message() -> None:
    """It is as any message of the user's, who is not there; the answer has its id and time."""
    room = await a_room()
    answer = await room.send(
        attributes={"a": "b"},
        senderAttributes={"name": "Bob", "greenroom:roles": "vip"},
        requestId="r1",
    )
    assert answer.status == 200, answer.body
    (message,) = room.messages
    assert message == {
        "Type": "MESSAGE",
        "Id": answer.body["id"],
        "RequestId": "r1",
        "Attributes": {"a": "b"},
        "Content": "hi",
        "SendTime": "2023-11-14T22:13:20Z",
        "Sender": {"UserId": "bob", "Attributes": {"name": "Bob"}},
    }
    assert answer.body["sendTime"] == "2023-11-14T22:13:20.000Z"


async def test_modes() -> None:
    """They hold for the user with the roles that are given; with `skipChecks` they do not."""
    room = await a_room()
    await room.set(writers=["vip"])
    refused = await room.send()
    assert refused.error() == (403, "AccessDeniedException")
    assert refused.body["message"] == "Only these may write now: vip"
    assert (await room.send(senderAttributes={"greenroom:roles": "vip"})).status == 200
    assert (await room.send(skipChecks=True)).status == 200
    await room.set(frozen=True)
    assert (await room.send(senderAttributes={"greenroom:roles": "vip"})).status == 403
    await room.set(frozen=False, writers=[], emojiOnly=True)
    refused = await room.send()
    assert refused.error() == (406, "MessageRejectedException")
    assert refused.body["reason"] == refused.body["message"] == "Only emoji may be written now"
    await room.set(emojiOnly=False, duplicateSeconds=60)
    assert [(await room.send()).status for _ in range(2)] == [200, 406]
    await room.set(duplicateSeconds=0, slowModeSeconds=60)
    assert (await room.send(content="1")).status == 200
    refused = await room.send(content="2")
    assert refused.error() == (429, "ThrottlingException")
    assert (refused.body["message"], refused.body["limit"]) == ("rate limit exceeded", 1)


@pytest.mark.parametrize(
    ("operation", "status"), [("BanUser", 403), ("MuteUser", 403), ("HoldUser", 406)]
)
async def test_restrictions(operation: str, status: int) -> None:
    """They hold whatever is skipped, with the words that the user would be told."""
    room = await a_room()
    asked: dict[str, Any] = {
        "roomIdentifier": room.arn,
        "userId": "bob",
        "durationSeconds": 60,
    }
    assert (await room.api.call(operation, **asked)).status == 200
    refused = await room.send(skipChecks=True)
    assert refused.status == status
    assert "until 2023-11-14T22:14:20Z" in refused.body["message"]
    assert (await room.send(userId="eve")).status == 200


async def test_other_refusals() -> None:
    """Too long, denied by the review, too often in the room, by a suspended account, nowhere."""
    room = await a_room(
        maximumMessageLength=5,
        maximumMessageRatePerSecond=2,
        messageReviewHandler={"uri": LAMBDA},
    )
    assert (await room.send(content="sixsix")).fields() == ["content"]
    room.api.reviewer.denies = "spam"
    refused = await room.send()
    assert refused.error() == (406, "MessageRejectedException")
    assert refused.body["reason"] == "spam"
    room.api.reviewer.denies = ""
    await room.send()
    assert (await room.send()).error() == (429, "ThrottlingException")
    missing = await room.send(roomIdentifier=f"{room.arn[:-4]}none")
    assert missing.error() == (404, "ResourceNotFoundException")
    await room.api.accounts.suspend("123456789012")
    assert (await room.send()).error() == (403, "PendingVerification")
    stranger = await room.api.call("SendMessage", account=STRANGER, roomIdentifier=room.arn, **SAYS)
    assert stranger.error() == (404, "ResourceNotFoundException")
    assert len(room.messages) == 1


async def test_a_refusal_without_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a bad request, with the words of the refusal: never a fault of the service."""
    room = await a_room()

    async def refuse(*_: object) -> None:
        raise ActionError(ErrorCode.BAD_REQUEST, "not like this", "")

    monkeypatch.setattr(Posting, "send", refuse)
    refused = await room.send()
    assert refused.error() == (400, "ValidationException")
    assert refused.body["message"] == "not like this"


async def test_announcements() -> None:
    """They are messages with the style, in somebody's name or the service's; no mode holds."""
    room = await a_room()
    await room.set(frozen=True)
    assert (await room.send(announcement="WARNING")).status == 200
    assert (await room.send(announcement="INFO", userId=None)).status == 200
    by_bob, own = room.messages
    assert by_bob["Attributes"] == {"greenroom:announcement": "WARNING"}
    assert by_bob["Sender"]["UserId"] == "bob"
    assert own["Attributes"] == {"greenroom:announcement": "INFO"}
    assert own["Sender"] == {"UserId": "greenroom", "Attributes": {}}
    assert (await room.send(announcement="LOUD")).fields() == ["announcement"]
    banned = {"roomIdentifier": room.arn, "userId": "bob"}
    assert (await room.api.call("MuteUser", **banned)).status == 200
    assert (await room.send(announcement="INFO")).status == 403


async def test_replies() -> None:
    """In a room that keeps its history they are in a thread; without, nothing is known of it."""
    room = await a_room()
    first = (await room.send(replyTo="Message00001")).body["id"]
    assert room.messages[-1]["Attributes"] == {"greenroom:reply-to": "Message00001"}
    await room.set(historyMessages=10)
    assert (await room.send(replyTo=first)).error() == (404, "ResourceNotFoundException")
    root = (await room.send()).body["id"]
    reply = (await room.send(userId="eve", replyTo=root)).body["id"]
    assert room.messages[-1]["Attributes"] == {
        "greenroom:reply-to": root,
        "greenroom:reply-root": root,
        "greenroom:reply-user": "bob",
    }
    await room.send(replyTo=reply, attributes={"a": "b"})
    assert room.messages[-1]["Attributes"] == {
        "a": "b",
        "greenroom:reply-to": reply,
        "greenroom:reply-root": root,
        "greenroom:reply-user": "eve",
    }
    assert (await room.api.call("DeleteMessage", roomIdentifier=room.arn, id=root)).status == 200
    assert (await room.send(replyTo=root)).status == 404
    assert (await room.send(replyTo="short")).fields() == ["replyTo"]


async def test_pins() -> None:
    """A message of the history, for a time; each answer has all pins that are there then."""
    room = await a_room()
    message = {"roomIdentifier": room.arn, "messageId": (await room.send()).body["id"]}
    missing = await room.api.call("PinMessage", **message)
    assert missing.error() == (404, "ResourceNotFoundException")
    await room.set(historyMessages=10)
    message["messageId"] = (await room.send()).body["id"]
    answer = await room.api.call("PinMessage", **message, durationSeconds=60)
    (pin,) = answer.body["pins"]
    assert msgspec.json.decode(pin["frame"]) == room.messages[-1]
    assert (pin["messageId"], pin["by"][-4:]) == (message["messageId"], "root")
    assert pin["expires"] == "2023-11-14T22:14:20.000Z"
    (pin,) = (await room.api.call("PinMessage", **message)).body["pins"]
    assert "expires" not in pin, "without a time it holds until it is taken off"
    for _ in range(2):
        assert (await room.api.call("UnpinMessage", **message)).body == {"pins": []}
    wrong = await room.api.call("PinMessage", roomIdentifier=room.arn, messageId="x")
    assert wrong.fields() == ["messageId"]


async def test_what_a_user_wrote_goes() -> None:
    """By itself or with a restriction, for so many seconds back; never in a whole account."""
    room = await a_room()
    await room.set(historyMessages=10)
    ids = []
    for _ in range(3):
        ids.append((await room.send()).body["id"])
        room.api.time.advance(10)
    whose = {"roomIdentifier": room.arn, "userId": "bob"}
    room.api.published.clear()
    asked: dict[str, Any] = {**whose, "sinceSeconds": 10, "reason": "spam"}
    answer = await room.api.call("DeleteUserMessages", **asked)
    assert answer.body == {"messageIds": ids[2:]}
    assert any(b'"Reason":"spam"' in getattr(each, "payload", b"") for each in room.api.published)
    banned = await room.api.call("BanUser", **whose, deleteMessagesSinceSeconds=20)
    assert banned.status == 200
    assert (await room.api.call("DeleteUserMessages", **whose)).body == {"messageIds": ids[:1]}
    asked = {"scope": "ACCOUNT", "userId": "bob"}
    wrong = await room.api.call("BanUser", **asked, deleteMessagesSinceSeconds=20)
    assert wrong.fields() == ["deleteMessagesSinceSeconds"]
    assert (await room.api.call("DeleteUserMessages", **whose, sinceSeconds=0)).fields() == [
        "sinceSeconds"
    ]


async def test_its_rate_is_its_own() -> None:
    """It is not that of what operators do."""
    room = await a_room(RateProfile.AWS, {"requests_per_second.SendMessage": 60})
    room.api.time.advance(1)
    statuses = [(await room.send()).status for _ in range(61)]
    assert statuses.count(429) == 61 - min(60, 10)  # the room takes 10
    assert (await room.send()).body["message"] == (
        "Rate exceeded: SendMessage allows 60 requests per second"
    )


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"userId": ""}, ["userId"]),
        ({"userId": "greenroom"}, ["userId"]),
        ({"userId": None}, ["userId"]),
        ({"content": None}, ["content"]),
        ({"requestId": ""}, ["requestId"]),
        ({"requestId": "x" * 257}, ["requestId"]),
        ({"attributes": {"greenroom:action": "SET"}}, ["attributes.greenroom:action"]),
        ({"attributes": {"x": "y" * 1024}}, ["attributes"]),
        ({"senderAttributes": {"x": "y" * 1024}}, ["senderAttributes"]),
        (
            {"senderAttributes": {"greenroom:capabilities": "BYPASS"}},
            ["senderAttributes.greenroom:capabilities"],
        ),
        ({"senderAttributes": {"greenroom:x": "1"}}, ["senderAttributes.greenroom:x"]),
        ({"senderAttributes": {"greenroom:roles": "a b"}}, ["senderAttributes.greenroom:roles"]),
    ],
)
async def test_wrong_parameters(parameters: dict[str, Any], fields: list[str]) -> None:
    """Each is named, and nothing is sent."""
    room = await a_room()
    assert (await room.send(**parameters)).fields() == fields
    assert room.messages == []


async def test_the_same_request_again() -> None:
    """It sends nothing and is answered the same, for ten minutes; another one is refused."""
    room = await a_room()
    first = await room.send(requestId="r1")
    room.api.time.advance(1)
    again = await room.send(requestId="r1")
    assert (again.status, again.body) == (200, first.body)
    other = await room.send(requestId="r1", content="ho")
    assert other.error() == (409, "ConflictException")
    assert other.body["message"] == "requestId was given for another message"
    assert len(room.messages) == 1
    elsewhere = Room(room.api, await room.api.created())
    assert (await elsewhere.send(requestId="r1")).status == 200
    assert (await room.send(requestId="r2")).status == 200
    room.api.time.advance(KEPT_MS / 1000)
    assert (await room.send(requestId="r1")).body["id"] != first.body["id"]
    assert [(await room.send()).status for _ in range(2)] == [200, 200]
    assert len(room.messages) == 6


async def test_what_was_refused_is_judged_anew() -> None:
    """A message that was refused is sent when nothing refuses it any more."""
    room = await a_room()
    await room.set(frozen=True)
    assert (await room.send(requestId="r1")).status == 403
    await room.set(frozen=False)
    assert (await room.send(requestId="r1")).status == 200


@pytest.mark.parametrize("denies", ["", "spam"])
async def test_two_at_once(denies: str) -> None:
    """While the first has no outcome the second waits for it; if that is refused, so is this."""
    room = await a_room(messageReviewHandler={"uri": LAMBDA})
    reviewer = room.api.reviewer
    reviewer.go_on.clear()
    reviewer.denies = denies
    both = [asyncio.create_task(room.send(requestId="r1")) for _ in range(2)]
    await reviewer.begun.wait()
    reviewer.go_on.set()
    first, second = [await each for each in both]
    assert (first.status, second.status) == ((406, 406) if denies else (200, 200))
    assert first.body == second.body
    assert len(room.messages) == (not denies)
    assert reviewer.reviewed == (2 if denies else 1)


async def test_nobody_knows_whether_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not sent again, and whoever asks is told; what surely was not is sent again."""
    room = await a_room()
    line = room.api.services.chat._line
    publish = line.publish
    for is_open in (True, False):

        def fail(*_: object, is_open: bool = is_open) -> None:
            raise BusUnavailable("x", is_open=is_open)

        monkeypatch.setattr(line, "publish", fail)
        assert (await room.send(requestId=f"r{is_open}")).status == 503
    monkeypatch.setattr(line, "publish", publish)
    assert (await room.send(requestId="rFalse")).status == 200
    room.api.time.advance(PENDING_MS / 1000)
    unknown = await room.send(requestId="rTrue")
    assert unknown.error() == (409, "ConflictException")
    assert unknown.body["message"].startswith("It is not known whether")
    assert len(room.messages) == 1


async def test_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: nothing is sent. Behind: what happened is told, and not done twice."""
    room = await a_room()
    kept = room.api.store.sent_messages

    async def fail(_: object) -> None:
        raise StorageUnavailable("x")

    with monkeypatch.context() as away:
        away.setattr(kept, "claim", fail)
        assert (await room.send(requestId="r1")).status == 503
    assert room.messages == []
    with monkeypatch.context() as away:
        away.setattr(kept, "settle", fail)
        away.setattr(kept, "release", fail)
        assert (await room.send(requestId="r1")).status == 200
        await room.set(frozen=True)
        assert (await room.send(requestId="r2")).status == 403
    await room.set(frozen=False)
    room.api.time.advance(PENDING_MS / 1000)
    for request in ("r1", "r2"):
        assert (await room.send(requestId=request)).status == 409
    assert len(room.messages) == 1
