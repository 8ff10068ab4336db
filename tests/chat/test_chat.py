"""What can happen in a room: limits, errors, and what is published.

Covers: greenroom.chat.gates, greenroom.chat.send_times
"""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any
from unittest.mock import AsyncMock, Mock

import msgspec
import pytest
import structlog

from greenroom.bus.base import (
    Arrival,
    Audience,
    Before,
    BusUnavailable,
    Deliver,
    Disconnect,
    Grant,
    Position,
)
from greenroom.chat.chat import DEFAULT_KICK_REASON, KICKED, Chat
from greenroom.chat.outcome import Placed, Post, done
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.send_times import SendTimes
from greenroom.chatlog.recorded_line import RecordedLine
from greenroom.model.chat_token import LONGEST_SESSION_SECONDS, Capability
from greenroom.model.errors import (
    PendingVerification,
    ResourceNotFoundException,
    ServiceUnavailableException,
    ThrottlingException,
)
from greenroom.model.logging_configuration import LoggingConfiguration
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.model.restriction import Kind, Restriction
from greenroom.model.room import HandlerChange, Room, RoomChange
from greenroom.model.room_settings import Override, Overrides, SettingsChange
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import MESSAGE_TOO_LONG, RATE_LIMIT_EXCEEDED, ActionError
from greenroom.review.base import Allowed, Denied, Held, Submission, Verdict
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.listening import ListeningBus
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.scene import FullJournal, FullStore, room_of
from tests.stand_ins.scene import Scene as LogScene
from tests.stand_ins.stage import claims_of, settle
from tests.stand_ins.values import NOW, a_room, room_arn


def address() -> str:
    """Return the address that every sender has."""
    return "192.0.2.7"


class HandReviewer:
    """Gives the verdict that a test gave it, when the gate is open."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.gate = asyncio.Event()
        self.verdict: Verdict | None = None

    async def review(self, room: Room, submission: Submission) -> Verdict:
        self.submissions.append(submission)
        await self.gate.wait()
        return self.verdict or Allowed(submission.content, submission.attributes)

    async def problem(self, uri: str) -> str | None:
        return None


class Scene:
    """A chat with one room, and everything that it published."""

    def __init__(
        self,
        room: Room,
        *,
        room_rates: bool = True,
        bus: ListeningBus | None = None,
        **quotas: int,
    ) -> None:
        self.time, self.store, self.room = HandClock(), MemoryStore(), room
        self.arn = str(room.arn)
        self.bus = bus = bus or ListeningBus()
        self.rooms = RoomsCache(self.store.rooms, bus, LooseTasks(), clock=self.time.clock)
        settled = Quotas(RateProfile.OFF, quotas, room_rates)
        self.reviewer = HandReviewer()
        self.restrictions = Restrictions(
            self.store.restrictions, bus, self.time.clock, LooseTasks()
        )
        self.chat = Chat(
            self.rooms,
            bus,
            settled,
            self.time.clock,
            reviewer=self.reviewer,
            restrictions=self.restrictions,
        )
        self.published = bus.published
        self.refusals: set[tuple[str, str]] = set()

    async def begin(self) -> "Scene":
        await self.bus.start()
        await self.store.rooms.create(self.room, 0)
        await self.rooms.get(self.arn)
        return self

    def send(self, content: str = "hi", arn: str | None = None, **members: Any) -> None:
        """Send a message to a room that the cache knows."""
        sender = claims_of(room_arn=arn or self.arn, attributes={"name": "Ann"})
        assert self.chat.send_message(sender, SendMessage(content, **members), address) is None

    def sent(self, attempts: int) -> int:
        """Return how many of the attempts were accepted; collect why the others were not."""
        accepted = 0
        for _ in range(attempts):
            try:
                self.send()
                accepted += 1
            except ThrottlingException as error:
                self.refusals.add((error.message, error.resource_id))
        return accepted

    def frames(self) -> list[dict[str, Any]]:
        """Return the JSON of what was published."""
        return [
            msgspec.json.decode(each.payload)
            for each in self.published
            if isinstance(each, Deliver | Disconnect)
        ]

    async def change(self, change: RoomChange) -> None:
        """Update the room, as UpdateRoom does."""
        await self.store.rooms.update(self.room.arn, change, NOW)
        self.rooms.forget(self.arn)
        await self.rooms.get(self.arn)


async def scene(**quotas: int) -> Scene:
    """Return a scene with a room of the default limits."""
    return await Scene(a_room(), room_rates=True, bus=None, **quotas).begin()


async def test_message() -> None:
    """A message carries what its sender's token says, and goes to the room once."""
    stage = await scene()
    stage.send("hello", attributes={"a": "b"}, request_id="r")
    (envelope,) = stage.published
    assert isinstance(envelope, Deliver)
    assert (stage.bus.rooms, envelope.action) == ([stage.arn], "SendMessage")
    (frame,) = stage.frames()
    assert frame["Sender"] == {"UserId": "ann", "Attributes": {"name": "Ann"}}
    assert (frame["Content"], frame["Attributes"]) == ("hello", {"a": "b"})
    assert (frame["Type"], frame["RequestId"]) == ("MESSAGE", "r")


