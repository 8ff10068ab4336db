"""The port to restrictions; its guarantees are those of `storage.base`, and two more.

- **Versions.** Each entry of an account gets the next version, whichever node adds it; who sees an
  entry has seen, or can read, all before it.
- **Latest.** An entry replaces the latest one of its scope, user and kind; what was replaced is
  history, until it is pruned. Entries that say roles are a kind of their own.
"""

from collections.abc import Sequence
from typing import Protocol

from greenroom.model.restriction import Restriction


class Restrictions(Protocol):
    """Entries by account and version."""

    async def add(self, entry: Restriction, quota: int) -> Restriction:
        """Keep an entry and return it with its version.

        Raises:
            ServiceQuotaExceededException: so many users are restricted already, or have roles.
        """

    async def since(self, account: str, version: int) -> Sequence[Restriction]:
        """Return the latest entries of an account that are behind a version, in order."""

    async def accounts(self) -> frozenset[str]:
        """Return the accounts that have entries."""

    async def page(
        self, account: str, scope: str, user_id: str, before: int, limit: int
    ) -> Sequence[Restriction]:
        """Return entries below a version, the newest first; 0 is no bound.

        With an empty `scope` of all scopes. With an empty `user_id` the latest of all users, but
        for roles; else the user's whole history.
        """

    async def prune(self, before: int) -> None:
        """Remove what no longer counts, and was made or ended before a time in milliseconds.

        What said roles is of no use any more, and goes when it no longer counts `KEPT_MS` later.
        """
