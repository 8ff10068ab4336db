"""The port to messages that wait until viewers may see them; its guarantees are `storage.base`'s.

- **Order.** They come out in the order in which they were added, each with a number that rises.
- **Once.** One that is added again, by its room and id, is there once, where it was.
- Where nodes share the store they are added and removed with what else a stream has shown: see
  `storage.journal`. That chat logs have one is kept with its record: see `storage.journal.Entry`.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from greenroom.model.held_message import HeldMessage

Numbered = tuple[int, HeldMessage]
"""A message with its number."""


class HeldMessages(Protocol):
    """Messages by their room and id."""

    async def add(self, messages: Sequence[HeldMessage]) -> None:
        """Keep messages, all or none."""

    async def rooms(self) -> Sequence[str]:
        """Return the rooms that have some, in any order."""

    async def waiting(
        self, after: int, limit: int, rooms: Sequence[str] | None = None
    ) -> Sequence[Numbered]:
        """Return so many of the oldest with a number behind one, of some rooms or of all."""

    async def of_room(self, room: str, author: str = "") -> Sequence[HeldMessage]:
        """Return those of a room, or of one author there, oldest first, without their frames."""

    async def remove(self, room: str, ids: Collection[str]) -> None:
        """Keep some no longer; it is no error if they are not there."""