async def test_send_times_strictly_increase() -> None:
    """While the clock is corrected, frames sort by time in the order of delivery, across kinds."""
    stage = await scene()
    for jump in (0, 0, -0.9, 0, 7200, -0.5, -0.4):
        stage.time.jump(jump)
        stage.send()
        await stage.chat.send_event(stage.arn, "e", None)
    frames = stage.frames()
    padded = [each["SendTime"].rstrip("Z").partition(".") for each in frames]
    keys = [(second, fraction.ljust(9, "0")) for second, _, fraction in padded]
    assert keys == sorted(set(keys))
    assert len(keys) == 14
    assert len({each["Id"] for each in frames}) == 14


async def test_send_times_follow_a_clock_that_is_set_back() -> None:
    """A clock that was once hours ahead does not stop time; the order is that of acceptance."""
    stage = await scene()
    stage.time.jump(7200)
    stage.send("ahead")
    stage.time.jump(-7200)
    with structlog.testing.capture_logs() as logs:
        for content in ("back", "again"):
            stage.send(content)
            stage.time.advance(1)
    frames = stage.frames()
    assert [each["Content"] for each in frames] == ["ahead", "back", "again"]
    assert [each["SendTime"] for each in frames] == [
        "2023-11-15T00:13:20Z",
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:21Z",
    ]
    (line,) = logs
    assert (line["log_level"], line["seconds"]) == ("warning", 7200)


@pytest.mark.parametrize(
    ("ahead_ns", "behind_ns", "told"),
    [
        (-1, 0, None),
        (0, 1, None),
        (5, 6, None),
        (3 * 10**9, 3 * 10**9 + 1, None),
        (3 * 10**9 + 1, 0, 3.0),
        (4_123_456_789, 0, 4.123),
    ],
)
def test_send_times_of_nodes_whose_clocks_differ(
    ahead_ns: int, behind_ns: int, told: float | None
) -> None:
    """What another node sent may be ahead by as much as clocks may differ, and a second."""
    time = HandClock()
    line: Any = Mock(skew_ns=2 * 10**9)
    with structlog.testing.capture_logs() as logs:
        found = SendTimes(time.clock, line).following(Before(time.wall_ns + ahead_ns, 0))
    assert found - time.wall_ns == behind_ns
    assert [each["seconds"] for each in logs] == ([] if told is None else [told])


@pytest.mark.parametrize("content", ["x" * 10, "ä" * 10, "👩" * 10])
async def test_length_is_in_code_points(content: str) -> None:
    """Content of as many code points as the room allows passes; one more is a 413."""
    stage = await scene()
    await stage.change(RoomChange(maximum_message_length=10))
    stage.send(content)
    with pytest.raises(ActionError) as refused:
        stage.send(content + content[0], request_id="r")
    error = refused.value
    assert (error.code, error.message, error.request_id) == (413, MESSAGE_TOO_LONG, "r")
    assert len(stage.published) == 1


async def test_room_rate() -> None:
    """A room takes its messages a second, from all senders, and refills as time goes on."""
    stage = await scene()
    assert stage.sent(30) == 10
    stage.time.advance(0.5)
    assert stage.sent(30) == 5
    stage.time.advance(3600)
    assert stage.sent(30) == 10
    stage.time.jump(-3600)
    assert stage.sent(5) == 0
    assert stage.refusals == {(RATE_LIMIT_EXCEEDED, stage.room.arn.id)}


async def test_a_changed_rate_holds_at_once() -> None:
    """Lowered, the rate grants no more than itself; raised, it fills up faster."""
    stage = await scene()
    await stage.change(RoomChange(maximum_message_rate_per_second=3))
    assert stage.sent(10) == 3
    await stage.change(RoomChange(maximum_message_rate_per_second=100))
    assert stage.sent(10) == 0
    stage.time.advance(0.25)
    assert stage.sent(100) == 25


async def test_room_rates_can_be_off() -> None:
    """Without room rates only the account's rate holds; without any, none."""
    stage = await Scene(a_room(), room_rates=False, send_message_rate=20).begin()
    assert stage.sent(50) == 20
    free = await Scene(a_room(), room_rates=False).begin()
    assert free.sent(2000) == 2000


async def test_account_rate_spans_rooms() -> None:
    """The account's rate counts the messages of all its rooms in the region, not of others."""
    stage = await scene(send_message_rate=12)
    second = await stage.store.rooms.create(a_room(), 0)
    abroad = await stage.store.rooms.create(a_room(arn=room_arn(region="eu-west-1")), 0)
    foreign = await stage.store.rooms.create(a_room(arn=room_arn(account="1")), 0)
    assert stage.sent(10) == 10
    for room, accepted in ((second, 2), (abroad, 10), (foreign, 10)):
        arn = str(room.arn)
        await stage.rooms.get(arn)
        before = len(stage.published)
        for _ in range(11):
            with contextlib.suppress(ThrottlingException):
                stage.send(arn=arn)
        assert len(stage.published) - before == accepted


