"""Which users are in a room, by name, over all nodes: a page at a time, in the order of their ids.

Nodes tell each other numbers that stand for users. Names are asked for, by who is to show them: of
all nodes that are there, each of which answers with its part of the page. No part is left out: who
does not answer is asked again, until it is taken for dead or the page is refused.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from greenroom.bus.base import About, Peers
from greenroom.chat.presence import Presence
from greenroom.model.errors import ServiceUnavailableException

AGAIN_SECONDS = 0.5
"""After which time who has not answered is asked again."""

ANSWER_SECONDS = 5.0
"""How long all answers may take: a node that died meanwhile is known to be dead by then."""

MOST_ASKED = 64
"""Pages that a node may wait for at once."""

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


class _Page:
    """The parts of a page that have come."""

    def __init__(self) -> None:
        self.parts: dict[str, list[PresentUser]] = {}
        self.news = asyncio.Event()


class UsersOfNodes:
    """Asks the other nodes, and answers them."""

    def __init__(
        self, here: Here, presence: Presence, peers: Peers, tasks: asyncio.TaskGroup
    ) -> None:
        """Make it; `tasks` owns the answers that are being made."""
        self._here = here
        self._presence = presence
        self._peers = peers
        self._tasks = tasks
        self._number = 0
        self._pages: dict[int, _Page] = {}
        self._answering = 0
        peers.on_announcement(self._heard, About.USERS)

    async def page(
        self, room_arn: str, after: str, most: int, *, names_only: bool = False
    ) -> list[PresentUser]:
        if len(self._pages) >= MOST_ASKED:
            raise ServiceUnavailableException("Too many lists of users are asked for at once")
        self._number = number = self._number + 1
        page = self._pages[number] = _Page()
        me = self._presence.node
        question = Question(me, number, room_arn, after, most, names_only)
        try:
            page.parts[me] = await self._here(room_arn, after, most)
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._gather(page, question)
        except TimeoutError:
            raise ServiceUnavailableException(
                "Another node does not say which users are there"
            ) from None
        finally:
            del self._pages[number]
        return together(page.parts.values(), most)

    async def _gather(self, page: _Page, question: Question) -> None:
        """Ask until all who were there at first have answered, or are gone."""
        asked = self._presence.other_nodes()
        while not page.parts.keys() >= asked & self._presence.other_nodes():
            self._peers.announce(_encode(question), About.USERS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS):
                    while not page.parts.keys() >= asked:
                        page.news.clear()
                        await page.news.wait()

    def _heard(self, payload: bytes) -> None:
        try:
            told = _decode(payload)
        except (msgspec.DecodeError, ValueError):
            # Counted where announcements of presence are: it is the same stranger.
            return
        if isinstance(told, Answer):
            page = self._pages.get(told.number) if told.asked_by == self._presence.node else None
            if page is not None:
                page.parts[told.node] = told.users
                page.news.set()
        elif told.node != self._presence.node and self._answering < MOST_ANSWERED:
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
        answer = Answer(self._presence.node, told.node, told.number, users)
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
