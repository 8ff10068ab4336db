"""The client of the service's own operations, against the real process.

Covers: greenroom.client.api.own_results,
greenroom.client.api.structure, greenroom.client.setting_names,
greenroom.client.own_service.rooms, greenroom.client.own_service.users,
greenroom.client.own_service.messages, greenroom.client.own_service.operating
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from greenroom.aws.own_service import OPERATIONS
from greenroom.client import (
    ChatRoom,
    ConfigError,
    ConflictException,
    Greenroom,
    Ivschat,
    IvschatError,
    MessageRejectedException,
    ParameterError,
    ResourceNotFoundException,
    RoomState,
)
from greenroom.client.api import requests, results
from tests.running.service import Service, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a running service."""
    with running(tmp_path_factory.mktemp("own") / "data") as started:
        yield started


def options(service: Service) -> dict[str, Any]:
    """Return what clients of a service are made with."""
    return {
        "endpoint": service.api_url,
        "region": "us-east-1",
        "access_key_id": service.ready["access_key_id"],
        "secret_access_key": service.ready["secret_access_key"],
    }


@pytest.fixture
async def own(service: Service) -> AsyncIterator[Greenroom]:
    """Give a client."""
    async with Greenroom(**options(service)) as made:
        yield made


@pytest.fixture
async def room(service: Service) -> str:
    """Return a room that keeps its history."""
    async with Ivschat(**options(service)) as ivschat:
        return (await ivschat.create_room(tags={"greenroom:history-messages": "50"})).arn


def test_every_operation_is_a_method() -> None:
    """Each with the members of its input as keywords, and its result's members as attributes."""
    for name, operation in OPERATIONS.items():
        hints = get_type_hints(getattr(Greenroom, requests.snake(name)))
        asked = get_args(hints["asked"])[0].__annotations__ if "asked" in hints else hints
        parameters = set(asked) - {"return"}
        named = {each.removesuffix("_") for each in parameters}
        assert named == {requests.snake(each) for each in operation.input.members}, name
        members = {} if operation.output is None else operation.output.members
        kind = results.RESULTS.get(name)
        fields = [] if kind is None else [each.encode_name for each in msgspec.structs.fields(kind)]
        assert sorted(fields) == sorted(members), name


async def test_settings(own: Greenroom, room: str) -> None:
    """Under the names of Python or of the service; what is wrong is told before it is sent."""
    changed = await own.update_room_settings(
        room_identifier=room,
        settings={"emoji_only": True, "slowModeSeconds": 5},
        expires_in_seconds=60,
    )
    assert (changed.effective.emoji_only, changed.effective.slow_mode_seconds) == (True, 5)
    assert (changed.defaults.emoji_only, changed.defaults.history_messages) == (False, 50)
    first = changed.overrides[0]
    assert (first.name, first.value) == ("emojiOnly", "true")
    assert first.expires is not None
    assert first.expires > datetime.now(UTC)
    await own.update_room_settings(room_identifier=room, reset=["emoji_only", "slowModeSeconds"])
    found = await own.get_room_settings(room_identifier=room)
    assert (found.overrides, found.version) == ([], 2)
    with pytest.raises(ParameterError, match=r"Unexpected key 'x' found in params\.settings"):
        await own.update_room_settings(room_identifier=room, settings={"x": 1})


async def test_restrictions(own: Greenroom, room: str) -> None:
    """Made, listed over pages, shown on the user's card, and lifted."""
    made = (
        await own.mute_user(room_identifier=room, user_id="bob", duration_seconds=60, reason="spam")
    ).restriction
    assert (made.user_id, made.kind, made.scope, made.reason) == ("bob", "MUTE", "ROOM", "spam")
    assert made.expires is not None
    assert made.expires - made.created == timedelta(seconds=60)
    for restrict in (own.ban_user, own.shadow_ban_user, own.hold_user, own.monitor_user):
        assert (await restrict(room_identifier=room, user_id="eve")).restriction.expires is None
    found = [each async for each in own.restrictions(room_identifier=room, max_results=2)]
    assert [each.kind for each in found] == ["MONITOR", "HOLD", "SHADOW", "BAN", "MUTE"]
    await own.add_user_note(room_identifier=room, user_id="bob", note="a second account of eve")
    card = await own.get_user(room_identifier=room, user_id="bob")
    assert (card.connections, card.restrictions) == (0, [made])
    assert [(each.kind, each.holds) for each in card.history] == [("NOTE", False), ("MUTE", True)]
    lifted = await own.lift_restriction(room_identifier=room, user_id="bob", kind="MUTE")
    assert lifted.restriction.kind == "MUTE"
    mine = await own.ban_user(scope="ACCOUNT", user_id="mallory", duration_seconds=1)
    assert (mine.restriction.scope, mine.restriction.room_identifier) == ("ACCOUNT", None)


async def test_roles(own: Greenroom, room: str) -> None:
    """Said of a user, and shown on his card."""
    said = await own.update_user(room_identifier=room, user_id="vera", roles=["vip"])
    assert (said.user_id, said.roles) == ("vera", ["vip"])
    card = await own.get_user(room_identifier=room, user_id="vera")
    assert card.roles == ["vip"]
    assert [(each.kind, each.roles) for each in card.history] == [("ROLES", ["vip"])]