async def test_a_refusal_uses_up_nothing_of_the_room() -> None:
    """Messages refused for their length, or the account's rate, leave the room its rate."""
    stage = await scene(send_message_rate=4)
    for _ in range(20):
        with pytest.raises(ActionError):
            stage.send("x" * 501)
    assert stage.sent(100) == 4
    room_bucket = stage.chat.rates._rooms.find(stage.arn, 10, stage.time.seconds)
    assert [room_bucket.take(stage.time.seconds) for _ in range(7)] == [True] * 6 + [False]


async def test_what_the_bus_refuses_counts_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender is told, and the account may send another message in its place."""
    stage = await scene(send_message_rate=1)

    def refuse(_room: str, _grant: object) -> int:
        raise BusUnavailable("as the test says")

    with monkeypatch.context() as patched:
        patched.setattr(stage.chat._line, "publish", refuse)
        for _ in range(3):
            with pytest.raises(BusUnavailable):
                stage.send()
    assert stage.chat.requests["SendMessage"] == 0
    assert stage.sent(3) == 1


async def test_deleted_room() -> None:
    """Nothing can be done in a room that is gone, and nothing is published."""
    stage = await scene()
    await stage.store.rooms.delete(stage.room.arn)
    stage.rooms.forget(stage.arn)
    sender = claims_of(room_arn=stage.arn)
    waiting = stage.chat.send_message(sender, SendMessage("hi"), address)
    assert waiting is not None
    with pytest.raises(ResourceNotFoundException):
        await waiting
    with pytest.raises(ResourceNotFoundException):
        stage.send()
    for call in (
        stage.chat.delete_message(stage.arn, "m", None),
        stage.chat.disconnect_user(stage.arn, "u", None),
        stage.chat.send_event(stage.arn, "e", None),
    ):
        with pytest.raises(ResourceNotFoundException):
            await call
    assert stage.published == []


async def test_delete_message() -> None:
    """The event names the message under both spellings; its id is returned."""
    stage = await scene()
    event_id = await stage.chat.delete_message(stage.arn, "m" * 12, "spam", "r")
    (frame,) = stage.frames()
    assert (frame["EventName"], frame["Id"], frame["RequestId"]) == (
        "aws:DELETE_MESSAGE",
        event_id,
        "r",
    )
    names = {"MessageID": "m" * 12, "MessageId": "m" * 12, "Reason": "spam"}
    assert frame["Attributes"] == names


@pytest.mark.parametrize(
    ("reason", "closes_with"), [("spam", "spam"), (None, DEFAULT_KICK_REASON), ("", None)]
)
async def test_disconnect_user(reason: str | None, closes_with: str | None) -> None:
    """One envelope carries the event and the close reason, which is never empty."""
    stage = await scene()
    await stage.chat.disconnect_user(stage.arn, "bob", reason)
    (envelope,) = stage.published
    assert isinstance(envelope, Disconnect)
    assert (envelope.user_id, envelope.reason) == ("bob", closes_with or DEFAULT_KICK_REASON)
    (frame,) = stage.frames()
    assert frame["EventName"] == "aws:DISCONNECT_USER"
    assert frame["Attributes"] == {"UserId": "bob", **({"Reason": reason} if reason else {})}


async def deleted(**options: Any) -> Scene:
    """Return a scene whose room is deleted, with everybody still in it."""
    stage = await scene(**options)
    await stage.store.rooms.delete(stage.room.arn)
    stage.rooms.note_deleted(stage.arn)
    return stage


async def test_disconnect_user_of_a_deleted_room() -> None:
    """Connections stay, and can be ended as long as there may be some; nothing else goes on."""
    stage = await deleted(disconnect_user_rate=1)
    await stage.chat.disconnect_user(stage.arn, "bob", "spam")
    (envelope,) = stage.published
    assert isinstance(envelope, Disconnect)
    assert (stage.bus.rooms, envelope.user_id, envelope.reason) == ([stage.arn], "bob", "spam")
    with pytest.raises(ThrottlingException):
        await stage.chat.disconnect_user(stage.arn, "bob", None)
    for refused in (
        stage.chat.delete_message(stage.arn, "m", None),
        stage.chat.send_event(stage.arn, "e", None),
        stage.chat.disconnect_user(str(room_arn()), "bob", None),
    ):
        with pytest.raises(ResourceNotFoundException):
            await refused
    stage.time.advance(LONGEST_SESSION_SECONDS)
    with pytest.raises(ResourceNotFoundException):
        await stage.chat.disconnect_user(stage.arn, "bob", None)
    assert len(stage.published) == 1


async def test_a_suspended_account_in_a_deleted_room() -> None:
    """Who was suspended hears that, in a room that is gone too, and disconnects nobody."""
    stage = await deleted()

    def suspended(_account: str) -> None:
        raise PendingVerification("pending")

    chat = Chat(stage.rooms, stage.bus, Quotas(), stage.time.clock, check_account=suspended)
    sender, action = claims_of(room_arn=stage.arn), SendMessage("hi")
    waiting = chat.send_message(sender, action, address)
    assert waiting is not None
    with pytest.raises(PendingVerification):
        await waiting
    with pytest.raises(PendingVerification):
        chat.send_message(sender, action, address)
    for refused in (
        chat.delete_message(stage.arn, "m", None),
        chat.send_event(stage.arn, "e", None),
        chat.disconnect_user(stage.arn, "bob", None),
    ):
        with pytest.raises(PendingVerification):
            await refused
    assert stage.published == []


async def test_a_suspended_account_changes_nothing() -> None:
    """In rooms that are there: nothing that people, hosts and moderators do is published."""
    stage = await scene()

    def suspended(account: str) -> None:
        assert account == stage.room.arn.account
        raise PendingVerification("pending")

    chat = Chat(stage.rooms, stage.bus, Quotas(), stage.time.clock, check_account=suspended)

    async def check_may_change() -> None:
        chat.check_may_change(stage.room.arn)

    async def check_may_moderate() -> None:
        chat.check_may_moderate(stage.room.arn.account)

    for refused in (
        chat.delete_message(stage.arn, "m", None),
        chat.send_event(stage.arn, "e", None),
        chat.disconnect_user(stage.arn, "bob", None),
        check_may_change(),
        check_may_moderate(),
    ):
        with pytest.raises(PendingVerification):
            await refused
    with pytest.raises(PendingVerification):
        chat.send_message(claims_of(room_arn=stage.arn), SendMessage("hi"), address)
    assert stage.published == []


async def test_what_moderators_do_in_rooms_has_a_rate() -> None:
    """Of the account in its region; what holds of a whole account is not counted for a room."""
    stage = await scene(moderation_rate=2)
    for _ in range(2):
        stage.chat.check_may_change(stage.room.arn)
    with pytest.raises(ThrottlingException):
        stage.chat.check_may_change(stage.room.arn)
    stage.chat.check_may_moderate(stage.room.arn.account)


@pytest.mark.parametrize(
    ("members", "waits"),
    [
        ({}, False),
        ({"tags": {"greenroom:history-messages": "5"}}, True),
        ({"overrides": Overrides(1, {"historyMessages": Override(5, "me")})}, True),
    ],
)
async def test_what_was_deleted_does_not_come_back(
    members: dict[str, Any], waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who deletes in a room that may keep history hears when that could not be kept."""
    stage = await Scene(msgspec.structs.replace(a_room(), **members)).begin()
    deleted = AsyncMock()
    stage.chat.when_deleted = deleted

    async def kept() -> None:
        raise ServiceUnavailableException("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(stage.bus, "kept", lambda: kept() if waits else None)
        with pytest.raises(ServiceUnavailableException) if waits else contextlib.nullcontext():
            await stage.chat.delete_message(stage.arn, "m", None)
    assert [type(each) for each in stage.published] == [Deliver], "all are told of it at once"
    assert deleted.await_count == (0 if waits else 1)
    await stage.chat.delete_message(stage.arn, "m", None)
    deleted.assert_awaited_with(stage.room, ("m",))


async def test_a_room_as_the_store_has_it_now() -> None:
    """Whoever asks for that is not told what the cache has."""
    stage = await scene()
    await stage.store.rooms.update(stage.room.arn, RoomChange(name="new"), NOW)
    assert (await stage.chat.room(stage.room.arn)).name == stage.room.name
    assert (await stage.chat.room_anew(stage.room.arn)).name == "new"


@pytest.mark.parametrize("audience", Audience)
async def test_what_shadowed_users_are_told_is_in_no_chat_log(audience: Audience) -> None:
    """What others are told is in those of the room."""
    stage = await scene()
    logs = ("arn:aws:ivschat:us-east-1:123456789012:logging-configuration/Log000000001",)
    room = msgspec.structs.replace(stage.room, logging_configuration_identifiers=logs)
    await stage.chat.tell(room, "Tell", "greenroom:told", {}, audience, "bob")
    (told,) = stage.published
    assert isinstance(told, Deliver)
    assert (told.audience, told.user_id) == (audience, "bob")
    assert told.configurations == (() if audience is Audience.SHADOWED else logs)


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [(None, {"greenroom:a": "b"}), ({"c": "d"}, {"c": "d", "greenroom:a": "b"})],
)
async def test_attributes_of_the_services_own(
    attributes: dict[str, str] | None, shown: dict[str, str]
) -> None:
    """They stand beside those of the sender."""
    stage = await scene()
    post = Post("", {"greenroom:a": "b"})
    sender = claims_of(room_arn=stage.arn)
    message = SendMessage("hi", attributes=attributes)
    assert stage.chat.send_message(sender, message, address, post) is None
    (frame,) = stage.frames()
    assert frame["Attributes"] == shown


