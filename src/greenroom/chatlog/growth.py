"""Tells all nodes for which configurations records were added, now and then."""

import asyncio
from collections.abc import Iterable

from greenroom.bus.base import Control, JournalGrew
from greenroom.chatlog.waiting import Wait
from greenroom.model.arn import Arn

TOLD_SECONDS = 0.5
"""How long more configurations may come together after the last time."""

MAXIMUM_NAMED = 500
"""Configurations in one envelope."""


class Growth:
    """Collects what grew; `run` never ends."""

    def __init__(self, control: Control, wait: Wait) -> None:
        self._control = control
        self._wait = wait
        self._grown: set[Arn] = set()
        self._some = asyncio.Event()
        self._never = asyncio.Event()

    def add(self, configurations: Iterable[Arn]) -> None:
        """Tell of these, soon."""
        self._grown.update(configurations)
        if self._grown:
            self._some.set()

    async def run(self) -> None:
        """Tell at once what comes after a pause, and together what comes in a row."""
        while True:
            await self._some.wait()
            self._some.clear()
            grown, self._grown = sorted(map(str, self._grown)), set()
            for start in range(0, len(grown), MAXIMUM_NAMED):
                some = tuple(grown[start : start + MAXIMUM_NAMED])
                self._control.broadcast(JournalGrew(some))
            await self._wait(self._never, TOLD_SECONDS)
