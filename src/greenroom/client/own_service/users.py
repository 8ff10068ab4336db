"""What users may not do, and what is known of them.

A restriction is for a room or, with `scope="ACCOUNT"`, for all of them; without `duration_seconds`
it is for ever.
"""

from collections.abc import AsyncIterator, Sequence
from typing import TypedDict, Unpack

from greenroom.client.api import paging
from greenroom.client.api.client import Client
from greenroom.client.api.own_results import (
    Restriction,
    RestrictionAnswer,
    RestrictionPage,
    UserCard,
    UserRoles,
)


class RestrictUser(TypedDict, total=False):
    """Whom to restrict, where, for how long and why."""

    room_identifier: str
    scope: str
    user_id: str
    duration_seconds: int
    reason: str
    delete_messages_since_seconds: int
    also_addresses: bool


class UserOperations(Client):
    """The operations about users."""

    async def ban_user(self, **asked: Unpack[RestrictUser]) -> RestrictionAnswer:
        """End a user's connections on every node, and let him have no token and no connection."""
        return await self._call("BanUser", RestrictionAnswer, **asked)

    async def mute_user(self, **asked: Unpack[RestrictUser]) -> RestrictionAnswer:
        """Let a user read and not write; for a time this is a timeout."""
        return await self._call("MuteUser", RestrictionAnswer, **asked)

    async def shadow_ban_user(self, **asked: Unpack[RestrictUser]) -> RestrictionAnswer:
        """Show a user's messages to himself and to moderators only; he is not told."""
        return await self._call("ShadowBanUser", RestrictionAnswer, **asked)

    async def hold_user(self, **asked: Unpack[RestrictUser]) -> RestrictionAnswer:
        """Refuse a user's messages, which somebody would have to approve."""
        return await self._call("HoldUser", RestrictionAnswer, **asked)

    async def monitor_user(self, **asked: Unpack[RestrictUser]) -> RestrictionAnswer:
        """Mark a user's messages for moderators; he is not told."""
        return await self._call("MonitorUser", RestrictionAnswer, **asked)

    async def lift_restriction(
        self,
        *,
        room_identifier: str | None = None,
        scope: str | None = None,
        user_id: str | None = None,
        kind: str | None = None,
    ) -> RestrictionAnswer:
        """End a restriction of a user: `BAN`, `MUTE`, `SHADOW`, `HOLD` or `MONITOR`."""
        return await self._call(
            "LiftRestriction",
            RestrictionAnswer,
            room_identifier=room_identifier,
            scope=scope,
            user_id=user_id,
            kind=kind,
        )

    async def list_restrictions(
        self,
        *,
        room_identifier: str | None = None,
        scope: str | None = None,
        next_token: str | None = None,
        max_results: int | None = None,
    ) -> RestrictionPage:
        """Get a page of what holds in a room, or in the account, the newest first."""
        return await self._call(
            "ListRestrictions",
            RestrictionPage,
            room_identifier=room_identifier,
            scope=scope,
            next_token=next_token,
            max_results=max_results,
        )

    async def restrictions(
        self,
        *,
        room_identifier: str | None = None,
        scope: str | None = None,
        max_results: int | None = None,
    ) -> AsyncIterator[Restriction]:
        """Give each restriction of all pages; `max_results` is a page's."""
        async for page in paging.pages(
            None,
            lambda token: self.list_restrictions(
                room_identifier=room_identifier,
                scope=scope,
                next_token=token,
                max_results=max_results,
            ),
        ):
            for restriction in page.restrictions:
                yield restriction

    async def get_user(
        self, *, room_identifier: str | None = None, user_id: str | None = None
    ) -> UserCard:
        """Get what holds of a user in a room, and what was done before."""
        return await self._call(
            "GetUser", UserCard, room_identifier=room_identifier, user_id=user_id
        )

    async def update_user(
        self,
        *,
        room_identifier: str | None = None,
        user_id: str | None = None,
        roles: Sequence[str] | None = None,
    ) -> UserRoles:
        """Say which roles a user has from now on, on the connections that he has, too."""
        return await self._call(
            "UpdateUser", UserRoles, room_identifier=room_identifier, user_id=user_id, roles=roles
        )

    async def add_user_note(
        self,
        *,
        room_identifier: str | None = None,
        scope: str | None = None,
        user_id: str | None = None,
        note: str | None = None,
    ) -> None:
        """Note something on a user, for other moderators."""
        await self._call(
            "AddUserNote",
            type(None),
            room_identifier=room_identifier,
            scope=scope,
            user_id=user_id,
            note=note,
        )