async def test_what_is_looked_for_first_is_no_reason_for_a_review() -> None:
    """In a room without a handler nobody is asked about a reply either."""
    stage = await scene()

    async def finds() -> dict[str, str]:
        return {"greenroom:found": "it"}

    sender, post = claims_of(room_arn=stage.arn), Post("", finds=finds)
    await done(stage.chat.send_message(sender, SendMessage("hi"), address, post))
    assert stage.reviewer.submissions == []
    (frame,) = stage.frames()
    assert frame["Attributes"] == {"greenroom:found": "it"}


async def test_moderation_rates() -> None:
    """Deleting and disconnecting have a rate each, for the account; 0 is none."""
    stage = await scene(delete_message_rate=2, disconnect_user_rate=1)
    for _ in range(2):
        await stage.chat.delete_message(stage.arn, "m", None)
    with pytest.raises(ThrottlingException) as refused:
        await stage.chat.delete_message(stage.arn, "m", None)
    assert (refused.value.limit, refused.value.message) == (2, RATE_LIMIT_EXCEEDED)
    await stage.chat.disconnect_user(stage.arn, "u", None)
    with pytest.raises(ThrottlingException):
        await stage.chat.disconnect_user(stage.arn, "u", None)
    assert len(stage.published) == 3
    free = await scene()
    for _ in range(500):
        await free.chat.delete_message(free.arn, "m", None)


