"""Writes to many encrypted connections: records of their own, sent with one system call.

All connections of a port encrypt into one buffer (see `tls.keys`). So the records of a slice lie
one behind the other in it, and the kernel is given where each begins. Where a record ends is read
from the buffer after each: OpenSSL puts an answer that it owes to a peer before the next record,
and dividing by the number of connections would then cut all others in the wrong place.
"""

import os
import ssl
from array import array

from greenroom.messaging.bulk_sender import FEWEST, BulkSender
from greenroom.messaging.members import SealedPart
from greenroom.tls.keys import RECORD_BYTES

SLICE_BYTES = 131_072
"""Records that are encrypted before they are sent: they are still in the processor's cache then."""

AROUND = 90
"""Bytes that a record may have around what it carries, what is owed to the peer included."""


class SealedSender:
    """Encrypts and sends; nothing awaits."""

    def __init__(self, sender: BulkSender | None) -> None:
        """Make it; `sender` writes to many sockets with one system call, where there is one."""
        self._sender = sender
        self._most = SLICE_BYTES if sender is None else sender.most
        # What is encrypted and not sent: to whom, and where each piece ends in the buffer.
        self._descriptors = array("i")
        self._ends: list[int] = []
        self._pieces: list[tuple[SealedPart, int, int]] = []

    def send(self, messages: list[tuple[SealedPart, bytes]]) -> None:
        """Write each message to each connection of its part."""
        for part, data in messages:
            if len(data) > RECORD_BYTES:
                # Several records: encrypted and sent one connection after the other, all of them
                # by the same buffer, in which nothing of others may be.
                self._flush()
                for connection in part.connections:
                    connection.write(data)
            else:
                self._encrypt(part, data)
        self._flush()

    def _encrypt(self, part: SealedPart, data: bytes) -> None:
        first, number, size = 0, len(part.connections), len(data) + AROUND
        while first < number:
            made = self._ends[-1] if self._ends else 0
            room = min((SLICE_BYTES - made) // size, self._most - len(self._ends))
            if room <= 0:
                self._flush()
                continue
            end = min(first + room, number)
            self._encrypt_some(part, first, end, data)
            first = end

    def _encrypt_some(self, part: SealedPart, first: int, end: int, data: bytes) -> None:
        outgoing, note = part.transports[first].keys.outgoing, self._ends.append
        self._descriptors += part.descriptors[first:end]
        self._pieces.append((part, first, end))
        writes = iter(part.writes[first:end])
        while True:
            try:
                for write in writes:
                    write(data)
                    note(outgoing.pending)
            except (ssl.SSLError, OSError):
                # It has ended, and its transport will say so: nothing is sent to it.
                note(outgoing.pending)
            else:
                return

    def _flush(self) -> None:
        """Send what is encrypted; what a socket does not take goes through its transport."""
        if not self._ends:
            return
        descriptors, ends, pieces = self._descriptors, self._ends, self._pieces
        self._descriptors, self._ends, self._pieces = array("i"), [], []
        part, first, _ = pieces[0]
        records = part.transports[first].keys.outgoing.read()
        if self._sender is None or len(ends) < FEWEST:
            short = _send_each(descriptors, ends, records)
        else:
            short = self._sender.send_each(descriptors, ends, records)
        if not short:
            return
        owners = [
            part.transports[index] for part, first, end in pieces for index in range(first, end)
        ]
        for number, sent in short:
            begin = ends[number - 1] if number else 0
            owners[number].push(records[begin + sent : ends[number]])


def _send_each(descriptors: "array[int]", ends: list[int], records: bytes) -> list[tuple[int, int]]:
    """Send pieces one by one; return whose was not taken whole, and how much of it was."""
    short: list[tuple[int, int]] = []
    begin = 0
    for number, end in enumerate(ends):
        try:
            sent = os.write(descriptors[number], records[begin:end]) if end > begin else 0
        except OSError:
            # The kernel's buffer is full, or the peer is gone.
            sent = 0
        if sent != end - begin:
            short.append((number, sent))
        begin = end
    return short
