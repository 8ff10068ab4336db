"""The same bytes to many sockets with one system call: Linux's io_uring.

A `send` of Python's costs a call and the interpreter's lock given and taken, for each connection.
Here the kernel reads from memory that it shares with the process to whom it shall send, and writes
there how much each socket took (`io_uring(7)`). Every request says MSG_DONTWAIT, so each is done,
or refused because the socket's buffer is full, before the system call returns.

The shared memory is two queues of fixed length. An entry of the submission queue is 64 bytes, of
which only the descriptor and the number of bytes differ from call to call; they are written for all
entries at once. Positions count up for ever, modulo 2**32; an entry's place is the position modulo
the length, which is a power of two.

The numbers are those of Linux's `io_uring.h`; they are the same on both machines named here.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import platform
import socket
import struct
import sys
from array import array
from collections.abc import Sequence

import structlog

FEWEST = 32
"""From so many sockets on one system call is cheaper than one for each."""

LONGEST = 262_144
"""Bytes that can be sent at once."""

_MACHINES = ("x86_64", "aarch64")
_IO_URING_SETUP, _IO_URING_ENTER = 425, 426
_SETUP_SUBMIT_ALL, _SETUP_SINGLE_ISSUER, _SETUP_DEFER_TASKRUN = 1 << 7, 1 << 12, 1 << 13
_OFFSET_RINGS, _OFFSET_ENTRIES = 0, 0x10000000
_ENTER_GETEVENTS = 1 << 0
_OP_SEND = 26
_POSITIONS = 1 << 32

# The structures: io_uring_params with where the two rings' words lie, from its start;
_PARAMETERS_BYTES, _PARAMETERS_FLAGS = 120, 8
_ENTRIES = struct.Struct("=2I")
_SUBMISSION_RING, _SUBMISSION_RING_AT = struct.Struct("=2I 16x I"), 40
_COMPLETION_RING, _COMPLETION_RING_AT = struct.Struct("=2I 12x I"), 80
# io_uring_sqe: operation, descriptor, address, length, flags of the message, number of the entry;
_SUBMISSION = struct.Struct("=B 3x i 8x Q I i Q 24x")
_SUBMISSION_DESCRIPTOR_AT, _SUBMISSION_LENGTH_AT = 4, 24
# io_uring_cqe: number of the entry, result.
_COMPLETION_BYTES, _COMPLETION_ENTRY_AT, _COMPLETION_RESULT_AT = 16, 0, 8

log = structlog.get_logger()


class BulkSender:
    """Sends from the thread that made it, and from no other."""

    def __init__(self, most: int) -> None:
        """Make the queues for at most so many sockets in one call.

        Raises:
            OSError: the system has no io_uring, one from before Linux 6.1, or does not let this
                process use it.
        """
        if sys.platform != "linux" or platform.machine() not in _MACHINES or sys.maxsize < 1 << 32:
            raise OSError(errno.ENOSYS, "known on 64-bit Linux only")
        self.most = most
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype, self._syscall.argtypes = ctypes.c_long, [ctypes.c_long] * 7
        made = bytearray(_PARAMETERS_BYTES)
        flags = _SETUP_SUBMIT_ALL | _SETUP_SINGLE_ISSUER | _SETUP_DEFER_TASKRUN
        struct.pack_into("=I", made, _PARAMETERS_FLAGS, flags)
        address = ctypes.addressof(ctypes.c_char.from_buffer(made))
        self._ring = self._call(_IO_URING_SETUP, most, address)
        try:
            self._share_rings(made)
            self._share_entries(*_ENTRIES.unpack_from(made)[:1])
        except BaseException:
            self.close()
            raise

    def _share_rings(self, made: bytearray) -> None:
        entries, completions = _ENTRIES.unpack_from(made)
        head, tail, places = _SUBMISSION_RING.unpack_from(made, _SUBMISSION_RING_AT)
        seen, done, results = _COMPLETION_RING.unpack_from(made, _COMPLETION_RING_AT)
        end_of_places, end = places + entries * 4, results + completions * _COMPLETION_BYTES
        memory = memoryview(mmap.mmap(self._ring, max(end, end_of_places), offset=_OFFSET_RINGS))
        words = memory.cast("I")
        # Where the process has come to, and where the kernel.
        self._submitted, self._taken = _word(words, tail), _word(words, head)
        self._seen, self._done = _word(words, seen), _word(words, done)
        self._results = _field(memory[results:end], _COMPLETION_BYTES, _COMPLETION_RESULT_AT)
        self._entries = _field(memory[results:end], _COMPLETION_BYTES, _COMPLETION_ENTRY_AT)
        # Which entry is at which place: always its own.
        words[places // 4 : end_of_places // 4] = array("I", range(entries))

    def _share_entries(self, number: int) -> None:
        """Fill in what never changes: the operation, and where the data are."""
        buffer = ctypes.create_string_buffer(LONGEST)
        address, flags = ctypes.addressof(buffer), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
        self._data = memoryview(buffer).cast("B")
        memory = memoryview(
            mmap.mmap(self._ring, number * _SUBMISSION.size, offset=_OFFSET_ENTRIES)
        )
        for entry in range(number):
            _SUBMISSION.pack_into(
                memory, entry * _SUBMISSION.size, _OP_SEND, -1, address, 0, flags, entry
            )
        self._descriptors = _field(memory, _SUBMISSION.size, _SUBMISSION_DESCRIPTOR_AT)
        self._lengths = _field(memory, _SUBMISSION.size, _SUBMISSION_LENGTH_AT)

    def close(self) -> None:
        """Give up the queues; their memory goes with this object."""
        os.close(self._ring)

    def takes(self, number: int, size: int) -> bool:
        """Return whether so many sockets and bytes fit into a call, and are worth it."""
        return FEWEST <= number <= self.most and size <= LONGEST

    def send(self, descriptors: "array[int]", data: bytes) -> Sequence[tuple[int, int]]:
        """Send the data to each of at most `most` sockets, at most `LONGEST` bytes.

        Returns the index, and the number of bytes that were sent, for those that did not take
        everything. A descriptor that is not open, or negative, is one of them.
        """
        number, size = len(descriptors), len(data)
        self._data[:size] = data
        lengths = array("i", (size,)) * number
        begin, seen = self._submitted[0], self._seen[0]
        _put(self._descriptors, begin, descriptors)
        _put(self._lengths, begin, lengths)
        taken = self._submit(begin, number)
        self._wait(seen, taken)
        results = _get(self._results, seen, taken)
        entries = () if results == lengths else _get(self._entries, seen, taken)
        self._seen[0] = self._done[0]
        short = [
            ((entry - begin) % len(self._lengths), max(result, 0))
            for entry, result in zip(entries, results, strict=False)
            if result != size
        ]
        return short + [(index, 0) for index in range(taken, number)]

    def _submit(self, begin: int, number: int) -> int:
        """Return how many the kernel took: fewer where it has no memory."""
        self._submitted[0] = (begin + number) % _POSITIONS
        with contextlib.suppress(OSError):
            self._call(_IO_URING_ENTER, self._ring, number, number, _ENTER_GETEVENTS)
        # The others are as if they had never been there.
        self._submitted[0] = self._taken[0]
        return (self._taken[0] - begin) % _POSITIONS

    def _wait(self, seen: int, number: int) -> None:
        """Wait until the kernel is done with all it took: it reads the data until then."""
        while (missing := number - (self._done[0] - seen) % _POSITIONS) > 0:
            with contextlib.suppress(InterruptedError):
                self._call(_IO_URING_ENTER, self._ring, 0, missing, _ENTER_GETEVENTS)

    def _call(self, *arguments: int) -> int:
        result: int = self._syscall(*arguments, *(0,) * (7 - len(arguments)))
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result


def open_bulk_sender(most: int) -> BulkSender | None:
    """Return a sender that was seen to work, None where the system has none to give."""
    try:
        sender = BulkSender(most)
    except OSError as error:
        reason = error.strerror
    else:
        if _works(sender):
            log.debug("io_uring: a room is written to with one system call")
            return sender
        sender.close()
        reason = "a message that was sent did not arrive"
    log.info("no io_uring: rooms are written to one connection at a time", reason=reason)
    return None


def _works(sender: BulkSender) -> bool:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        theirs.setblocking(False)
        short = sender.send(array("i", (-1, mine.fileno())), b"greenroom")
        with contextlib.suppress(BlockingIOError):
            return list(short) == [(0, 0)] and theirs.recv(16) == b"greenroom"
    return False


def _word(words: "memoryview[int]", offset: int) -> "memoryview[int]":
    return words[offset // 4 : offset // 4 + 1]


def _field(memory: "memoryview[int]", size: int, offset: int) -> "memoryview[int]":
    """Return one 32-bit field of all structures of that size that lie in the memory."""
    return memory.cast("i")[offset // 4 :: size // 4]


def _put(queue: "memoryview[int]", position: int, values: "array[int]") -> None:
    """Write to the places from a position on, over the end and from the beginning."""
    begin = position % len(queue)
    before_end = len(queue) - begin
    queue[begin : begin + len(values)] = values[:before_end]
    if len(values) > before_end:
        queue[: len(values) - before_end] = values[before_end:]


def _get(queue: "memoryview[int]", position: int, number: int) -> "array[int]":
    """Read the places from a position on, over the end and from the beginning."""
    begin = position % len(queue)
    values = array("i", queue[begin : begin + number].tobytes())
    return values + array("i", queue[: number - len(values)].tobytes())
