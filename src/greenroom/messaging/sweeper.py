"""One timer for all connections: pings, silent peers and expired sessions.

- Connections are spread over the seconds of the ping interval; each second sees one slot.
- A connection is pinged once per interval. One that leaves two pings unanswered, and sends
  nothing else, is dropped at the third visit: its peer is gone or half open.
- Sessions expire at the first tick after their end: never early, at most a second late.
"""

from typing import Protocol

from greenroom.clock import Clock


class Swept(Protocol):
    """What the sweeper needs of a connection."""

    heard: bool
    """Set by the connection when bytes arrive; taken back by the sweeper."""

    missed: int
    """Ping intervals in a row without a sign of life."""

    def ping(self) -> None:
        """Send a ping."""

    def drop_silent(self) -> None:
        """Let go of a peer that no longer answers."""

    def expire(self) -> None:
        """End the session, whose time is over."""


TICK_SECONDS = 1
"""How often `Sweeper.tick` is to be called."""


class Sweeper:
    """Calls on each connection when its time has come. Driven by `tick`, once a second."""

    MISSED_INTERVALS = 2

    def __init__(self, clock: Clock, ping_interval: int) -> None:
        self._clock = clock
        self._slots: list[set[Swept]] = [set() for _ in range(ping_interval)]
        self._next_slot = 0
        self._expiries: dict[int, dict[Swept, int]] = {}

    def add(self, connection: Swept, expires_ms: int) -> int:
        """Watch a connection; return the slot to give back to `remove`."""
        # Spread over the interval: the slot just passed is visited a whole interval from now.
        slot = hash(connection) // 16 % len(self._slots)
        self._slots[slot].add(connection)
        self._expiries.setdefault(expires_ms // 1000, {})[connection] = expires_ms
        return slot

    def remove(self, connection: Swept, slot: int, expires_ms: int) -> None:
        """Watch it no longer."""
        self._slots[slot].discard(connection)
        second = expires_ms // 1000
        bucket = self._expiries.get(second)
        if bucket is not None and bucket.pop(connection, None) is not None and not bucket:
            del self._expiries[second]

    def tick(self) -> None:
        """Visit the next slot and the sessions that expired since the last tick."""
        slot = self._slots[self._next_slot]
        self._next_slot = (self._next_slot + 1) % len(self._slots)
        for connection in tuple(slot):
            _visit(connection)
        self._expire(self._clock.now_ms())

    def _expire(self, now_ms: int) -> None:
        this_second = now_ms // 1000
        for second in [each for each in self._expiries if each <= this_second]:
            bucket = self._expiries.get(second, {})
            for connection in [each for each, expires in bucket.items() if expires <= now_ms]:
                if bucket.pop(connection, None) is not None:
                    connection.expire()
            if not bucket:
                self._expiries.pop(second, None)


def _visit(connection: Swept) -> None:
    if connection.heard:
        connection.heard = False
        connection.missed = 0
    else:
        connection.missed += 1
    if connection.missed >= Sweeper.MISSED_INTERVALS:
        connection.drop_silent()
    else:
        connection.ping()
