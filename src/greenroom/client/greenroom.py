"""What Greenroom has beside Amazon IVS Chat, for asyncio: the operations of its own service.

    async with Greenroom(endpoint="http://127.0.0.1:8470", region="us-east-1") as greenroom:
        state = await greenroom.get_room_state(room_identifier=room.arn)

- Options, retries and errors are those of `Ivschat`; the endpoint is given, or is in
  `AWS_ENDPOINT_URL_GREENROOM` or `AWS_ENDPOINT_URL`.
- `make_request` performs any operation by its name, and has the answer's members as its `data`.
"""

from collections.abc import AsyncIterator
from typing import ClassVar

from greenroom.client.api import paging
from greenroom.client.api.client import Client
from greenroom.client.api.results import PresentUser, RoomState, RoomStatePage, UserPage


class Greenroom(Client):
    """A client; its methods are operations, and return their results."""

    SERVICE: ClassVar[str] = "greenroom"

    async def get_room_state(self, *, room_identifier: str | None = None) -> RoomState:
        """Get how many are in a room now, on all nodes."""
        return await self._call("GetRoomState", RoomState, room_identifier=room_identifier)

    async def list_room_states(
        self, *, next_token: str | None = None, max_results: int | None = None
    ) -> RoomStatePage:
        """Get a page of the rooms that somebody is in, those of most users first."""
        return await self._call(
            "ListRoomStates", RoomStatePage, next_token=next_token, max_results=max_results
        )

    async def room_states(self, *, max_results: int | None = None) -> AsyncIterator[RoomState]:
        """Give each room of all pages; `max_results` is a page's."""
        async for page in paging.pages(
            None, lambda token: self.list_room_states(next_token=token, max_results=max_results)
        ):
            for state in page.room_states:
                yield state

    async def list_users(
        self,
        *,
        room_identifier: str | None = None,
        next_token: str | None = None,
        max_results: int | None = None,
    ) -> UserPage:
        """Get a page of the users in a room, by their ids."""
        return await self._call(
            "ListUsers",
            UserPage,
            room_identifier=room_identifier,
            next_token=next_token,
            max_results=max_results,
        )

    async def users(
        self, *, room_identifier: str | None = None, max_results: int | None = None
    ) -> AsyncIterator[PresentUser]:
        """Give each user of all pages; `max_results` is a page's."""
        async for page in paging.pages(
            None,
            lambda token: self.list_users(
                room_identifier=room_identifier, next_token=token, max_results=max_results
            ),
        ):
            for user in page.users:
                yield user
