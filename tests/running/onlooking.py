"""What an innocent client in another process waits for, from the process of the tests."""

import asyncio
import contextlib
import json
import statistics
import sys
from collections.abc import AsyncIterator
from typing import Self
from urllib.parse import urlsplit

import msgspec

from tests.running.process import scheduled
from tests.running.service import Service

WORST_RATIO = 10
"""How many times longer than before an innocent client may wait in a flood."""

LEAST_SECONDS = 0.002
"""A shorter wait counts as this one: the ratio is about floods, not about a quiet machine."""


class Waits(msgspec.Struct, frozen=True):
    """The times, in seconds, that the client waited for its echoes and for `/health`."""

    echoes: list[float]
    answers: list[float]
    share: float = 1.0
    """Of the time in which the service had something to do: how much it did. Else others ran."""

    @property
    def usual(self) -> float:
        """Return the median of the waits of the kind that takes longer, if the service had a core.

        What it waits for one is the machine's doing, where more processes run than it has cores.
        """
        return self.share * max(map(statistics.median, (self.echoes, self.answers)))

    def ratio(self, before: Self) -> float:
        """Return how many times longer the usual wait is than before."""
        return self.usual / max(before.usual, LEAST_SECONDS)


class Onlooker:
    """The client, which waits all the time."""

    def __init__(self, process: asyncio.subprocess.Process, service: Service) -> None:
        self._process = process
        self._service = service
        self._before = scheduled(service)

    async def waits(self) -> Waits:
        """Return the waits since the last time."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        line = await self._process.stdout.readline()
        assert line, "an innocent client was dropped"
        now = scheduled(self._service)
        ran, waited = (after - before for after, before in zip(now, self._before, strict=True))
        self._before = now
        share = ran / (ran + waited) if ran else 1.0
        return msgspec.convert({**json.loads(line), "share": share}, Waits)


@contextlib.asynccontextmanager
async def looking_on(service: Service, token: str) -> AsyncIterator[Onlooker]:
    """Have somebody chat from a process of his own."""
    url = urlsplit(service.api_url)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.running.onlooker", str(url.hostname), str(url.port), token),
        url.scheme,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    try:
        yield Onlooker(process, service)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
