"""What was sent and what came of it, message by message.

- A message's position is its place in the room's order, as the first client that receives it sees
  it. Every client must see the positions 0, 1, 2 and so on: what differs is lost, repeated or
  reordered. One publisher's messages must have positions in the order in which it sent them.
- Other frames of the room are none of ours and do not count.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from greenroom.cli.bench.result import Latencies

_MAXIMUM_PAYLOADS = 4096
FOREIGN = -1
"""The position of what was not sent by this measurement."""


class _Frame(msgspec.Struct, rename="pascal", gc=False):
    type: str = ""
    request_id: str = ""
    error_code: int = 0


_DECODER = msgspec.json.Decoder(_Frame)


class Ledger:
    """The messages of one measurement. Times are nanoseconds of one monotonic clock."""

    def __init__(self, run: str) -> None:
        self._prefix = f"{run}/"
        self.latencies = Latencies()
        self.refused: Counter[str] = Counter()
        self.received = 0
        self.repeated = 0
        self.reordered = 0
        self.first_sent = 0
        self.last_received = 0
        self._sent: list[tuple[int, int]] = []
        self._last_of_publisher: Counter[int] = Counter()
        self._refused_numbers: set[int] = set()
        # By position: when the message was sent.
        self._sent_at: list[int] = []
        self._positions: dict[int, int] = {}
        # Every client receives the same bytes: they are decoded once.
        self._payloads: dict[bytes, int] = {}

    @property
    def sent(self) -> int:
        """How many messages were sent."""
        return len(self._sent)

    @property
    def accepted(self) -> int:
        """How many messages were sent and not refused: what every client must receive."""
        return len(self._sent) - len(self._refused_numbers)

    def send(self, publisher: int, now: int) -> str:
        """Note that a publisher sends a message; return its RequestId."""
        number = len(self._sent)
        if not number:
            self.first_sent = now
        self._sent.append((publisher, now))
        return f"{self._prefix}{number}"

    def position(self, payload: bytes) -> int:
        """Return the position of the message in a frame, or FOREIGN."""
        position = self._payloads.get(payload)
        if position is None:
            position = self._read(payload)
            if len(self._payloads) >= _MAXIMUM_PAYLOADS:
                del self._payloads[next(iter(self._payloads))]
            self._payloads[payload] = position
        return position

    def receive(self, position: int, now: int) -> None:
        """Count a message that a client received for the first time."""
        self.received += 1
        self.last_received = now
        self.latencies.add(now - self._sent_at[position])

    def _read(self, payload: bytes) -> int:
        try:
            frame = _DECODER.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return FOREIGN
        number = self._number(frame.request_id)
        if frame.type == "ERROR":
            self._refuse(number, frame.error_code)
        elif frame.type == "MESSAGE" and number is not None:
            return self._place(number)
        return FOREIGN

    def _number(self, request_id: str) -> int | None:
        prefix, number = self._prefix, request_id.removeprefix(self._prefix)
        if not request_id.startswith(prefix) or not number.isdecimal():
            return None
        return int(number) if int(number) < len(self._sent) else None

    def _refuse(self, number: int | None, code: int) -> None:
        """Count an ERROR; one that names no message of ours leaves all of them expected."""
        self.refused[str(code)] += 1
        if number is not None:
            self._refused_numbers.add(number)

    def _place(self, number: int) -> int:
        position = self._positions.get(number)
        if position is None:
            position = self._positions[number] = len(self._sent_at)
            publisher, sent_at = self._sent[number]
            self._sent_at.append(sent_at)
            if number < self._last_of_publisher[publisher]:
                self.reordered += 1
            self._last_of_publisher[publisher] = number
        return position


class Sight:
    """What one client has seen of the positions."""

    __slots__ = ("_missing", "_next", "ledger")

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._next = 0
        self._missing: set[int] | None = None

    @property
    def seen(self) -> int:
        """How many messages the client received, each counted once."""
        return self._next - len(self._missing or ())

    def see(self, position: int, now: int) -> None:
        """Take the next message that the client received."""
        if position == self._next:
            self._next = position + 1
            self.ledger.receive(position, now)
        elif position != FOREIGN:
            self._see_odd(position, now)

    def _see_odd(self, position: int, now: int) -> None:
        missing = self._missing if self._missing is not None else set()
        self._missing = missing
        if position > self._next:
            missing.update(range(self._next, position))
            self._next = position + 1
        elif position in missing:
            missing.remove(position)
            self.ledger.reordered += 1
        else:
            self.ledger.repeated += 1
            return
        self.ledger.receive(position, now)


def lost(accepted: int, sights: Iterable[Sight]) -> int:
    """Return how many deliveries are missing of so many messages to so many clients."""
    return sum(max(accepted - sight.seen, 0) for sight in sights)
