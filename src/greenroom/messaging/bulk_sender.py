"""Messages to many sockets with one system call: Linux's io_uring.

A `send` of Python's costs a call and the interpreter's lock given and taken, for each connection.
Here the kernel reads from memory that it shares with the process what it shall send to whom, and
writes there how much each socket took (`io_uring(7)`). Every request says MSG_DONTWAIT, so each is
done, or refused because the socket's buffer is full, before the system call returns.

The shared memory is two queues of fixed length: 64 bytes for each request, of which only
descriptor, address and length are written anew, for all requests at once; and 16 bytes for each
result. Positions in a queue count up for ever, modulo 2**32; a position's place is its remainder by
the queue's length, which is a power of two.

The numbers are those of Linux's `io_uring.h`; they are the same on both machines named here.
"""

import contextlib
import ctypes
import errno
import mmap
import operator
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
"""Bytes of messages that can be sent at once."""

_MACHINES = ("x86_64", "aarch64")
_IO_URING_SETUP, _IO_URING_ENTER = 425, 426
_SEND = 26
_WAIT_FOR_RESULTS = 1 << 0
_NO_MORE = (0, 0, 0, 0, 0, 0)
"""Behind the arguments: the kernel reads six, and who calls it need not know how many count."""
_RINGS_AT, _REQUESTS_AT = 0, 0x10000000
_POSITIONS = 1 << 32

# A request that cannot be begun has a result like any other, and does not keep back those behind.
_SUBMIT_ALL = 1 << 7
# One thread only, in which all is done that the kernel does: nothing runs beside it, and a call
# from another thread is refused.
_SINGLE_ISSUER, _DEFER_TASKRUN = 1 << 12, 1 << 13

# io_uring_params: the queues' lengths; from where the rings begin, where their words lie.
_PARAMETERS_BYTES, _FLAGS_AT = 120, 8
_LENGTHS = struct.Struct("=2I")
_REQUEST_RING, _REQUEST_RING_AT = struct.Struct("=2I 16x I"), 40
_RESULT_RING, _RESULT_RING_AT = struct.Struct("=2I 12x I"), 80
# io_uring_sqe: operation, descriptor, address, length, the message's flags, the request's place.
_REQUEST = struct.Struct("=B 3x i 8x Q I i Q 24x")
_ADDRESS, _LENGTH = struct.Struct("=Q"), struct.Struct("=i")
_DESCRIPTOR_AT, _ADDRESS_AT, _LENGTH_AT = 4, 16, 24
# io_uring_cqe: the request's place, and the bytes sent or an error below zero.
_RESULT_BYTES, _PLACE_AT, _SENT_AT = 16, 0, 8

log = structlog.get_logger()

Message = tuple["array[int]", bytes]
"""Descriptors, and the bytes for all of them."""


