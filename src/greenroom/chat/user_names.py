"""Whom a word in a moderator's command means, over all nodes: an id, or a name that is shown.

Each node knows its own connections, and answers who asks: see `asking`. One that does not answer in
a second is left out, and what the others know counts: a command is not to wait for the dead.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec

from greenroom.bus.base import Peers
from greenroom.chat.asking import Answered, Asked, Asking
from greenroom.chat.presence import Presence

ANSWER_SECONDS = 1.0
"""How long other nodes are waited for; a node that lives answers in milliseconds."""

MOST_NAMED = 10
"""Users with one name of whom a node tells."""


class Named(msgspec.Struct, frozen=True, array_like=True):
    """Whom a word means: `is_id` if it is a user's id, else the users who are shown by it."""

    is_id: bool = False
    user_ids: frozenset[str] = frozenset()


Here = Callable[[str, str], Awaitable[Named]]
"""Returns whom a word means in a room of this node."""


class UserNames(Protocol):
    """Knows whom words mean."""

    async def named(self, room_arn: str, word: str) -> Named:
        """Return whom a word means in a room.

        Raises:
            ServiceUnavailableException: too much is asked at once.
        """


class NamesHere:
    """There is no other node."""

    def __init__(self, here: Here) -> None:
        self._here = here

    async def named(self, room_arn: str, word: str) -> Named:
        return await self._here(room_arn, word)


class Question(Asked, frozen=True, array_like=True, tag="?name"):
    """Asks all other nodes whom a word means in a room."""

    room: str
    word: str


class Answer(Answered[Named], frozen=True, array_like=True, tag="!name"):
    """Whom it means on one node, for who asked."""


class NamesOfNodes:
    """Asks the other nodes, and answers them."""

    def __init__(
        self, here: Here, presence: Presence, peers: Peers, tasks: asyncio.TaskGroup
    ) -> None:
        """Make it; `tasks` owns the answers that are being made."""
        self._here = here
        self._asking = Asking[Question, Named](
            presence,
            peers,
            tasks,
            _decode,
            Answer,
            self._known,
            too_many="Too many users are asked for by name at once",
            unanswered="Another node does not say whom a name means",
        )

    async def named(self, room_arn: str, word: str) -> Named:
        here = await self._here(room_arn, word)
        if here.is_id:
            return here

        async def mine() -> Named:
            return here

        def question(number: int) -> Question:
            return Question(self._asking.node, number, room_arn, word)

        return together(await self._asking.ask_briefly(mine, question, ANSWER_SECONDS))

    async def _known(self, told: Question) -> Named:
        named = await self._here(told.room, told.word)
        return Named(named.is_id, frozenset(sorted(named.user_ids)[:MOST_NAMED]))


def together(parts: Iterable[Named]) -> Named:
    """Return whom a word means over several nodes."""
    found = tuple(parts)
    ids = frozenset[str]().union(*(each.user_ids for each in found))
    return Named(any(each.is_id for each in found), ids)


_decode = msgspec.msgpack.Decoder(Question | Answer).decode
