"""Which users are in a room, by name, over all nodes: a page at a time, in the order of their ids.

Nodes tell each other numbers that stand for users. Names are asked for, by who is to show them: of
all nodes that are there, each of which answers with its part of the page: see `asking`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec

from greenroom.bus.base import Peers
from greenroom.chat.asking import Answered, Asked, Asking
from greenroom.chat.presence import Presence

MOST_USERS = 1_000
"""Users in one answer, with attributes some hundred kilobytes: below what a bus takes at once."""


class PresentUser(msgspec.Struct, frozen=True, array_like=True):
    """A user in a room, who is no bot; `attributes` are those of one of the tokens."""

    user_id: str
    connections: int
    attributes: dict[str, str] = {}


Here = Callable[[str, str, int], Awaitable[list[PresentUser]]]
"""Returns the users in a room of this node: behind an id, and so many at most."""


class UserLists(Protocol):
    """Lists users."""

    async def page(
        self, room_arn: str, after: str, most: int, *, names_only: bool = False
    ) -> list[PresentUser]:
        """Return the users in a room whose ids come behind `after`, so many at most.

        Raises:
            ServiceUnavailableException: another node does not answer.
        """


class UsersHere:
    """There is no other node."""

    def __init__(self, here: Here) -> None:
        self._here = here

    async def page(
        self, room_arn: str, after: str, most: int, *, names_only: bool = False
    ) -> list[PresentUser]:
        return await self._here(room_arn, after, most)


class Question(Asked, frozen=True, array_like=True, tag="?"):
    """Asks all other nodes for their part of a page."""

    room: str
    after: str
    most: int
    names_only: bool = False


class Answer(Answered[list[PresentUser]], frozen=True, array_like=True, tag="!"):
    """One node's part, for who asked."""


class UsersOfNodes:
    """Asks the other nodes, and answers them."""

    def __init__(
        self, here: Here, presence: Presence, peers: Peers, tasks: asyncio.TaskGroup
    ) -> None:
        """Make it; `tasks` owns the answers that are being made."""
        self._here = here
        self._asking = Asking[Question, list[PresentUser]](
            presence,
            peers,
            tasks,
            _decode,
            Answer,
            self._known,
            too_many="Too many lists of users are asked for at once",
            unanswered="Another node does not say which users are there",
        )

    async def page(
        self, room_arn: str, after: str, most: int, *, names_only: bool = False
    ) -> list[PresentUser]:
        parts = await self._asking.ask(
            lambda: self._here(room_arn, after, most),
            lambda number: Question(self._asking.node, number, room_arn, after, most, names_only),
        )
        return together(parts, most)

    async def _known(self, told: Question) -> list[PresentUser]:
        users = await self._here(told.room, told.after, min(told.most, MOST_USERS))
        if told.names_only:
            users = [PresentUser(each.user_id, each.connections) for each in users]
        return users


def together(parts: Iterable[list[PresentUser]], most: int) -> list[PresentUser]:
    """Return the first users of several lists, each once, with the connections of all."""
    found: dict[str, PresentUser] = {}
    for each in (user for part in parts for user in part):
        known = found.get(each.user_id) or PresentUser(each.user_id, 0)
        found[each.user_id] = PresentUser(
            each.user_id,
            known.connections + each.connections,
            known.attributes or each.attributes,
        )
    return [found[user_id] for user_id in sorted(found)[:most]]


_decode = msgspec.msgpack.Decoder(Question | Answer).decode
