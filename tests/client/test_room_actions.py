"""A chat room with what Greenroom has beside IVS Chat, against the real process."""

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest

from greenroom.client import (
    ChatError,
    ChatMessage,
    ChatRoom,
    DeleteMessagesEvent,
    HistoryEvent,
    Ivschat,
    ModerationEvent,
    Occupancy,
    PinsEvent,
    SettingsEvent,
    WelcomeEvent,
    YouEvent,
)
from greenroom.client.room_actions import RoomActions
from greenroom.protocol.own_actions import OWN_ACTIONS
from tests.running.links import Link
from tests.running.service import Service, running

T = TypeVar("T")
SEND = ("SEND_MESSAGE",)
MODERATE = (*SEND, "greenroom:MODERATE", "greenroom:HOST")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a running service."""
    with running(tmp_path_factory.mktemp("own") / "data") as started:
        yield started


class World:
    """A room that keeps its history, and those who enter it."""

    def __init__(self, service: Service, stack: AsyncExitStack, ivschat: Ivschat) -> None:
        self.service = service
        self.arn = ""
        self._stack = stack
        self._ivschat = ivschat

    def token(self, user: str, capabilities: Sequence[str]) -> Callable[[], Awaitable[object]]:
        """Return a provider of a user's tokens."""

        async def provide() -> object:
            return await self._ivschat.create_chat_token(
                room_identifier=self.arn, user_id=user, capabilities=capabilities
            )

        return provide

    async def enter(
        self, user: str, capabilities: Sequence[str] = SEND, url: str = "", **options: Any
    ) -> ChatRoom:
        """Return a user's connected room."""
        provider = self.token(user, capabilities)
        made = ChatRoom(url or self.service.websocket_url, provider, **options)
        return await self._stack.enter_async_context(made)


@pytest.fixture
async def world(service: Service) -> AsyncIterator[World]:
    """Give a room."""
    keys: dict[str, Any] = {
        "endpoint": service.api_url,
        "region": "us-east-1",
        "access_key_id": service.ready["access_key_id"],
        "secret_access_key": service.ready["secret_access_key"],
    }
    async with AsyncExitStack() as stack:
        ivschat = await stack.enter_async_context(Ivschat(**keys))
        made = World(service, stack, ivschat)
        made.arn = (
            await ivschat.create_room(
                maximum_message_rate_per_second=100, tags={"greenroom:history-messages": "100"}
            )
        ).arn
        yield made


async def until(room: ChatRoom, kind: type[T]) -> T:
    """Return the next of a kind that is shown in a room."""
    async with asyncio.timeout(20):
        async for each in room:
            if isinstance(each, kind):
                return each
    raise AssertionError("the room is disconnected")


def test_every_action_is_a_method() -> None:
    """But for `HELP`, which is for who types."""
    named = set(re.findall(r'\bact\("(\w+)"', inspect.getsource(RoomActions)))
    assert named == {each.name.removeprefix("greenroom:") for each in OWN_ACTIONS} - {"HELP"}


async def test_a_room_begins_with_what_was(world: World) -> None:
    """With what holds, what was said, and what is pinned; then comes what is said."""
    ann = await world.enter("ann", MODERATE)
    sent = [await ann.send_message(str(number)) for number in range(3)]
    assert await ann.pin(sent[0].id, duration_seconds=60) == (sent[0].id,)
    bob = await world.enter("bob", events=True, history=2)
    welcome = await until(bob, WelcomeEvent)
    assert (welcome.you.user_id, welcome.viewers) == ("bob", Occupancy(2, 2))
    assert [each.message for each in welcome.pins] == [sent[0]]
    assert welcome.settings.history_messages == 100
    history = await until(bob, HistoryEvent)
    assert (history.count, history.more, history.recovered) == (2, True, None)
    assert [await until(bob, ChatMessage) for _ in range(2)] == sent[1:]
    last = await ann.send_message("last")
    assert await until(bob, ChatMessage) == last
    assert await ann.unpin(sent[0].id) == ()
    assert (await until(bob, PinsEvent)).pins == ()


async def test_moderators_act_in_the_room(world: World) -> None:
    """Each action is answered; those who asked for events are told, and viewers are refused."""
    ann = await world.enter("ann", MODERATE, events=True)
    bob = await world.enter("bob", events=True)
    changed = await ann.set_settings({"slow_mode_seconds": 30}, expires_in_seconds=60)
    assert changed.slow_mode_seconds == 30
    told = await until(bob, SettingsEvent)
    assert told.settings.slow_mode_seconds == 30
    assert told.expires.keys() == {"slowModeSeconds"}
    said = await bob.send_message("first")
    # What explains the refusal comes before it, with the request's id, and is no answer.
    with pytest.raises(ChatError) as refused:
        await bob.send_message("second")
    assert refused.value.error_code == 429
    assert 0 < (((await until(bob, YouEvent)).retry_after) or 0) <= 30
    assert (await ann.set_settings({"slow_mode_seconds": None})).slow_mode_seconds == 0
    muted = await ann.restrict("bob", "MUTE", duration_seconds=60, reason="spam")
    assert (muted.user_id, muted.kind) == ("bob", "MUTE")
    assert (await until(bob, YouEvent)).reason == "spam"
    assert (await until(ann, ModerationEvent)).item.by == "user:ann"
    assert (await ann.lift("bob", "MUTE")).kind == "MUTE"
    assert await ann.delete_user_messages("bob") == (said.id,)
    assert (await until(bob, DeleteMessagesEvent)).message_ids == (said.id,)
    announced = await ann.announce("Be kind", "WARNING")
    assert (await until(bob, ChatMessage)).id == announced
    listed, more = await bob.list_messages(limit=1)
    assert ([each.id for each in listed], more) == ([announced], False)
    assert await bob.list_messages(before=announced) == ((), False)
    assert await bob.viewers() == Occupancy(2, 2)
    assert [each async for each in ann.users()] == ["ann", "bob"]
    with pytest.raises(ChatError) as refused:
        await bob.set_settings({"frozen": True})
    assert refused.value.error_code == 403
    with pytest.raises(ChatError, match=r"400: Settings\.frozen must be true or false"):
        await ann.set_settings({"frozen": "x"})


async def test_nothing_is_missed_and_nothing_comes_twice(world: World) -> None:
    """Who was away is given all of it, and told that it is all; an Id unknown here is a gap."""
    port = int(world.service.websocket_url.rpartition(":")[2].partition("/")[0])
    ann = await world.enter("ann")
    async with Link(port).open() as link:
        bob = await world.enter("bob", url=f"ws://127.0.0.1:{link.port}/", events=True)
        told: asyncio.Queue[HistoryEvent] = asyncio.Queue()
        bob.add_listener("recovered", told.put_nowait)
        sent = [await ann.send_message("before")]
        assert await until(bob, ChatMessage) == sent[0]
        link.reset()
        sent.append(await ann.send_message("away"))
        link.mend()
        async with asyncio.timeout(20):
            assert (await told.get()).recovered
        sent.append(await ann.send_message("after"))
        assert [await until(bob, ChatMessage) for _ in range(2)] == sent[1:]
        await bob.disconnect()
    gaps: list[HistoryEvent] = []
    eve = await world.enter("eve", events=True, history=1, since="Unknown00001")
    eve.add_listener("gap", gaps.append)
    found = await until(eve, HistoryEvent)
    assert (found.recovered, found.count) == (False, 1)
    assert await until(eve, ChatMessage) == sent[-1]