async def test_event() -> None:
    """An application's event goes out under its name; no attributes are null on the wire."""
    stage = await scene()
    event_id = await stage.chat.send_event(stage.arn, "app:poll", None)
    (frame,) = stage.frames()
    assert (frame["Id"], frame["EventName"], frame["Attributes"]) == (event_id, "app:poll", None)


class LoggedScene(Scene):
    """A scene whose room has a logging configuration."""

    def __init__(self, logs: LogScene, configuration: LoggingConfiguration) -> None:
        super().__init__(room_of(configuration), room_rates=False)
        self.logs, self.store = logs, logs.store  # type: ignore[assignment]
        self.rooms = RoomsCache(self.store.rooms, self.bus, LooseTasks())
        self.chat = Chat(
            self.rooms, RecordedLine(self.bus, logs.log), Quotas(RateProfile.OFF), self.time.clock
        )

    def say(self, content: str) -> Awaitable[object]:
        """Send a message that waits for its record."""
        waiting = self.chat.send_message(
            claims_of(room_arn=self.arn), SendMessage(content), address
        )
        assert waiting is not None
        return waiting

    async def with_review(self) -> Chat:
        """Let the room have a review handler; return a chat with a reviewer."""
        await self.change(RoomChange(message_review_handler=HandlerChange(uri=TestReview.URI)))
        return Chat(
            self.rooms,
            RecordedLine(self.bus, self.logs.log),
            Quotas(RateProfile.OFF),
            self.time.clock,
            reviewer=self.reviewer,
        )

    def records(self) -> list[bytes]:
        """Return what the destination keeps."""
        return self.logs.destination().payloads()


@contextlib.asynccontextmanager
async def logged() -> AsyncIterator[tuple[LoggedScene, FullJournal]]:
    """Give a scene with a logged room, and its journal."""
    store = FullStore()
    async with LogScene(store).running() as logs:
        stage = LoggedScene(logs, await logs.configuration())
        yield await stage.begin(), store.disk  # type: ignore[misc]
        await logs.log.stop(5)


@pytest.mark.parametrize("user", ["bob", "eve"])
async def test_what_waits_behind_a_kick(user: str) -> None:
    """Is refused from the moment that the kick has its place, before anybody has heard of it."""
    stage = await Scene(a_room(uri="arn:aws:lambda:us-east-1:123456789012:function:f")).begin()
    sender = claims_of(room_arn=stage.arn, user_id=user)
    waiting = stage.chat.send_message(sender, SendMessage("hi"), address)
    sending = asyncio.create_task(done(waiting))
    await settle()
    await stage.chat.disconnect_user(stage.arn, "bob", None)
    stage.reviewer.gate.set()
    if user == "bob":
        with pytest.raises(ActionError, match=KICKED):
            await sending
    else:
        await sending
    kinds = [type(each) for each in stage.published if isinstance(each, Deliver | Disconnect)]
    assert kinds == ([Disconnect] if user == "bob" else [Disconnect, Deliver])


async def test_what_waits_behind_a_kick_of_another_node() -> None:
    """Is refused as soon as that is heard of."""
    stage = await Scene(a_room(uri="arn:aws:lambda:us-east-1:123456789012:function:f")).begin()
    sender = claims_of(room_arn=stage.arn, user_id="bob")
    sending = asyncio.create_task(done(stage.chat.send_message(sender, SendMessage("hi"), address)))
    await settle()
    stage.bus.follow(stage.arn)
    stage.bus.put(stage.arn, Disconnect(b"{}", "bob", "spam", "k", 1))
    stage.reviewer.gate.set()
    with pytest.raises(ActionError, match=KICKED):
        await sending


