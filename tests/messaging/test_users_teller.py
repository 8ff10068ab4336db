"""Which users are in a room, as those are told who asked for events, and who asks.

Covers: greenroom.messaging.present_users
"""

import json
from typing import Any
from unittest import mock

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import RoomDeleted
from greenroom.chat.user_lists import PresentUser, UsersHere
from greenroom.messaging import own_actions, present_users, users_teller
from greenroom.messaging.users_teller import LEFT_SECONDS
from greenroom.model.arn import Arn
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability
from greenroom.model.errors import ServiceUnavailableException
from greenroom.model.room import Room
from tests.messaging.test_own_actions import connected, do, took
from tests.stand_ins.stage import ROOM, Stage, settle, stage

VIEWER: dict[str, Any] = {"capabilities": IVS_CAPABILITIES}
MODERATOR: dict[str, Any] = {"capabilities": (*IVS_CAPABILITIES, Capability.MODERATE)}
BOT: dict[str, Any] = {"capabilities": (Capability.BYPASS,)}
EVENTS = "/?events=on"
LIST = {"Action": "greenroom:LIST_USERS", "RequestId": "1"}


async def scene(made: Stage, *, presence: bool = True) -> tuple[Any, Any]:
    """Return a moderator's connection, in a room whose users are told who is there."""
    judge = await connected(made, "judge", **MODERATOR)
    await do(*judge, {"Action": "greenroom:SET", "Settings": {"presence": presence}})
    return judge


async def told(made: Stage, transport: Any, seconds: float = 1) -> list[dict[str, Any]]:
    """Let time pass; return what a connection was told of users then."""
    made.time.advance(seconds)
    for _ in range(2):
        # One tick asks for the names, the next one tells them.
        made.users_teller.tick()
        await settle(30)
    return users_of(took(transport))


