"""Asks all nodes something of which each knows its own part, and waits for all parts.

No part is left out: who does not answer is asked again, until it is taken for dead or the question
is given up; or the parts that have come by then are taken, where those are of use.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

from greenroom.chat.presence import Presence
from greenroom.model.errors import ServiceUnavailableException

AGAIN_SECONDS = 0.5
"""After which time who has not answered is asked again."""

ANSWER_SECONDS = 5.0
"""How long all answers may take: a node that died meanwhile is known to be dead by then."""

MOST_ASKED = 64
"""Questions of one kind that a node may wait for at once."""

Part = TypeVar("Part")


class _Answers(Generic[Part]):
    """The parts that have come, by the nodes that they are of."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.news = asyncio.Event()


class Asking(Generic[Part]):
    """Asks one kind of question. `too_many` and `unanswered` say to people why there is no answer.

    Old nodes, which do not know the kind, never answer.
    """

    def __init__(self, presence: Presence, *, too_many: str, unanswered: str) -> None:
        self._presence = presence
        self._too_many = too_many
        self._unanswered = unanswered
        self._number = 0
        self.asked: dict[int, _Answers[Part]] = {}
        """What is waited for, by the numbers of the questions."""

    @property
    def node(self) -> str:
        """The name of this node."""
        return self._presence.node

    async def ask(
        self, mine: Callable[[], Awaitable[Part]], ask: Callable[[int], None]
    ) -> Collection[Part]:
        """Return the parts of all nodes, of which `mine` is one; `ask` sends a question's number.

        Raises:
            ServiceUnavailableException: another node does not answer, or too much is asked.
        """
        parts, is_whole = await self._ask(mine, ask, ANSWER_SECONDS)
        if not is_whole:
            raise ServiceUnavailableException(self._unanswered)
        return parts

    async def ask_briefly(
        self, mine: Callable[[], Awaitable[Part]], ask: Callable[[int], None], seconds: float
    ) -> Collection[Part]:
        """Return the parts that come within so many seconds, as `ask` does.

        Raises:
            ServiceUnavailableException: too much is asked.
        """
        parts, _ = await self._ask(mine, ask, seconds)
        return parts

    async def _ask(
        self, mine: Callable[[], Awaitable[Part]], ask: Callable[[int], None], seconds: float
    ) -> tuple[Collection[Part], bool]:
        """Return the parts that come in time, and whether those are all."""
        if len(self.asked) >= MOST_ASKED:
            raise ServiceUnavailableException(self._too_many)
        self._number = number = self._number + 1
        answers = self.asked[number] = _Answers[Part]()
        try:
            answers.parts[self.node] = await mine()
            async with asyncio.timeout(seconds):
                await self._gather(answers, number, ask)
        except TimeoutError:
            return answers.parts.values(), False
        finally:
            del self.asked[number]
        return answers.parts.values(), True

    def take(self, asked_by: str, number: int, node: str, part: Part) -> None:
        """Take what a node has answered somebody."""
        answers = self.asked.get(number) if asked_by == self.node else None
        if answers is not None:
            answers.parts[node] = part
            answers.news.set()

    async def _gather(
        self, answers: _Answers[Part], number: int, ask: Callable[[int], None]
    ) -> None:
        """Ask until all who were there at first have answered, or are gone."""
        asked = self._presence.other_nodes()
        while not answers.parts.keys() >= asked & self._presence.other_nodes():
            ask(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS):
                    while not answers.parts.keys() >= asked:
                        answers.news.clear()
                        await answers.news.wait()
