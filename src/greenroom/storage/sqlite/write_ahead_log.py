"""What the write-ahead log of a database says of itself, read without SQLite.

SQLite takes a log up to the last whole transaction before the first byte that is wrong, and throws
the rest away without a word. That is right after a power failure, which may tear what was being
written. It is wrong when transactions follow: they were on the disk, and answered.

Source: SQLite's file format, section 4, and "WAL-mode File Format", section 2.1.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec

_HEADER = struct.Struct(">4I8s2I")
"""Magic, version, page size, number of the checkpoint, both salts, both halves of the checksum."""

_FRAME = struct.Struct(">2I8s8s")
"""Page number, the database's pages after a commit (else zero), both salts, the checksum."""

_SUM = struct.Struct(">2I")
"""Both halves of a checksum, as they stand at the end of a header."""

_MAGIC = 0x377F0682
"""The lowest bit says that the checksums' words are big-endian."""

_CHANGE_COUNTER = 24
"""Where the first page of a database has its change counter."""

_RECOVERED = struct.Struct("=16xI")
"""The index beside a log: how many of its frames were found whole, in the machine's byte order."""


class _Frame(msgspec.Struct, frozen=True):
    page: int
    commits: bool
    is_current: bool
    offset: int


def holds_nothing(log: Path) -> bool:
    """Return whether the log is missing, or shorter than any frame."""
    try:
        return log.stat().st_size < _HEADER.size + _FRAME.size
    except FileNotFoundError:
        return True


def recovered_frames(shared: Path) -> int | None:
    """Return how many frames SQLite took from a log that it has open; None when it does not say."""
    try:
        with shared.open("rb") as file:
            return int(_RECOVERED.unpack(file.read(_RECOVERED.size))[0])
    except (OSError, struct.error):
        return None


def fault(log: Path, recovered: int, changes: int, *, same_boot: bool) -> str | None:
    """Return what is wrong with a log of which SQLite took so many frames, None when nothing is.

    `changes` is the change counter of the database's own file. `same_boot` says that the machine
    has not failed since the log was written: then nothing of it is torn but what was being written
    when the process was killed, or what a full disk did not take. The end of such a transaction is
    not whole: a frame's header is written before its page.
    """
    with log.open("rb") as file:
        descriptor = file.fileno()
        start = os.pread(descriptor, _HEADER.size, 0)
        if len(start) < _HEADER.size:
            return None
        if not _is_header(start):
            return "its write-ahead log has no valid header"
        frames = list(_frames(descriptor, start))
        ends = [
            index
            for index, frame in enumerate(frames)
            if _is_lost_end(index, frame, recovered) and _is_whole(descriptor, start, frame)
        ]
        if ends and (same_boot or any(frame.is_current for frame in frames[ends[0] + 1 :])):
            return f"its write-ahead log is damaged behind frame {recovered} of {len(frames)}"
        newest = _newest_change(descriptor, frames[:recovered])
    if newest is not None and changes > newest:
        return "it is newer than its write-ahead log"
    return None


def _is_header(start: bytes) -> bool:
    magic, _, _, _, _, first, second = _HEADER.unpack(start)
    if magic & ~1 != _MAGIC:
        return False
    return _checksum(start[:24], magic, (0, 0)) == (first, second)


def _checksum(data: bytes, magic: int, before: tuple[int, int]) -> tuple[int, int]:
    """Return both halves of the checksum of all that stands up to the end of the data."""
    one, two = before
    words = struct.unpack(f"{'>' if magic & 1 else '<'}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return one, two


def _frames(descriptor: int, start: bytes) -> Iterator[_Frame]:
    """Yield all frames by their headers: those of this log, and what is left of earlier ones."""
    _, _, page_size, _, salts, _, _ = _HEADER.unpack(start)
    offset = _HEADER.size
    while len(data := os.pread(descriptor, _FRAME.size, offset)) == _FRAME.size:
        page, pages, frame_salts, _ = _FRAME.unpack(data)
        yield _Frame(page, pages > 0, frame_salts == salts, offset)
        offset += _FRAME.size + page_size


def _is_lost_end(index: int, frame: _Frame, recovered: int) -> bool:
    """Return whether a transaction ends here that SQLite did not take."""
    return index >= recovered and frame.is_current and frame.commits


def _is_whole(descriptor: int, start: bytes, frame: _Frame) -> bool:
    """Return whether the frame is as it was made behind the one before it, whatever that holds."""
    magic, _, page_size, _, _, _, _ = _HEADER.unpack(start)
    # The sum stands at the end of the log's header, or of the header of the frame before.
    place = max(_HEADER.size, frame.offset - page_size) - _SUM.size
    before = os.pread(descriptor, _SUM.size, place)
    data = os.pread(descriptor, _FRAME.size + page_size, frame.offset)
    if len(data) < _FRAME.size + page_size:
        return False
    # Of the header its page number and the database's size count, and then the page.
    summed = _checksum(data[:8] + data[_FRAME.size :], magic, _SUM.unpack(before))
    return summed == _SUM.unpack(data[_FRAME.size - _SUM.size : _FRAME.size])


def _newest_change(descriptor: int, frames: list[_Frame]) -> int | None:
    firsts = [frame for frame in frames if frame.page == 1]
    if not firsts:
        return None
    place = firsts[-1].offset + _FRAME.size + _CHANGE_COUNTER
    return int.from_bytes(os.pread(descriptor, 4, place), "big")