def users_of(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what frames tell of users, those who came in alphabetical order."""
    events = [each for each in frames if each.get("EventName") == "greenroom:USERS"]
    found = [{k: json.loads(v) for k, v in each["Attributes"].items()} for each in events]
    return [{**each, "Joined": sorted(each["Joined"])} for each in found]


def change(
    joined: str = "", left: str = "", *, suspended: bool = False, reset: bool = False
) -> dict[str, Any]:
    """Return what tells of a change."""
    users = {"Joined": joined.split(), "Left": left.split()}
    return {**users, "Suspended": suspended, "Reset": reset}


async def test_a_room_that_is_not_known_for_a_moment() -> None:
    """It is read meanwhile; nobody is told that it is over, nor everything again."""
    async with stage() as made:
        await scene(made)
        _, asked = await connected(made, "ann", EVENTS, **VIEWER)
        assert await told(made, asked) == [change("ann judge", reset=True)]
        made.rooms.forget(str(ROOM))
        made.users_teller.tick()
        await settle(30)
        assert made.rooms.peek(str(ROOM)).arn == ROOM
        await connected(made, "eve", **VIEWER)
        assert await told(made, asked) == [change("eve")]


async def test_who_comes_and_goes_is_told() -> None:
    """All who are there at first, then changes; who is back in time has not been away."""
    async with stage() as made:
        await scene(made)
        _, plain = await connected(made, "bob", **VIEWER)
        _, asked = await connected(made, "ann", EVENTS, **VIEWER)
        assert users_of(took(asked)) == []
        assert await told(made, asked) == [change("ann bob judge", reset=True)]
        assert await told(made, asked) == []
        eve, _ = await connected(made, "eve", **VIEWER)
        await connected(made, "robot", **BOT)
        assert await told(made, asked) == [change("eve")]
        eve.connection_lost(None)
        assert await told(made, asked) == []
        assert await told(made, asked, LEFT_SECONDS - 0.1) == []
        eve, _ = await connected(made, "eve", **VIEWER)
        assert await told(made, asked, LEFT_SECONDS) == []
        eve.connection_lost(None)
        assert await told(made, asked) == []
        assert await told(made, asked, LEFT_SECONDS) == [change("", "eve")]
        assert took(plain) == []


async def test_nobody_is_asked_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is looked: names are learned once. Nor is who connects before told any."""
    async with stage() as made:
        await scene(made)
        _, asked = await connected(made, "ann", EVENTS, **VIEWER)
        made.users_teller.tick()
        _, early = await connected(made, "bob", EVENTS, **VIEWER)
        assert users_of(took(early)) == []
        for _ in range(2):
            await told(made, asked)
        page = mock.AsyncMock(wraps=made.users.page)
        monkeypatch.setattr(made.users, "page", page)
        for _ in range(3):
            assert await told(made, asked) == []
        assert page.await_count == 0
        await connected(made, "eve", **VIEWER)
        assert await told(made, asked) == [change("eve")]
        assert page.await_count == 1


async def test_who_connects_is_told_all() -> None:
    """Behind the first frame, as the others know it; he himself comes with the next."""
    async with stage() as made:
        await scene(made)
        _, asked = await connected(made, "ann", EVENTS, **VIEWER)
        await told(made, asked)
        _, late = await connected(made, "bob", EVENTS, **VIEWER)
        frames = took(late)
        assert frames[0]["EventName"] == "greenroom:WELCOME"
        assert users_of(frames) == [change("ann judge", reset=True)]
        assert await told(made, late) == [change("bob")]
        assert users_of(took(asked)) == [change("bob")]


async def test_where_it_is_off() -> None:
    """Nobody is told, viewers may not ask; what was told is void when it is on again."""
    async with stage() as made:
        judge = await scene(made, presence=False)
        bob = await connected(made, "bob", EVENTS, **VIEWER)
        assert await told(made, bob[1]) == []
        (error,) = await do(*bob, LIST)
        assert (error["ErrorCode"], error["RequestId"]) == (403, "1")
        (done,) = await do(*judge, LIST)
        assert json.loads(done["Attributes"]["Result"]) == {"Users": ["bob", "judge"]}
        for _ in range(2):
            await do(*judge, {"Action": "greenroom:SET", "Settings": {"presence": True}})
            assert await told(made, bob[1]) == [change("bob judge", reset=True)]
            (done,) = await do(*bob, LIST)
            assert done["EventName"] == "greenroom:DONE"
            await do(*judge, {"Action": "greenroom:SET", "Settings": {"presence": False}})
            assert await told(made, bob[1]) == []


async def test_a_room_that_is_too_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said, nobody is named, until enough are gone; then the list begins anew."""
    monkeypatch.setattr(users_teller, "MOST_USERS", 3)
    monkeypatch.setattr(users_teller, "RESUME_USERS", 2)
    async with stage() as made:
        await scene(made)
        ann = await connected(made, "ann", EVENTS, **VIEWER)
        bob, _ = await connected(made, "bob", **VIEWER)
        assert len(await told(made, ann[1])) == 1
        (done,) = await do(*ann, LIST)
        assert done["EventName"] == "greenroom:DONE"
        eve, _ = await connected(made, "eve", **VIEWER)
        assert await told(made, ann[1]) == [change(suspended=True, reset=True)]
        (error,) = await do(*ann, LIST)
        assert error["ErrorCode"] == 403
        _, late = await connected(made, "ann", EVENTS, **VIEWER)
        assert users_of(took(late)) == [change(suspended=True, reset=True)]
        eve.connection_lost(None)
        assert await told(made, ann[1], 2) == []
        bob.connection_lost(None)
        assert await told(made, ann[1]) == []
        assert await told(made, ann[1], 2) == [change("ann judge", reset=True)]


async def test_names_are_told_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event is larger than it may be; only the first begins the list."""
    monkeypatch.setattr(users_teller, "NAMES_AT_ONCE", 2)
    async with stage() as made:
        await scene(made)
        _, asked = await connected(made, "ann", EVENTS, **VIEWER)
        await connected(made, "bob", **VIEWER)
        pieces = await told(made, asked)
        assert [(len(each["Joined"]), each["Reset"]) for each in pieces] == [(2, True), (1, False)]


async def test_names_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has one is told of, the others when theirs is known: each tick asks again."""
    answers: list[Any] = [
        ServiceUnavailableException("away"),
        ValueError("a fault"),
        [PresentUser("judge", 1)],
        [PresentUser("ann", 1)],
    ]

    async def page(*_: Any, **options: Any) -> list[PresentUser]:
        assert options == {"names_only": True}
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    async with stage() as made:
        await scene(made)
        _, asked = await connected(made, "ann", EVENTS, **VIEWER)
        monkeypatch.setattr(made.users, "page", page)
        with capture_logs() as logs:
            assert await told(made, asked) == []
        faults = [each["error"] for each in logs if each["event"] == "users could not be listed"]
        assert faults == ["ValueError"]
        assert await told(made, asked) == [change("judge", reset=True)]
        assert await told(made, asked) == [change("ann")]
        assert not answers


async def test_a_room_that_was_deleted() -> None:
    """Nobody is told who comes and goes there, nor may he ask."""
    async with stage() as made:
        await scene(made)
        ann = await connected(made, "ann", EVENTS, **VIEWER)
        eve, _ = await connected(made, "eve", **VIEWER)
        assert len(await told(made, ann[1])) == 1
        await made.store.rooms.delete(ROOM)
        made.bus.broadcast(RoomDeleted(str(ROOM)))
        eve.connection_lost(None)
        for _ in range(2):
            assert await told(made, ann[1], LEFT_SECONDS) == []
        (error,) = await do(*ann, LIST)
        assert error["ErrorCode"] == 403


async def three_rooms(made: Stage) -> list[Arn]:
    """Return rooms with a moderator in each, whose users are told who is there."""
    rooms = [msgspec.structs.replace(ROOM, id=f"Room0000000{n}") for n in "234"]
    for room in rooms:
        await made.store.rooms.create(Room(arn=room, create_time=0, update_time=0), quota=0)
        here = {"room_arn": str(room)}
        judge = await connected(made, "judge", EVENTS, **MODERATOR, **here)
        await do(*judge, {"Action": "greenroom:SET", "Settings": {"presence": True}})
    return rooms


async def test_rooms_are_read_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that had to wait need no further tick for their turn, and it comes once."""
    monkeypatch.setattr(users_teller, "READS_AT_ONCE", 1)
    async with stage() as made:
        rooms = await three_rooms(made)
        page = mock.AsyncMock(wraps=made.users.page)
        monkeypatch.setattr(made.users, "page", page)
        made.users_teller.tick()
        await settle(60)
        assert [each.args[0] for each in page.await_args_list] == [str(room) for room in rooms]


async def test_rooms_that_change_all_the_time_keep_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many rooms ask at once, each is read when its turn comes."""
    monkeypatch.setattr(users_teller, "READS_AT_ONCE", 1)
    async with stage() as made:
        rooms = await three_rooms(made)
        read: list[str] = []
        page = made.users.page

        async def slow(room_arn: str, *args: Any, **options: Any) -> list[PresentUser]:
            assert len(made.users_teller._reading) == 1
            # Somebody new is in each room whenever one of them was read.
            read.append(room_arn)
            for room in rooms:
                user = f"user{len(read)}"
                await connected(made, user, **VIEWER, room_arn=str(room))
            return await page(room_arn, *args, **options)

        monkeypatch.setattr(made.users, "page", slow)
        for _ in range(len(rooms)):
            made.users_teller.tick()
            await settle(60)
        assert set(read) == {str(room) for room in rooms}


async def test_who_may_ask_does_not_ask_all_nodes_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One list serves all pages of a second, for ids alone; a failure serves as long."""
    monkeypatch.setattr(own_actions, "USERS_AT_ONCE", 1)
    asked: list[dict[str, Any]] = []
    errors: list[Exception] = []
    page = UsersHere.page

    async def counted(*args: Any, **options: Any) -> list[PresentUser]:
        asked.append(options)
        return await page(*args, **options)

    async def failing(*_: Any, **__: Any) -> list[PresentUser]:
        asked.append({})
        raise errors[-1]

    async with stage() as made:
        judge = await scene(made)
        bob = await connected(made, "bob", **VIEWER)
        monkeypatch.setattr(UsersHere, "page", counted)
        for after, users in ((None, ["bob"]), ("bob", ["judge"]), (None, ["bob"])):
            (done,) = await do(*bob, {**LIST, **({"NextToken": after} if after else {})})
            assert json.loads(done["Attributes"]["Result"])["Users"] == users
        assert asked == [{"names_only": True}]
        await do(*judge, LIST)
        assert asked[1:] == [{"names_only": True}]
        monkeypatch.setattr(UsersHere, "page", failing)
        for error in (ServiceUnavailableException("away"), ValueError("a fault")):
            errors.append(error)
            asked.clear()
            made.time.advance(1)
            for _ in range(2):
                (frame,) = await do(*bob, LIST)
                assert frame["Type"] == "ERROR"
                assert frame["ErrorCode"] == 500
            assert len(asked) == 1


async def test_a_room_that_is_just_not_too_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """All who are there are listed, and nothing is said to be left."""
    monkeypatch.setattr(own_actions, "USERS_AT_ONCE", 3)
    monkeypatch.setattr(users_teller, "MOST_USERS", 3)
    monkeypatch.setattr(own_actions, "MOST_USERS", 3)
    async with stage() as made:
        await scene(made)
        bob = await connected(made, "bob", **VIEWER)
        await connected(made, "ann", **VIEWER)
        (done,) = await do(*bob, LIST)
        assert json.loads(done["Attributes"]["Result"]) == {"Users": ["ann", "bob", "judge"]}


async def test_a_page_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """By actions, one page after the other; by a message the names are its text."""
    monkeypatch.setattr(own_actions, "USERS_AT_ONCE", 2)
    async with stage() as made:
        judge = await connected(made, "judge", **MODERATOR)
        for user in ("ann", "bob", "ann"):
            await connected(made, user, **VIEWER)
        await connected(made, "robot", **BOT)
        (done,) = await do(*judge, LIST)
        result = json.loads(done["Attributes"]["Result"])
        assert result == {"Users": ["ann", "bob"], "NextToken": "bob"}
        asked = {"greenroom:action": "LIST_USERS", "NextToken": "bob"}
        message = {"Action": "SEND_MESSAGE", "Content": "", "Attributes": asked}
        (answer,) = await do(*judge, message)
        assert answer["Content"] == "judge"


async def test_a_room_of_many_is_looked_at_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left out, and each has all of his connections."""
    monkeypatch.setattr(present_users, "AT_ONCE", 2)
    async with stage() as made:
        for user in ("ann", "bob", "ann", "eve", "ann"):
            await connected(made, user, attributes={"color": user}, **VIEWER)
        assert await made.users.page(str(ROOM), "", 2) == [
            PresentUser("ann", 3, {"color": "ann"}),
            PresentUser("bob", 1, {"color": "bob"}),
        ]
        assert await made.users.page("arn:another", "", 2) == []
