"""Which users are in a room, by name, over all nodes: a page at a time, in the order of their ids.

Nodes tell each other numbers that stand for users. Names are asked for, by who is to show them: of
all nodes that are there, each of which answers with its part of the page: see `asking`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from greenroom.bus.base import About, Peers
from greenroom.chat.asking import Asking
from greenroom.chat.presence import Presence

MOST_ANSWERED = 16
"""Answers that a node may be making at once: what comes meanwhile is asked again."""


MOST_USERS = 1_000
"""Users in one answer, with attributes some hundred kilobytes: below what a bus takes at once."""

log = structlog.get_logger()


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


class Question(msgspec.Struct, frozen=True, array_like=True, tag="?"):
    """Asks all other nodes for their part of a page."""

    node: str
    number: int
    room: str
    after: str
    most: int
    names_only: bool = False


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="!"):
    """One node's part, for who asked."""

    node: str
    asked_by: str
    number: int
    users: list[PresentUser]


class UsersOfNodes:
    """Asks the other nodes, and answers them."""

    def __init__(
        self, here: Here, presence: Presence, peers: Peers, tasks: asyncio.TaskGroup
    ) -> None:
        """Make it; `tasks` owns the answers that are being made."""
        self._here = here
        self._peers = peers
        self._tasks = tasks
        self._asking = Asking[list[PresentUser]](
            presence,
            too_many="Too many lists of users are asked for at once",
            unanswered="Another node does not say which users are there",
        )
        self._answering = 0
        peers.on_announcement(self._heard, About.USERS)

    async def page(
        self, room_arn: str, after: str, most: int, *, names_only: bool = False
    ) -> list[PresentUser]:
        def ask(number: int) -> None:
            question = Question(self._asking.node, number, room_arn, after, most, names_only)
            self._peers.announce(_encode(question), About.USERS)

        parts = await self._asking.ask(lambda: self._here(room_arn, after, most), ask)
        return together(parts, most)

    def _heard(self, payload: bytes) -> None:
        try:
            told = _decode(payload)
        except (msgspec.DecodeError, ValueError):
            # Counted where announcements of presence are: it is the same stranger.
            return
        if isinstance(told, Answer):
            self._asking.take(told.asked_by, told.number, told.node, told.users)
        elif told.node != self._asking.node and self._answering < MOST_ANSWERED:
            self._answering += 1
            self._tasks.create_task(self._answer(told))

    async def _answer(self, told: Question) -> None:
        try:
            users = await self._here(told.room, told.after, min(told.most, MOST_USERS))
        except Exception as error:
            # Raised here, it would end the node.
            log.exception("users could not be listed", error=type(error).__name__)
            return
        finally:
            self._answering -= 1
        if told.names_only:
            users = [PresentUser(each.user_id, each.connections) for each in users]
        answer = Answer(self._asking.node, told.node, told.number, users)
        self._peers.announce(_encode(answer), About.USERS)


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


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Question | Answer).decode
