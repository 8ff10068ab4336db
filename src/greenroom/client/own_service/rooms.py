"""What holds in rooms, and who is there."""

from collections.abc import AsyncIterator, Mapping, Sequence

from greenroom.client.api import paging
from greenroom.client.api.client import Client
from greenroom.client.api.own_results import (
    PresentUser,
    RoomSettingsInForce,
    RoomState,
    RoomStatePage,
    UserPage,
)
from greenroom.client.setting_names import SettingValue, camel


class RoomOperations(Client):
    """The operations about rooms."""

    async def get_room_settings(self, *, room_identifier: str | None = None) -> RoomSettingsInForce:
        """Get what holds in a room, and why."""
        return await self._call(
            "GetRoomSettings", RoomSettingsInForce, room_identifier=room_identifier
        )

    async def update_room_settings(
        self,
        *,
        room_identifier: str | None = None,
        settings: Mapping[str, SettingValue] | None = None,
        reset: Sequence[str] | None = None,
        expires_in_seconds: int | None = None,
        discard_waiting: bool | None = None,
    ) -> RoomSettingsInForce:
        """Set or reset settings of a room, on every node at once: `{"emoji_only": True}`."""
        return await self._call(
            "UpdateRoomSettings",
            RoomSettingsInForce,
            room_identifier=room_identifier,
            settings=settings,
            reset=None if reset is None else [camel(name) for name in reset],
            expires_in_seconds=expires_in_seconds,
            discard_waiting=discard_waiting,
        )

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
