"""Whom a word in a moderator's command means, over all nodes: an id, or a name that is shown.

Each node knows its own connections, and answers who asks: see `asking`. One that does not answer in
a second is left out, and what the others know counts: a command is not to wait for the dead.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from greenroom.bus.base import About, Peers
from greenroom.chat.asking import Asking
from greenroom.chat.presence import Presence

ANSWER_SECONDS = 1.0
"""How long other nodes are waited for; a node that lives answers in milliseconds."""

MOST_NAMED = 10
"""Users with one name of whom a node tells."""

MOST_ANSWERED = 16
"""Answers that a node may be making at once: what comes meanwhile is asked again."""

log = structlog.get_logger()


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


class Question(msgspec.Struct, frozen=True, array_like=True, tag="?name"):
    """Asks all other nodes whom a word means in a room."""

    node: str
    number: int
    room: str
    word: str


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="!name"):
    """Whom it means on one node, for who asked."""

    node: str
    asked_by: str
    number: int
    named: Named


class NamesOfNodes:
    """Asks the other nodes, and answers them."""

    def __init__(
        self, here: Here, presence: Presence, peers: Peers, tasks: asyncio.TaskGroup
    ) -> None:
        """Make it; `tasks` owns the answers that are being made."""
        self._here = here
        self._peers = peers
        self._tasks = tasks
        self._asking = Asking[Named](
            presence,
            too_many="Too many users are asked for by name at once",
            unanswered="Another node does not say whom a name means",
        )
        self._answering = 0
        peers.on_announcement(self._heard, About.USERS)

    async def named(self, room_arn: str, word: str) -> Named:
        here = await self._here(room_arn, word)
        if here.is_id:
            return here

        async def mine() -> Named:
            return here

        def ask(number: int) -> None:
            question = Question(self._asking.node, number, room_arn, word)
            self._peers.announce(_encode(question), About.USERS)

        return together(await self._asking.ask_briefly(mine, ask, ANSWER_SECONDS))

    def _heard(self, payload: bytes) -> None:
        try:
            told = _decode(payload)
        except (msgspec.DecodeError, ValueError):
            # Most are about lists of users: see `user_lists`.
            return
        if isinstance(told, Answer):
            self._asking.take(told.asked_by, told.number, told.node, told.named)
        elif told.node != self._asking.node and self._answering < MOST_ANSWERED:
            self._answering += 1
            self._tasks.create_task(self._answer(told))

    async def _answer(self, told: Question) -> None:
        try:
            named = await self._here(told.room, told.word)
        except Exception as error:
            # Raised here, it would end the node.
            log.exception("a user could not be looked for", error=type(error).__name__)
            return
        finally:
            self._answering -= 1
        few = Named(named.is_id, frozenset(sorted(named.user_ids)[:MOST_NAMED]))
        answer = Answer(self._asking.node, told.node, told.number, few)
        self._peers.announce(_encode(answer), About.USERS)


def together(parts: Iterable[Named]) -> Named:
    """Return whom a word means over several nodes."""
    found = tuple(parts)
    ids = frozenset[str]().union(*(each.user_ids for each in found))
    return Named(any(each.is_id for each in found), ids)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Question | Answer).decode
