"""The audit log: who did what to which resource, one JSON line each, appended to a file.

- Lines are written by a thread, in order, many with one call. The file is made with mode 0600, only
  ever appended to, and rotated (`audit.file`); `reopen` begins a new one after somebody moved the
  old one away.
- **Bound.** `QUEUE_BOUND` lines and `QUEUE_BYTES` bytes wait at most. While
  the disk is merely slow, `record` then waits, and so does the answer to the request. While the
  disk takes nothing, the file is tried again every second; lines that find the queue full are lost
  and counted: the log says so when it begins and
  when it ends, and the next line that is written says how many are missing.
- A line is in the file soon after the answer, not before it: `kill -9` can lose the last ones.
- A line has a bound of its own (`audit.entry`).
- Entries hold no content of messages, no tokens and no secrets: their makers see to it.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from greenroom.audit.entry import GAP, AuditEntry, encoded
from greenroom.audit.file import AuditFile, Rotation
from greenroom.audit.refusals import Refusals
from greenroom.process.start_refused import FileUnwritable

QUEUE_BOUND = 10_000
"""Lines that may wait."""

QUEUE_BYTES = 16_777_216
"""Bytes of lines that may wait."""

WRITE_BYTES = 1_048_576
"""Bytes of lines that are written together, so that no file passes its size."""

RETRY_SECONDS = 1.0
"""Between tries while the file cannot be written."""

GATHER_SECONDS = 0.01
"""How long a line waits for others before it is written."""

log = structlog.get_logger()


class AuditLog:
    """Appends entries to a file, in the background."""

    def __init__(
        self,
        path: Path,
        rotation: Rotation = Rotation(),  # noqa: B008 - has nothing that changes
        bound: int = QUEUE_BOUND,
        size_bound: int = QUEUE_BYTES,
    ) -> None:
        self._path = path
        self._file = AuditFile(path, rotation)
        self._bound = bound
        self._size_bound = size_bound
        self._condition = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._reopen = self._closing = self._failing = False
        self._gathering = False
        self._lost = 0
        self.refusals = Refusals()
        """Says which lines about refusals are to be recorded."""
        self.lost = 0
        """Lines that were lost since the start."""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Open the file and begin.

        Raises:
            FileUnwritable: the file cannot be opened for appending.
        """
        try:
            self._file.open()
        except OSError as error:
            raise FileUnwritable(
                f"the audit log {self._path} cannot be written: {error.strerror}"
            ) from None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    async def record(self, entry: AuditEntry) -> None:
        """Queue the entry; wait while the queue is full and the file can be written."""
        line = encoded(entry)
        while (waiter := self._queued(line)) is not None:
            await waiter

    def reopen(self) -> None:
        """Go on in a file of the same name, which is a new one if the old one was moved."""
        with self._condition:
            self._reopen = True
            self._condition.notify()

    async def close(self) -> None:
        """Write what waits, with one try if the file fails, and close."""
        left_out = self.refusals.take_all()
        if left_out:
            await self.record(AuditEntry(time=datetime.now(UTC), event=GAP, suppressed=left_out))
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._wake()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _queued(self, line: bytes) -> asyncio.Future[None] | None:
        """Queue or lose the line; return what to wait for when there may be a place later."""
        with self._condition:
            full = len(self._lines) >= self._bound or self._size >= self._size_bound
            if full and not self._failing and not self._closing:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                return waiter
            if full or self._closing:
                self._lost += 1
                self.lost += 1
            else:
                self._lines.append(line)
                self._size += len(line)
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
        batch = rest = b""
        while True:
            with self._condition:
                while not (rest or self._lines or self._reopen or self._closing):
                    self._condition.wait()
                reopen, self._reopen = self._reopen, False
                whole = not rest
                if whole:
                    batch = rest = self._taken()
                closing = self._closing
                ending = closing and not self._lines
            if reopen and self._begin_anew():
                rest = _with_its_line(batch, rest)
            self._tell(self._wake)
            if whole and rest:
                self._rotate_if_due(len(rest))
            rest = self._written(rest)
            if rest and not closing:
                with self._condition:
                    if not self._closing:
                        self._condition.wait(RETRY_SECONDS)
            elif ending or rest:
                break
        if rest or self._lines:
            missing = rest.count(b"\n") + len(self._lines)
            log.error("audit log ends with lines that could not be written", lines=missing)
        self._file.close()

    def _taken(self) -> bytes:
        lines, taken = list[bytes](), 0
        while self._lines and (not lines or taken + len(self._lines[0]) <= WRITE_BYTES):
            lines.append(self._lines.popleft())
            taken += len(lines[-1])
        self._size -= taken
        if lines and self._lost:
            gap = AuditEntry(time=datetime.now(UTC), event=GAP, lost=self._lost)
            lines.insert(0, encoded(gap))
            self._lost = 0
        return b"".join(lines)

    def _written(self, data: bytes) -> bytes:
        """Write and return what could not be written."""
        try:
            while data:
                data = self._file.write(data)
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

    def _begin_anew(self) -> bool:
        try:
            self._file.open()
        except OSError as error:
            log.error("audit log cannot be reopened, the old file goes on", reason=error.strerror)
            return False
        return True

    def _rotate_if_due(self, coming: int) -> None:
        failed = self._file.rotate_if_due(coming)
        if failed is not None:
            log.error("audit log cannot be rotated, the old file goes on", reason=failed.strerror)

    def _tell(self, callback: Callable[[], None]) -> None:
        if self._waiters and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    # On the loop

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _with_its_line(batch: bytes, rest: bytes) -> bytes:
    """Return what is left of a batch, from the beginning of the line that was cut."""
    return batch[batch.rfind(b"\n", 0, len(batch) - len(rest)) + 1 :]