class BulkSender:
    """Sends from the thread that made it, and from no other."""

    def __init__(self, most: int) -> None:
        """Make the queues for at most so many sockets in one call.

        Raises:
            OSError: the system has no io_uring, one from before Linux 6.1, or does not let this
                process use it.
        """
        known = sys.platform == "linux" and platform.machine() in _MACHINES
        if not known or ctypes.sizeof(ctypes.c_void_p) < 8:
            raise OSError(errno.ENOSYS, "known on 64-bit Linux only")
        self.most = most
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype, self._syscall.argtypes = ctypes.c_long, [ctypes.c_long] * 7
        made = bytearray(_PARAMETERS_BYTES)
        struct.pack_into("=I", made, _FLAGS_AT, _SUBMIT_ALL | _SINGLE_ISSUER | _DEFER_TASKRUN)
        address = ctypes.addressof(ctypes.c_char.from_buffer(made))
        self._ring = self._call(_IO_URING_SETUP, most, address)
        try:
            self._share_rings(made)
            self._share_requests(made)
        except BaseException:
            self.close()
            raise

    def _share_rings(self, made: bytearray) -> None:
        requests, results = _LENGTHS.unpack_from(made)
        taken, submitted, places_at = _REQUEST_RING.unpack_from(made, _REQUEST_RING_AT)
        seen, done, results_at = _RESULT_RING.unpack_from(made, _RESULT_RING_AT)
        places_end, end = places_at + requests * 4, results_at + results * _RESULT_BYTES
        memory = memoryview(mmap.mmap(self._ring, max(end, places_end), offset=_RINGS_AT))
        words = memory.cast("I")
        # The process says to where requests are submitted and results seen; the kernel, to where
        # requests are taken and results done.
        self._submitted, self._taken = _word(words, submitted), _word(words, taken)
        self._seen, self._done = _word(words, seen), _word(words, done)
        self._sent = _field("i", memory[results_at:end], _RESULT_BYTES, _SENT_AT)
        self._places = _field("i", memory[results_at:end], _RESULT_BYTES, _PLACE_AT)
        # Requests could be taken in another order than they lie there.
        words[places_at // 4 : places_end // 4] = array("I", range(requests))

    def _share_requests(self, made: bytearray) -> None:
        """Fill in what never changes: the operation, its flags and the request's place."""
        requests, _ = _LENGTHS.unpack_from(made)
        memory = memoryview(mmap.mmap(self._ring, requests * _REQUEST.size, offset=_REQUESTS_AT))
        flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
        for place in range(requests):
            _REQUEST.pack_into(memory, place * _REQUEST.size, _SEND, -1, 0, 0, flags, place)
        self._descriptors = _field("i", memory, _REQUEST.size, _DESCRIPTOR_AT)
        self._addresses = _field("Q", memory, _REQUEST.size, _ADDRESS_AT)
        self._lengths = _field("i", memory, _REQUEST.size, _LENGTH_AT)
        buffer = ctypes.create_string_buffer(LONGEST)
        self._data, self._data_at = memoryview(buffer).cast("B"), ctypes.addressof(buffer)

    def close(self) -> None:
        """Give up the queues; their memory, with two descriptors, goes with this object."""
        os.close(self._ring)

    def send(self, messages: Sequence[Message]) -> list[tuple[int, int, int]]:
        """Send each message to each of its at most `most` descriptors, in order.

        Returns the message's index, the descriptor's index in it and the number of bytes that were
        sent, for those that did not take everything. A descriptor that is not open, or negative, is
        one of them.
        """
        short: list[tuple[int, int, int]] = []
        first = number = size = 0
        for index, (descriptors, data) in enumerate(messages):
            number += len(descriptors)
            size += len(data)
            if number > self.most or size > LONGEST:
                short += self._send_some(messages, first, index)
                first, number, size = index, len(descriptors), len(data)
        return short + self._send_some(messages, first, len(messages))

    def _send_some(
        self, messages: Sequence[Message], first: int, end: int
    ) -> list[tuple[int, int, int]]:
        """Send some of the messages, as many as fit into one call."""
        descriptors, begin = array("i"), self._data_at
        # Of many small rooms each is a few bytes here: an array for each would be dearer.
        addresses: list[bytes] = []
        lengths: list[bytes] = []
        for each, data in messages[first:end]:
            number, size = len(each), len(data)
            descriptors += each
            addresses.append(_ADDRESS.pack(begin) * number)
            lengths.append(_LENGTH.pack(size) * number)
            begin += size
        together = b"".join([data for _, data in messages[first:end]])
        self._data[: len(together)] = together
        short = self._ask(
            descriptors, array("Q", b"".join(addresses)), array("i", b"".join(lengths))
        )
        if not short:
            return []
        owners = [(index, n) for index in range(first, end) for n in range(len(messages[index][0]))]
        return [(*owners[number], sent) for number, sent in short]

    def send_each(
        self, descriptors: "array[int]", ends: Sequence[int], data: bytes
    ) -> list[tuple[int, int]]:
        """Send to each of at most `most` descriptors a piece of its own.

        The pieces lie one behind the other, `ends` says where each ends; at most `LONGEST` bytes in
        all. Returns the descriptor's index and the number of bytes that were sent, for those that
        did not take everything.
        """
        self._data[: len(data)] = data
        begins = array("Q", ends[:-1])
        begins.insert(0, 0)
        addresses = array("Q", [self._data_at + begin for begin in begins])
        lengths = array("i", map(operator.sub, ends, begins))
        return self._ask(descriptors, addresses, lengths)

    def _ask(
        self, descriptors: "array[int]", addresses: "array[int]", lengths: "array[int]"
    ) -> list[tuple[int, int]]:
        """Have the kernel send what lies there; return who did not take all, and how much."""
        position, done = self._submitted[0], self._done[0]
        _put(self._descriptors, position, descriptors)
        _put(self._addresses, position, addresses)
        _put(self._lengths, position, lengths)
        taken = self._submit(position, len(descriptors))
        self._wait(done, taken)
        sent = _get(self._sent, done, taken)
        all_taken = sent == lengths
        places = array("i") if all_taken else _get(self._places, done, taken)
        self._seen[0] = self._done[0]
        if all_taken:
            return []
        # Before Linux 6.2 those that failed come first.
        numbers = [(place - position) % len(self._lengths) for place in places]
        took = dict(zip(numbers, sent, strict=True))
        return [
            (number, max(took.get(number, 0), 0))
            for number, length in enumerate(lengths)
            if took.get(number, 0) != length
        ]

    def _submit(self, position: int, number: int) -> int:
        """Return how many requests the kernel took: fewer where it has no memory."""
        self._submitted[0] = (position + number) % _POSITIONS
        with contextlib.suppress(OSError):
            self._call(_IO_URING_ENTER, self._ring, number, number, _WAIT_FOR_RESULTS)
        # The others are as if they had never been there.
        self._submitted[0] = self._taken[0]
        return (self._taken[0] - position) % _POSITIONS

    def _wait(self, done: int, number: int) -> None:
        """Wait until the kernel is done with all it took: it reads the data until then."""
        while (missing := number - (self._done[0] - done) % _POSITIONS) > 0:
            with contextlib.suppress(InterruptedError):
                self._call(_IO_URING_ENTER, self._ring, 0, missing, _WAIT_FOR_RESULTS)

    def _call(self, *arguments: int) -> int:
        result: int = self._syscall(*arguments, *_NO_MORE)
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result


def open_bulk_sender(most: int) -> BulkSender | None:
    """Return a sender that was seen to work, None where the system has none to give."""
    try:
        with contextlib.ExitStack() as stack:
            sender = BulkSender(most)
            stack.callback(sender.close)
            _prove(sender)
            stack.pop_all()
    except OSError as error:
        log.info(
            "no io_uring: rooms are written to one connection at a time", reason=error.strerror
        )
        return None
    log.debug("io_uring: rooms are written to with one system call")
    return sender


def _prove(sender: BulkSender) -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        theirs.setblocking(False)
        short = sender.send([(array("i", (-1, mine.fileno())), b"greenroom")])
        if short != [(0, 0, 0)] or theirs.recv(16) != b"greenroom":
            raise OSError(errno.EPROTO, "a message that was sent did not arrive")


def _word(words: "memoryview[int]", at: int) -> "memoryview[int]":
    return words[at // 4 :]


def _field(kind: str, memory: "memoryview[int]", size: int, at: int) -> "memoryview[int]":
    """Return one field of all the structures of that size that lie in the memory."""
    words: memoryview[int] = memory.cast(kind)  # type: ignore[call-overload]  # it wants a literal
    return words[at // words.itemsize :: size // words.itemsize]


def _put(queue: "memoryview[int]", position: int, values: "array[int]") -> None:
    """Write to the places from a position on, over the end and from the beginning."""
    begin = position % len(queue)
    before_end = len(queue) - begin
    queue[begin : begin + len(values)] = values[:before_end]
    rest = values[before_end:]
    queue[: len(rest)] = rest


def _get(queue: "memoryview[int]", position: int, number: int) -> "array[int]":
    """Read the places from a position on, over the end and from the beginning."""
    begin = position % len(queue)
    values = array("i", queue[begin : begin + number].tobytes())
    return values + array("i", queue[: number - len(values)].tobytes())
