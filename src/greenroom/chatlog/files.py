"""Log objects as files: what would be in S3, in a directory, with nothing installed.

- The keys are those of S3, below one directory per bucket, log group or delivery stream.
- A file appears whole or not at all, and is on disk when a delivery returns: it is written beside
  its place, flushed, renamed, and the directory is flushed. A batch that comes again writes the
  same files with the same bytes.
- Several processes may share the directory, each with a name of its own as a writer: then two may
  write the same file at the same time, and whichever comes last, it is whole.
- Only the owner reads: directories have mode 0700, files 0600.
"""

import asyncio
import errno
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from greenroom.chatlog.base import DestinationFailed, FailureKind, Record, Target
from greenroom.chatlog.batch_calls import Progress
from greenroom.chatlog.objects import objects
from greenroom.process.files import replace, synchronize

MAXIMUM_NAME = 200
"""Characters of a directory's name; a longer one is cut and told apart by a hash."""

_KINDS = {
    errno.ENOENT: FailureKind.NOT_FOUND,
    errno.EACCES: FailureKind.ACCESS_DENIED,
    errno.EPERM: FailureKind.ACCESS_DENIED,
    errno.EROFS: FailureKind.ACCESS_DENIED,
}


class FilesDestination:
    """Keeps records in files below `directory()`, which is asked for once, when it is needed.

    `writer` names this process where others write there, too; "" says that none does.
    """

    def __init__(
        self,
        directory: Callable[[], Path],
        interval_seconds: float,
        batch_bytes: int,
        writer: str = "",
    ) -> None:
        self._directory = directory
        self._writer = writer
        self.interval_seconds = interval_seconds
        self.batch_bytes = batch_bytes
        # One thread: no two writes of the same file are ever under way together.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-files")
        self._closing = threading.Event()
        self._progress: Progress[None] = Progress()

    async def check(self, target: Target) -> None:
        await self._run(lambda: self._check(target))

    async def deliver(self, target: Target, records: Sequence[Record]) -> int:
        done = self._progress.of(target, records)
        await self._run(lambda: self._deliver(target, records, done))
        self._progress.end(target)
        return 0

    async def close(self) -> None:
        self._closing.set()
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)

    async def _run(self, function: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _check(self, target: Target) -> None:
        with self._place(target) as directory:
            _make(directory)
            path = directory / f".check{self._writer}"
            self._write(path, b"")
            path.unlink()

    def _deliver(self, target: Target, records: Sequence[Record], done: dict[int, None]) -> None:
        with self._place(target) as directory:
            for place, each in enumerate(objects(target.configuration, records)):
                if self._closing.is_set():
                    raise DestinationFailed(FailureKind.OTHER, "the service stops")
                if place not in done:
                    path = directory / each.key
                    _make(path.parent)
                    self._write(path, each.body())
                    done[place] = None

    def _write(self, path: Path, body: bytes) -> None:
        # Always the same name: what a killed process left is replaced when the batch comes again.
        replace(
            path, body, path.with_name(f".{path.name}{self._writer and '.'}{self._writer}.part")
        )
        synchronize(path.parent)
        if self._writer:
            # Others who were killed left theirs under names of their own.
            for left in path.parent.glob(f".{path.name}.*.part"):
                left.unlink(missing_ok=True)

    @contextmanager
    def _place(self, target: Target) -> Iterator[Path]:
        """Give the target's directory, and turn what goes wrong there into DestinationFailed."""
        where = ""
        try:
            directory = self._directory() / directory_name(target.name)
            where = f" in {directory}"
            yield directory
        except OSError as error:
            number = error.errno or 0
            why = errno.errorcode.get(number, "OSError") + where
            raise DestinationFailed(_KINDS.get(number, FailureKind.OTHER), why) from None


def directory_name(name: str) -> str:
    """Return a bucket's, log group's or stream's name as that of one directory.

    What is neither letter, digit nor `-._` is percent-encoded, and so is a leading dot: no name
    leaves the directory or is hidden in it, and no two names share one.
    """
    safe = quote(name, safe="")
    if safe.startswith((".", "~")):
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"
    if len(safe) > MAXIMUM_NAME:
        safe = f"{safe[: MAXIMUM_NAME - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return safe


def _make(directory: Path) -> None:
    """Make a directory and those above it, and see to it that they last."""
    if directory.is_dir():
        return
    _make(directory.parent)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        return
    synchronize(directory.parent)