async def test_everything_is_recorded() -> None:
    """Messages and all kinds of events are on record, byte for byte as they were published."""
    async with logged() as (stage, _):
        await stage.say("hi")
        await stage.chat.send_event(stage.arn, "app:poll", {"a": "b"})
        await stage.chat.delete_message(stage.arn, "m" * 12, "spam")
        await stage.chat.disconnect_user(stage.arn, "bob", None)
        await stage.logs.log.stop(5)
        published = [
            each.payload for each in stage.published if isinstance(each, Deliver | Disconnect)
        ]
        assert stage.records() == published
        assert len(published) == 4


async def test_what_is_refused_is_not_recorded() -> None:
    """A message that nobody receives is not on record."""
    async with logged() as (stage, _):
        with pytest.raises(ActionError):
            stage.chat.send_message(claims_of(room_arn=stage.arn), SendMessage("x" * 501), address)
        await stage.logs.log.stop(5)
        assert stage.records() == []


async def test_nothing_is_published_before_it_is_recorded() -> None:
    """While the store works on the record nobody sees the frame; the sender waits."""
    async with logged() as (stage, journal):
        journal.gate.clear()
        waiting = asyncio.ensure_future(stage.say("hi"))
        await stage.logs.settle_briefly()
        assert stage.published == []
        assert not waiting.done()
        journal.gate.set()
        await waiting
        assert len(stage.published) == 1


async def test_recorded_frames_keep_their_order() -> None:
    """Frames of all senders and kinds are published in the order of their SendTime."""
    async with logged() as (stage, journal):
        stage.time.wall_ns += 1
        journal.gate.clear()
        messages = [stage.say(f"{number}") for number in range(5)]
        events = [
            asyncio.ensure_future(stage.chat.send_event(stage.arn, "e", None)) for _ in range(5)
        ]
        await stage.logs.settle_briefly()
        messages += [stage.say("later")]
        journal.gate.set()
        await asyncio.gather(*messages, *events)
        times = [frame["SendTime"].rstrip("Z").ljust(29, "0") for frame in stage.frames()]
        assert len(times) == 11
        assert times == sorted(times)
        await stage.logs.log.stop(5)
        published = [each.payload for each in stage.published if isinstance(each, Deliver)]
        assert stage.records() == published


async def test_configurations_that_were_just_removed() -> None:
    """The next message stays behind the ones on their way to the journal, and is not recorded."""
    async with logged() as (stage, journal):
        journal.gate.clear()
        first = stage.say("recorded")
        await stage.change(RoomChange(logging_configuration_identifiers=()))
        second = stage.say("not recorded")
        journal.gate.set()
        await asyncio.gather(first, second)
        assert [frame["Content"] for frame in stage.frames()] == ["recorded", "not recorded"]
        stage.send("without waiting")
        await stage.logs.log.stop(5)
        assert [msgspec.json.decode(each)["Content"] for each in stage.records()] == ["recorded"]


async def test_what_publishing_raises_reaches_the_caller() -> None:
    """In a room that logs, too: an error after the record is that of the one who acted."""
    async with logged() as (stage, _):
        stage.bus.on_arrival(_refuse)
        stage.bus.follow(stage.arn)
        sender = claims_of(room_arn=stage.arn)
        stage.reviewer.gate.set()
        reviewed = await stage.with_review()
        stage.rooms.forget(stage.arn)
        calls = [
            stage.chat.send_message(sender, SendMessage("hi"), address),
            stage.chat.send_event(stage.arn, "e", None),
            stage.chat.delete_message(stage.arn, "m", None),
            stage.chat.disconnect_user(stage.arn, "u", None),
            reviewed.send_message(sender, SendMessage("hi"), address),
        ]
        for call in calls:
            assert call is not None
            with pytest.raises(ZeroDivisionError):
                await _outcome(call)


async def _outcome(call: Awaitable[object]) -> None:
    placed = await call
    if isinstance(placed, Placed):
        await placed


def _refuse(_: Arrival) -> None:
    raise ZeroDivisionError


