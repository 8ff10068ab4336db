"""Operating the service: token keys, sessions, reviews and the account itself."""

from greenroom.client.api.client import Client
from greenroom.client.api.own_results import (
    Account,
    EndedSessions,
    RevealedReviews,
    ReviewPage,
    SeenRequest,
    TokenKeys,
)


class OperatorOperations(Client):
    """The operations that operators need."""

    async def list_token_keys(self) -> TokenKeys:
        """Get the keys that seal chat tokens, without their bytes."""
        return await self._call("ListTokenKeys", TokenKeys)

    async def rotate_token_key(self) -> TokenKeys:
        """Seal chat tokens with a new key from now on."""
        return await self._call("RotateTokenKey", TokenKeys)

    async def kill_token_key(self, *, key_id: str | None = None) -> TokenKeys:
        """Refuse what a key sealed, and end the connections that it let in."""
        return await self._call("KillTokenKey", TokenKeys, key_id=key_id)

    async def end_sessions(
        self, *, kind: str | None = None, name: str | None = None
    ) -> EndedSessions:
        """Refuse the temporary credentials of a `user`, `role` or the `root` issued until now."""
        return await self._call("EndSessions", EndedSessions, kind=kind, name=name)

    async def list_reviews(
        self, *, cursor: str | None = None, reveal: str | None = None
    ) -> ReviewPage:
        """Get the reviews on this node since a cursor, without one the latest."""
        return await self._call("ListReviews", ReviewPage, cursor=cursor, reveal=reveal)

    async def reveal_reviews(self) -> RevealedReviews:
        """Have what is said kept for a while, and shown to who asks with what this answers."""
        return await self._call("RevealReviews", RevealedReviews)

    async def show_account(self) -> Account:
        """Say whether the account is suspended."""
        return await self._call("ShowAccount", Account)

    async def suspend_account(self) -> Account:
        """Refuse what the account would change or publish."""
        return await self._call("SuspendAccount", Account)

    async def resume_account(self) -> Account:
        """End the account's suspension."""
        return await self._call("ResumeAccount", Account)

    async def show_request(self) -> SeenRequest:
        """Say how the service sees the request."""
        return await self._call("ShowRequest", SeenRequest)