async def test_messages(own: Greenroom, room: str) -> None:
    """Sent once, listed from either end, pinned, and deleted."""
    asked: dict[str, Any] = {"room_identifier": room, "user_id": "bot", "request_id": "once"}
    sent = await own.send_message(**asked, content="1", sender_attributes={"name": "Bot"})
    assert sent == await own.send_message(**asked, content="1", sender_attributes={"name": "Bot"})
    with pytest.raises(ConflictException):
        await own.send_message(**asked, content="another")
    more: dict[str, Any] = {"room_identifier": room, "user_id": "bot"}
    ids = [sent.id, *[(await own.send_message(**more, content=each)).id for each in ("2", "3")]]
    listed = [each async for each in own.messages(room_identifier=room, max_results=2)]
    assert [each.id for each in listed] == ids[::-1]
    assert (listed[-1].sender.attributes, listed[-1].state) == ({"name": "Bot"}, "SHOWN")
    pages = [each async for each in own.message_pages(room_identifier=room, since=ids[0])]
    assert [each.id for page in pages for each in page.messages] == ids[1:]
    assert all(page.recovered for page in pages)
    before = datetime.now(UTC) - timedelta(hours=1)
    assert not (await own.list_messages(room_identifier=room, to=before)).messages
    naive = before.replace(tzinfo=None)
    assert len((await own.list_messages(room_identifier=room, from_=naive)).messages) == 3
    (pin,) = (await own.pin_message(room_identifier=room, message_id=ids[2])).pins
    assert (pin.message_id, pin.expires) == (ids[2], None)
    assert not (await own.unpin_message(room_identifier=room, message_id=ids[2])).pins
    made = await own.put_announcement_schedule(
        room_identifier=room, name="rules", content="Be kind", every_seconds=60
    )
    assert (made.schedule.style, made.schedule.told) == ("INFO", None)
    assert made.schedule.due - made.schedule.created == timedelta(minutes=1)
    schedules = (await own.list_announcement_schedules(room_identifier=room)).schedules
    assert schedules == [made.schedule]
    await own.delete_announcement_schedule(room_identifier=room, name="rules")
    assert not (await own.list_announcement_schedules(room_identifier=room)).schedules
    deleted = await own.delete_user_messages(room_identifier=room, user_id="bot")
    assert deleted.message_ids == ids
    await own.update_room_settings(room_identifier=room, settings={"emoji_only": True})
    with pytest.raises(MessageRejectedException) as refused:
        await own.send_message(room_identifier=room, user_id="bot", content="no")
    assert refused.value.reason == "Only emoji may be written now"


async def test_operating(own: Greenroom) -> None:
    """Keys, reviews, the account, and how the service sees who asks."""
    before = (await own.list_token_keys()).token_keys
    after = (await own.rotate_token_key()).token_keys
    assert after[0].current
    assert {each.id for each in before} < {each.id for each in after}
    assert len((await own.kill_token_key(key_id=before[0].id)).token_keys) == len(before)
    assert (await own.list_reviews()).reviews == []
    assert (await own.reveal_reviews()).seconds > 0
    assert (await own.show_request()).source_ip == "127.0.0.1"
    assert (await own.suspend_account()).suspended
    assert not (await own.resume_account()).suspended
    assert (await own.show_account()).account
    with pytest.raises(IvschatError, match="NoSuchEntity"):
        await own.end_sessions(kind="user", name="nobody")


async def test_who_is_in_rooms(service: Service) -> None:
    """How many, in one room and in all, and which users, over all pages."""
    async with AsyncExitStack() as stack:
        ivschat = await stack.enter_async_context(Ivschat(**options(service)))
        own = await stack.enter_async_context(Greenroom(**options(service)))
        room = (await ivschat.create_room()).arn

        for user in ("alice", "bob", "carol", "alice"):

            async def token(user: str = user) -> Any:
                return await ivschat.create_chat_token(
                    room_identifier=room, user_id=user, attributes={"is": user}
                )

            await stack.enter_async_context(ChatRoom(service.websocket_url, token))
        state = RoomState(room, 4, 3)
        assert await own.get_room_state(room_identifier=room) == state
        assert [each async for each in own.room_states(max_results=1)] == [state]
        users = [each async for each in own.users(room_identifier=room, max_results=2)]
        assert [(each.user_id, each.connections) for each in users] == [
            ("alice", 2),
            ("bob", 1),
            ("carol", 1),
        ]
        assert users[0].attributes == {"is": "alice"}
        answer = await own.make_request("get_room_state", {"room_identifier": room})
        assert answer.data == state
        with pytest.raises(ResourceNotFoundException):
            await own.get_room_state(room_identifier=room[:-1] + "-")
        with pytest.raises(ConfigError, match="createRoom is no operation of greenroom"):
            await own.make_request("createRoom")


async def test_who_may_not_know_is_told_so(service: Service) -> None:
    """By the same errors as of the other API."""
    async with Greenroom(**{**options(service), "secret_access_key": "wrong"}) as own:
        with pytest.raises(IvschatError) as raised:
            await own.list_room_states()
        assert raised.value.status_code == 403


async def test_there_is_none_at_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the endpoint must be given, or be in the environment."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_GREENROOM"):
        monkeypatch.delenv(name, raising=False)
    keys: dict[str, Any] = {"access_key_id": "a", "secret_access_key": "b"}
    async with Greenroom(region="us-east-1", **keys) as own:
        with pytest.raises(ConfigError, match="Missing endpoint in config: AWS has no greenroom"):
            await own.list_room_states()
