"""The audit log: who did what to which resource, one JSON line each, appended to a file.

- Lines are written by a thread, in order, many with one call. The file is made with mode 0600 and
  only ever appended to; `reopen` begins a new one after somebody moved the old one away.
- **Bound.** `QUEUE_BOUND` lines wait at most. While the disk is merely slow, `record` then waits,
  and so does the answer to the request. While the disk takes nothing, the file is tried again every
  second; lines that find the queue full are lost and counted: the log says so when it begins and
  when it ends, and the next line that is written says how many are missing.
- A line is in the file soon after the answer, not before it: `kill -9` can lose the last ones.
- Entries hold no content of messages, no tokens and no secrets: their makers see to it.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from greenroom.storage.base import StoreUnwritable

QUEUE_BOUND = 10_000
"""Lines that may wait."""

RETRY_SECONDS = 1.0
"""Between tries while the file cannot be written."""

SUCCESS = "Success"
"""The outcome of what was done; else the outcome is the error's code."""

GATHER_SECONDS = 0.01
"""How long a line waits for others before it is written."""

log = structlog.get_logger()


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One line. What is empty is left out."""

    time: datetime
    event: str = ""
    """Name of the operation; empty when the request named none."""
    outcome: str = ""
    request_id: str = ""
    arn: str = ""
    """Of the principal; empty when it was not proved."""
    access_key_id: str = ""
    """As the request named it."""
    source_ip: str = ""
    region: str = ""
    resources: tuple[str, ...] = ()
    """ARNs."""
    details: dict[str, object] = {}
    """What else is worth knowing, by the operation's parameters."""
    suppressed: int = 0
    """Lines about requests without proof of who made them that were left out before this one."""
    lost: int = 0
    """Lines before this one that the disk did not take."""


class AuditLog:
    """Appends entries to a file, in the background."""

    def __init__(self, path: Path, bound: int = QUEUE_BOUND) -> None:
        self._path = path
        self._bound = bound
        self._descriptor = -1
        self._condition = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._reopen = self._closing = self._failing = False
        self._gathering = False
        self._lost = 0
        self.lost = 0
        """Lines that were lost since the start."""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Open the file and begin.

        Raises:
            StoreUnwritable: the file cannot be opened for appending.
        """
        try:
            self._descriptor = _opened(self._path)
        except OSError as error:
            raise StoreUnwritable(
                f"the audit log {self._path} cannot be written: {error.strerror}"
            ) from None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    async def record(self, entry: AuditEntry) -> None:
        """Queue the entry; wait while the queue is full and the file can be written."""
        line = msgspec.json.encode(entry) + b"\n"
        while (waiter := self._queued(line)) is not None:
            await waiter

    def reopen(self) -> None:
        """Go on in a file of the same name, which is a new one if the old one was moved."""
        with self._condition:
            self._reopen = True
            self._condition.notify()

    async def close(self) -> None:
        """Write what waits, with one try if the file fails, and close."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._wake()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _queued(self, line: bytes) -> asyncio.Future[None] | None:
        """Queue or lose the line; return what to wait for when there may be a place later."""
        with self._condition:
            full = len(self._lines) >= self._bound
            if full and not self._failing and not self._closing:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                return waiter
            if full or self._closing:
                self._lost += 1
                self.lost += 1
            else:
                self._lines.append(line)
                self._gather()
        return None

    def _gather(self) -> None:
        """Have the thread woken soon: once for all lines until then, which costs them a tenth."""
        if not self._gathering:
            self._gathering = True
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._hand_over)

    def _hand_over(self) -> None:
        self._gathering = False
        with self._condition:
            self._condition.notify()

    # On the thread

    def _run(self) -> None:
        rest = b""
        while True:
            with self._condition:
                while not (rest or self._lines or self._reopen or self._closing):
                    self._condition.wait()
                reopen, self._reopen = self._reopen, False
                if not rest:
                    rest = self._taken()
                ending = self._closing and not self._lines
            if reopen:
                self._begin_anew()
            self._tell(self._wake)
            rest = self._written(rest)
            if rest and not self._closing:
                with self._condition:
                    self._condition.wait(RETRY_SECONDS)
            elif ending or rest:
                break
        if rest or self._lines:
            missing = rest.count(b"\n") + len(self._lines)
            log.error("audit log ends with lines that could not be written", lines=missing)
        os.close(self._descriptor)

    def _taken(self) -> bytes:
        lines = list(self._lines)
        self._lines.clear()
        if lines and self._lost:
            gap = AuditEntry(time=datetime.now(UTC), event="AuditGap", lost=self._lost)
            lines.insert(0, msgspec.json.encode(gap) + b"\n")
            self._lost = 0
        return b"".join(lines)

    def _written(self, data: bytes) -> bytes:
        """Write and return what could not be written."""
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            if not self._failing:
                # Under the lock: who saw it working waits already, and is woken.
                with self._condition:
                    self._failing = True
                log.error("audit log cannot be written", reason=error.strerror)
                self._tell(self._wake)
            return data
        if self._failing:
            self._failing = False
            log.warning("audit log can be written again", lost=self._lost)
        return b""

    def _begin_anew(self) -> None:
        try:
            descriptor = _opened(self._path)
        except OSError as error:
            log.error("audit log cannot be reopened, the old file goes on", reason=error.strerror)
            return
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _tell(self, callback: Callable[[], None]) -> None:
        if self._waiters and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    # On the loop

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
