"""Streams in files, which processes read while one writes: a bus that outlives its nodes."""

import asyncio
import struct
from pathlib import Path

import msgspec

from greenroom.bus.streams import Stored, StreamState

MESSAGES_PER_READ = 40

_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Stored).decode


class KeptStreams:
    """`Streams` of a directory. What another process is writing just now is not there yet."""

    def __init__(self, directory: Path, count: int) -> None:
        self.count = count
        self._files = [_File(directory / f"stream-{number:02}") for number in range(count)]

    def store(self, stream: int, message: Stored) -> None:
        """Add a message."""
        self._files[stream].write(message)

    def stream_of(self, room: str) -> int:
        return len(room) % self.count

    async def state(self, stream: int) -> StreamState:
        return StreamState("made once", 1, len(self._files[stream].messages()))

    async def end(self, stream: int) -> StreamState:
        return await self.state(stream)

    async def read(self, stream: int, first: int) -> list[Stored]:
        return self._files[stream].messages()[first - 1 : first - 1 + MESSAGES_PER_READ]

    async def read_after(self, stream: int, stamp_ns: int) -> list[Stored]:
        found = [each for each in self._files[stream].messages() if each.stamp_ns > stamp_ns]
        return found[:MESSAGES_PER_READ]

    async def hear(self, stream: int) -> "_Word":
        return _Word()


class _Word:
    """One that comes, perhaps for nothing."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self._coming = asyncio.get_running_loop().call_later(0.1, self.told.set)

    async def end(self) -> None:
        self._coming.cancel()


class _File:
    def __init__(self, path: Path) -> None:
        path.touch()
        self._path = path
        self._read = 0
        self._messages: list[Stored] = []

    def write(self, message: Stored) -> None:
        encoded = _encode(message)
        with self._path.open("ab", buffering=0) as file:
            file.write(_LENGTH.pack(len(encoded)) + encoded)

    def messages(self) -> list[Stored]:
        with self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        start = 0
        while start + _LENGTH.size <= len(data):
            (length,) = _LENGTH.unpack_from(data, start)
            end = start + _LENGTH.size + length
            if end > len(data):
                break
            self._messages.append(_decode(data[start + _LENGTH.size : end]))
            start = end
        self._read += start
        return self._messages