class TestReview:
    """Messages of rooms with a review handler."""

    URI = "arn:aws:lambda:us-east-1:123456789012:function:review"

    async def begin(self) -> Scene:
        """Return a scene whose room has a handler."""
        return await Scene(a_room(uri=self.URI)).begin()

    def say(self, stage: Scene, **members: Any) -> Coroutine[Any, Any, None]:
        """Send a message; return what to wait for."""
        sender = claims_of(room_arn=stage.arn, attributes={"name": "Ann"})
        waiting = stage.chat.send_message(sender, SendMessage("hi", **members), address)
        assert inspect.iscoroutine(waiting)
        return waiting

    async def test_submission(self) -> None:
        """The handler is shown the message under the id that it gets, and who sent it."""
        stage = await self.begin()
        stage.reviewer.gate.set()
        await self.say(stage, attributes={"a": "b"}, request_id="r")
        (frame,) = stage.frames()
        assert stage.reviewer.submissions == [
            Submission(
                room_arn=stage.arn,
                message_id=frame["Id"],
                content="hi",
                attributes={"a": "b"},
                user_id="ann",
                sender_attributes={"name": "Ann"},
                ip="192.0.2.7",
            )
        ]

    async def test_allowed(self) -> None:
        """What the handler returned is delivered, after the review, as of then."""
        stage = await self.begin()
        stage.reviewer.verdict = Allowed("edited", {"c": "d"})
        waiting = asyncio.create_task(self.say(stage, attributes={"a": "b"}, request_id="r"))
        await settle()
        assert stage.published == []
        stage.time.advance(1)
        stage.reviewer.gate.set()
        await waiting
        (frame,) = stage.frames()
        assert (frame["Content"], frame["Attributes"]) == ("edited", {"c": "d"})
        assert (frame["RequestId"], frame["SendTime"]) == ("r", "2023-11-14T22:13:21Z")
        assert frame["Sender"] == {"UserId": "ann", "Attributes": {"name": "Ann"}}

    @pytest.mark.parametrize(
        ("reason", "text"),
        [("rude", "rude"), (None, "The request was rejected during message review.")],
    )
    async def test_denied(self, reason: str | None, text: str) -> None:
        """The sender gets a 406 with the reason, under the id that the handler was shown."""
        stage = await self.begin()
        stage.reviewer.verdict = Denied(reason)
        stage.reviewer.gate.set()
        with pytest.raises(ActionError) as denied:
            await self.say(stage, request_id="r")
        error = denied.value
        assert (error.code, error.message, error.request_id) == (406, text, "r")
        assert error.id == stage.reviewer.submissions[0].message_id
        assert stage.published == []

    async def test_held(self) -> None:
        """What is held is shown to nobody, and its sender hears that."""
        stage = await self.begin()
        stage.reviewer.verdict = Held("moderators look at it")
        stage.reviewer.gate.set()
        with pytest.raises(ActionError) as held:
            await self.say(stage)
        assert (held.value.code, held.value.message) == (406, "moderators look at it")
        assert stage.published == []

    async def test_limits_come_first(self) -> None:
        """What the room refuses is never reviewed; what is reviewed counts, denied or not."""
        stage = await self.begin()
        stage.reviewer.verdict = Denied("rude")
        stage.reviewer.gate.set()
        sender = claims_of(room_arn=stage.arn)
        with pytest.raises(ActionError):
            stage.chat.send_message(sender, SendMessage("x" * 501), address)
        for _ in range(10):
            with pytest.raises(ActionError):
                await self.say(stage)
        with pytest.raises(ThrottlingException):
            stage.chat.send_message(sender, SendMessage("hi"), address)
        assert len(stage.reviewer.submissions) == 10

    async def test_events_are_not_reviewed(self) -> None:
        """Handlers are invoked for messages, not for events and moderation."""
        stage = await self.begin()
        await stage.chat.send_event(stage.arn, "e", None)
        await stage.chat.delete_message(stage.arn, "m", None)
        await stage.chat.disconnect_user(stage.arn, "u", None)
        assert len(stage.published) == 3
        assert stage.reviewer.submissions == []

    async def test_the_room_changes_meanwhile(self) -> None:
        """The limits and the handler of the moment when it was sent hold for a message."""
        stage = await self.begin()
        waiting = asyncio.create_task(self.say(stage))
        await settle()
        change = RoomChange(maximum_message_length=1, message_review_handler=HandlerChange(uri=""))
        await stage.change(change)
        stage.reviewer.gate.set()
        await waiting
        assert [frame["Content"] for frame in stage.frames()] == ["hi"]

    async def test_the_room_is_deleted_meanwhile(self) -> None:
        """Nothing is published into a room that is gone: the sender gets a 404."""
        stage = await self.begin()
        waiting = asyncio.create_task(self.say(stage))
        await settle()
        await stage.store.rooms.delete(stage.room.arn)
        stage.rooms.forget(stage.arn)
        stage.reviewer.gate.set()
        with pytest.raises(ResourceNotFoundException):
            await waiting
        assert stage.published == []

    async def test_whom_a_moderator_mutes_meanwhile(self) -> None:
        """His message is not published, whatever the handler says later."""
        stage = await self.begin()
        waiting = asyncio.create_task(self.say(stage, request_id="r"))
        await settle()
        mute = Restriction(
            account=stage.room.arn.account,
            scope=stage.arn,
            user_id="ann",
            kind=Kind.MUTE,
            by="bob",
            at=NOW,
        )
        stage.restrictions.hold(await stage.restrictions.keep(mute))
        stage.reviewer.gate.set()
        with pytest.raises(ActionError) as raised:
            await waiting
        assert (raised.value.code, raised.value.request_id) == (403, "r")
        assert stage.frames() == []

    async def test_a_mode_that_begins_meanwhile(self) -> None:
        """The message counts for slow mode that was set while it was reviewed."""
        stage = await self.begin()
        sender = claims_of(room_arn=stage.arn, capabilities=(Capability.SEND_MESSAGE,))
        sending = stage.chat.send_message(sender, SendMessage("hi"), address)
        waiting = asyncio.create_task(done(sending))
        await settle()
        slow = SettingsChange({"slowModeSeconds": Override(30, "mod")}, (), NOW)
        await stage.store.rooms.set(stage.room.arn, slow)
        stage.rooms.forget(stage.arn)
        stage.reviewer.gate.set()
        await waiting
        with pytest.raises(ActionError) as refused:
            stage.chat.send_message(sender, SendMessage("again"), address)
        assert refused.value.code == 429

    async def test_a_room_that_must_be_loaded(self) -> None:
        """Also the first message after a start is reviewed."""
        stage = await self.begin()
        stage.rooms.forget(stage.arn)
        stage.reviewer.verdict = Allowed("edited", None)
        stage.reviewer.gate.set()
        await self.say(stage)
        assert [frame["Content"] for frame in stage.frames()] == ["edited"]

    async def test_an_empty_uri_is_no_handler(self) -> None:
        """A room whose handler was taken away has no review."""
        stage = await self.begin()
        await stage.change(RoomChange(message_review_handler=HandlerChange(uri="")))
        stage.send()
        assert stage.reviewer.submissions == []


