"""The client of the service's own operations, against the real process.

Covers: greenroom.client.api.client
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from greenroom.client import (
    ChatRoom,
    ConfigError,
    Greenroom,
    Ivschat,
    IvschatError,
    ResourceNotFoundException,
    RoomState,
)
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
        answer = await own.make_request("get_room_settings", {"room_identifier": room})
        assert isinstance(answer.data, dict)
        assert answer.data["version"] == 0
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
