"""Asks all nodes something of which each knows its own part, and waits for all parts.

No part is left out: who does not answer is asked again, until it is taken for dead or the question
is given up; or the parts that have come by then are taken, where those are of use. Questions and
answers of all kinds are announced about users; their tags tell the kinds apart.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

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
"""Questions of one kind that a node may wait for at once."""

MOST_ANSWERED = 16
"""Answers of one kind that a node may be making at once: what comes meanwhile is asked again."""

log = structlog.get_logger()


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """A question of a node to all others: what it asks for stands behind this."""

    node: str
    number: int


Part = TypeVar("Part")
Question = TypeVar("Question", bound=Asked)


class Answered(msgspec.Struct, Generic[Part], frozen=True, array_like=True):
    """What one node knows, for who asked."""

    node: str
    asked_by: str
    number: int
    part: Part


class _Answers(Generic[Part]):
    """The parts that have come, by the nodes that they are of."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.news = asyncio.Event()


class Asking(Generic[Question, Part]):
    """Asks one kind of question, and answers it.

    Old nodes, which do not know the kind, never answer.
    """

    def __init__(
        self,
        presence: Presence,
        peers: Peers,
        tasks: asyncio.TaskGroup,
        read: Callable[[bytes], Question | Answered[Part]],
        answer: Callable[[str, str, int, Part], Answered[Part]],
        known: Callable[[Question], Awaitable[Part]],
        *,
        too_many: str,
        unanswered: str,
    ) -> None:
        """Make it; `tasks` owns the answers that are being made.

        `read` is the kind's decoder and `answer` the type of its answers; `known` returns what this
        node knows. `too_many` and `unanswered` say to people why there is no answer.
        """
        self._presence = presence
        self._peers = peers
        self._tasks = tasks
        self._read = read
        self._answer_of = answer
        self._known = known
        self._too_many = too_many
        self._unanswered = unanswered
        self._number = 0
        self._answering = 0
        self.asked: dict[int, _Answers[Part]] = {}
        """What is waited for, by the numbers of the questions."""
        peers.on_announcement(self._heard, About.USERS)

    @property
    def node(self) -> str:
        """The name of this node."""
        return self._presence.node

    async def ask(
        self, mine: Callable[[], Awaitable[Part]], question: Callable[[int], Question]
    ) -> Collection[Part]:
        """Return the parts of all nodes, of which `mine` is one; `question` is given its number.

        Raises:
            ServiceUnavailableException: another node does not answer, or too much is asked.
        """
        parts, is_whole = await self._ask(mine, question, ANSWER_SECONDS)
        if not is_whole:
            raise ServiceUnavailableException(self._unanswered)
        return parts

    async def ask_briefly(
        self,
        mine: Callable[[], Awaitable[Part]],
        question: Callable[[int], Question],
        seconds: float,
    ) -> Collection[Part]:
        """Return the parts that come within so many seconds, as `ask` does.

        Raises:
            ServiceUnavailableException: too much is asked.
        """
        parts, _ = await self._ask(mine, question, seconds)
        return parts

    async def _ask(
        self,
        mine: Callable[[], Awaitable[Part]],
        question: Callable[[int], Question],
        seconds: float,
    ) -> tuple[Collection[Part], bool]:
        """Return the parts that come in time, and whether those are all."""
        if len(self.asked) >= MOST_ASKED:
            raise ServiceUnavailableException(self._too_many)
        self._number = number = self._number + 1
        answers = self.asked[number] = _Answers[Part]()
        try:
            answers.parts[self.node] = await mine()
            async with asyncio.timeout(seconds):
                await self._gather(answers, question(number))
        except TimeoutError:
            return answers.parts.values(), False
        finally:
            del self.asked[number]
        return answers.parts.values(), True

    def _heard(self, payload: bytes) -> None:
        try:
            told = self._read(payload)
        except (msgspec.DecodeError, ValueError):
            # Another kind, mostly. Strangers are counted where announcements of presence are.
            return
        if isinstance(told, Answered):
            self._take(told)
        elif told.node != self.node and self._answering < MOST_ANSWERED:
            self._answering += 1
            self._tasks.create_task(self._answer(told))

    def _take(self, told: Answered[Part]) -> None:
        answers = self.asked.get(told.number) if told.asked_by == self.node else None
        if answers is not None:
            answers.parts[told.node] = told.part
            answers.news.set()

    async def _answer(self, told: Question) -> None:
        try:
            part = await self._known(told)
        except Exception as error:
            # Raised here, it would end the node.
            log.exception("a node cannot be answered", error=type(error).__name__)
            return
        finally:
            self._answering -= 1
        answer = self._answer_of(self.node, told.node, told.number, part)
        self._peers.announce(_encode(answer), About.USERS)

    async def _gather(self, answers: _Answers[Part], question: Question) -> None:
        """Ask until all who were there at first have answered, or are gone."""
        asked = self._presence.other_nodes()
        while not answers.parts.keys() >= asked & self._presence.other_nodes():
            self._peers.announce(_encode(question), About.USERS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS):
                    while not answers.parts.keys() >= asked:
                        answers.news.clear()
                        await answers.news.wait()


_encode = msgspec.msgpack.Encoder().encode