class LateBus(ListeningBus):
    """Publishes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], None]] = []

    def publish(  # type: ignore[override]  # as the port allows
        self, room: str, grant: Grant
    ) -> asyncio.Future[Position]:
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()

        def publish() -> None:
            try:
                future.set_result(super(LateBus, self).publish(room, grant))
            except Exception as error:  # noqa: BLE001 - raised where it was published
                future.set_exception(error)

        self.waiting.append(publish)
        return future


class CutOff:
    """A node whose bus is away; somebody sends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus = LateBus()
        self.scene = Scene(a_room(), bus=self.bus, send_message_rate=1)
        self.suspended = False
        monkeypatch.setattr(self.scene.chat, "_check_account", self._check_account)

    def _check_account(self, _account: str) -> None:
        if self.suspended:
            raise PendingVerification("suspended")

    async def send(self) -> asyncio.Task[object]:
        """Send a message, which waits."""
        await self.scene.begin()
        sender = claims_of(room_arn=self.scene.arn, attributes={})
        waiting = self.scene.chat.send_message(sender, SendMessage("hello"), address)
        assert waiting is not None
        task = asyncio.ensure_future(waiting)
        await settle()
        return task

    def may_send(self) -> bool:
        """Return whether the account may send one more message now."""
        arn = self.scene.room.arn
        key = (SendMessage.quota, arn.account, arn.region)
        bucket = self.scene.chat.rates._accounts.get(key)
        return bucket is None or bucket.has(self.scene.time.seconds)

    async def return_(self, *, forget: bool = False) -> None:
        """Have the bus back: everything is forgotten, and what waits is published."""
        read = self.scene.rooms.clear()
        assert read is not None
        await read
        if forget:
            self.scene.rooms.forget(self.scene.arn)
        self.bus.waiting.pop()()


async def test_what_waited_for_the_bus_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """What still holds holds after the bus was away, too: it is as long as it may be just now."""
    cut_off = CutOff(monkeypatch)
    task = await cut_off.send()
    change = RoomChange(maximum_message_length=len("hello"))
    await cut_off.scene.store.rooms.update(cut_off.scene.room.arn, change, NOW)
    await cut_off.return_()
    assert cut_off.scene.chat.requests["SendMessage"] == 0
    await task
    assert len(cut_off.scene.published) == 1
    assert cut_off.scene.chat.requests["SendMessage"] == 1
    assert not cut_off.may_send()


@pytest.mark.parametrize("what", ["limit", "room", "account", "unreadable"])
async def test_what_waited_is_judged_by_what_holds_now(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A limit, a room or an account that changed while the bus was away, and what nobody knows."""
    cut_off = CutOff(monkeypatch)
    task, store = await cut_off.send(), cut_off.scene.store
    error: type[Exception] = BusUnavailable
    if what == "limit":
        change, error = RoomChange(maximum_message_length=3), ActionError
        await store.rooms.update(cut_off.scene.room.arn, change, NOW)
    elif what == "room":
        error = ResourceNotFoundException
        await store.rooms.delete(cut_off.scene.room.arn)
    elif what == "account":
        cut_off.suspended, error = True, PendingVerification
    await cut_off.return_(forget=what == "unreadable")
    with pytest.raises(error):
        await task
    assert cut_off.scene.published == []
    assert cut_off.scene.chat.requests["SendMessage"] == 0
    assert cut_off.may_send(), "it counts for nobody"
