"""`/health`: whether the process lives, and whether it is ready for viewers.

- `/health/live` is 200 while the process answers at all. A restart would help no other fault.
- `/health/ready` is 503 while something of `Part` fails, and its body names what. `/health` has the
  same body, and is 503 only while the service drains. What fails in part is named as `degraded`.
- Of several processes behind one port each answers for all. One that serves and fails, or says
  nothing, makes all unready, because it gets its share of connections; one that is being started
  again gets none.
- Anybody may ask, as often as he likes: the store is asked for at most one write in `FRESH_SECONDS`
  for all together, and only while somebody asks. All else is looked up in memory.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum

import msgspec
import structlog

from greenroom import __version__
from greenroom.clock import Clock
from greenroom.control.asgi import Scope, Send, answer
from greenroom.storage.base import StorageUnavailable

FRESH_SECONDS = 2.0
"""How long what the store said is good for."""

PATIENCE_SECONDS = 0.5
"""How long the store may take to say it: probes mostly give up after a second."""

LIVE, READY, BOTH = b"/health/live", b"/health/ready", b"/health"

log = structlog.get_logger()


class Part(StrEnum):
    """What must be well before viewers are sent here."""

    STORE = "store"
    BUS = "bus"
    CERTIFICATE = "certificate"
    MEMORY = "memory"
    DRAINING = "draining"
    PROCESSES = "processes"

    @property
    def meaning(self) -> str:
        """Return what it means that it fails, in a few words."""
        return _MEANINGS[self]


_MEANINGS = {
    Part.STORE: "nothing can be written: the disk is full, read-only, or too slow",
    Part.BUS: (
        "NATS does not answer, or stores nothing: nothing is delivered in rooms, what is sent there"
        " gets 503; the API and joins go on"
    ),
    Part.CERTIFICATE: "the certificate has expired, or is not valid yet",
    Part.MEMORY: "new connections are refused: the process uses more than memory_bytes",
    Part.DRAINING: "the service stops",
    Part.PROCESSES: "a process behind this port serves, and does not answer the others",
}

SHARED_STORE = (
    "PostgreSQL does not answer, or takes no writes: joins and the API get 503; rooms that this"
    " node knows chat on"
)
"""What it means that the store of a cluster fails."""


class StoreCheck:
    """Asks the store for a write now and then, and remembers how that went."""

    def __init__(self, write: Callable[[], Awaitable[None]], clock: Clock) -> None:
        self._write = write
        self._clock = clock
        self._asked = 0.0
        self._asking: asyncio.Task[bool] | None = None

    async def fails(self) -> bool:
        """Return whether the store takes no writes; an answer takes `PATIENCE_SECONDS` at most."""
        now = self._clock.monotonic()
        asking = self._asking
        # An answer that nobody waited for is as old as its question: another one is asked.
        if asking is None or (asking.done() and now >= self._asked + FRESH_SECONDS):
            self._asked = now
            asking = self._asking = asyncio.create_task(self._ask())
        await asyncio.wait((asking,), timeout=PATIENCE_SECONDS)
        return not (asking.done() and asking.result())

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> bool:
        try:
            await self._write()
        except StorageUnavailable:
            return False
        except Exception:
            # A fault of ours fails this probe; raised, it would fail every later one, too.
            log.exception("the store could not be asked")
            return False
        return True


class Report(msgspec.Struct, frozen=True):
    """What fails in one process, and what that means."""

    failing: Mapping[str, str] = {}
    degraded: Mapping[str, str] = {}
    """What fails in part: no reason to send viewers elsewhere, where it fails as well."""

    @property
    def status(self) -> str:
        """Return it in a word."""
        if Part.DRAINING in self.failing:
            return "draining"
        return "failing" if self.failing else "ok"


Others = Callable[[], Awaitable[Mapping[str, Report | str]]]
"""Asks the other processes; one without a report is told of in a word, such as silent."""

SILENT = "silent"


class Health:
    """Answers probes, as a part of the ASGI application.

    `failing` says of each part, the store aside, whether it fails now; `meanings` what that means
    here, where it means something else than on a node that is alone; `degraded` what fails in part,
    "" for nothing. `others` is set where several
    processes serve behind one port, with the name of this one.
    """

    def __init__(
        self,
        store: StoreCheck,
        failing: Mapping[Part, Callable[[], bool]],
        meanings: Mapping[Part, str] | None = None,
        degraded: Mapping[Part, Callable[[], str]] | None = None,
    ) -> None:
        self._degraded = degraded or {}
        self._store = store
        self._failing = failing
        self._meanings = {part: part.meaning for part in Part} | dict(meanings or {})
        self.others: tuple[str, Others] | None = None

    def wants(self, scope: Scope) -> bool:
        """Return whether a request asks for the health."""
        asked = scope["raw_path"]
        return asked in {LIVE, READY, BOTH} and scope["method"] in ("GET", "HEAD")

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Answer one request."""
        if scope["raw_path"] == LIVE:
            await _send(send, 200, Report())
            return
        if self.others is None:
            report, processes = await self.report(), None
        else:
            me, others = self.others
            mine, theirs = await asyncio.gather(self.report(), others())
            report = self._together(mine, theirs)
            processes = _in_words({**theirs, me: mine})
        draining = report.status == "draining"
        unready = draining if scope["raw_path"] == BOTH else bool(report.failing)
        await _send(send, 503 if unready else 200, report, processes)

    async def report(self) -> Report:
        """Return what fails in this process."""
        parts = [part for part, fails in self._failing.items() if fails()]
        if await self._store.fails():
            parts.insert(0, Part.STORE)
        in_part = {part.value: said() for part, said in self._degraded.items() if part not in parts}
        return Report(
            {part.value: self._meanings[part] for part in parts},
            {part: said for part, said in in_part.items() if said},
        )

    def _together(self, mine: Report, theirs: Mapping[str, Report | str]) -> Report:
        failing, degraded = dict(mine.failing), dict(mine.degraded)
        for report in theirs.values():
            if isinstance(report, Report):
                # One that drains alone takes no connections.
                kept = {part: each for part, each in report.failing.items() if part != "draining"}
                failing = kept | failing
                degraded = {**report.degraded, **degraded}
            elif report == SILENT:
                failing[Part.PROCESSES] = self._meanings[Part.PROCESSES]
        return Report(failing, degraded)


def _in_words(reports: Mapping[str, Report | str]) -> dict[str, str]:
    """Return how each process is, in the order of their numbers."""
    words = {
        name: report if isinstance(report, str) else report.status
        for name, report in reports.items()
    }
    return {name: words[name] for name in sorted(words, key=lambda name: (len(name), name))}


async def _send(
    send: Send, code: int, report: Report, processes: Mapping[str, str] | None = None
) -> None:
    body: dict[str, object] = {"status": report.status, "version": __version__}
    if report.failing:
        body["failing"] = report.failing
    if report.degraded:
        body["degraded"] = report.degraded
    if processes is not None:
        body["processes"] = processes
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await answer(send, code, headers, msgspec.json.encode(body))
