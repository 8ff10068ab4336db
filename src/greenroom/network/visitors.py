"""Connections from accept to end: how many there are, from where, and how fast new ones come.

- A visit is unfinished until its first request was read or its upgrade was accepted. Nobody needs
  more than a moment for that, so where too many are unfinished the oldest is let go: one who
  dawdles makes place for others.
- Everything is counted by address; a /64 of IPv6 is one. The loopback address and trusted proxies,
  behind which are many clients, have no limits of their own.
- The tables hold what is connected now, and who came in the last second.
- Limits of 0 are none. The clock is an argument.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from enum import StrEnum

import msgspec

from greenroom.network import addresses
from greenroom.network.forwarded import Headers, Origin, TrustedProxies

RECENT_ADDRESSES = 65_536
"""Addresses whose new connections are counted within one second; further ones are not."""


class VisitorLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds; see the settings table for the defaults."""

    connections: int = 0
    connections_per_address: int = 0
    a_second: int = 0
    a_second_per_address: int = 0
    unfinished: int = 0
    unfinished_per_address: int = 0


class Excess(StrEnum):
    """Which bound a connection broke: names in logs and metrics."""

    NODE = "connections_per_node"
    ADDRESS = "connections_per_address"
    RATE = "new_connections_per_second"
    ADDRESS_RATE = "new_connections_per_second_per_address"
    UNFINISHED = "unfinished_connections"
    ADDRESS_UNFINISHED = "unfinished_connections_per_address"


class Refused(Exception):
    """The connection is not wanted."""

    def __init__(self, excess: Excess) -> None:
        self.excess = excess


class Visit:
    """One connection that was not turned away. `let_go` is called when it must make place.

    `is_held` says that there is a protocol that will be told of the connection's end;
    `is_relayed`, that a trusted proxy passes on what somebody sends of whom it told nothing.
    """

    __slots__ = ("address", "is_held", "is_relayed", "let_go", "unfinished")

    def __init__(self, address: bytes) -> None:
        self.address = address
        self.is_held = False
        self.is_relayed = False
        self.let_go: Callable[[], None] | None = None
        self.unfinished = True


class Visitors:
    """The connections of this node."""

    def __init__(
        self,
        limits: VisitorLimits = VisitorLimits(),  # noqa: B008 - has nothing that changes
        proxies: TrustedProxies = TrustedProxies(),  # noqa: B008 - has nothing that changes
        count: Callable[[Excess, bytes], None] = lambda _excess, _address: None,
    ) -> None:
        """Make an empty node; `count` is told of every bound that was met, and by which address.

        A bound on all addresses is met by nobody in particular: the address is then unknown.
        """
        self.proxies = proxies
        self._limits = limits
        self._count = count
        self._present: Counter[bytes] = Counter()
        self._total = 0
        self._unfinished: OrderedDict[Visit, None] = OrderedDict()
        self._unfinished_of: Counter[bytes] = Counter()
        self._recent: Counter[bytes] = Counter()
        self._second = 0
        self._free = float("-inf")
        self._last = addresses.UNKNOWN

    @property
    def total(self) -> int:
        """How many connections there are."""
        return self._total

    @property
    def unfinished(self) -> int:
        """How many of them have not finished a request or an upgrade."""
        return len(self._unfinished)

    def delay(self, now: float, patience: float = float("inf")) -> float:
        """Return how many seconds the connection that just came must wait; call it once for each.

        A second's worth may come at once. A turn later than `patience` seconds is not kept: else
        everybody would wait for the turns of a flood that has long been over.

        Raises:
            Refused: the turn would be too late; the connection is still counted.
        """
        rate = self._limits.a_second
        if not rate:
            return 0.0
        turn = max(self._free, now - 1) + 1 / rate
        if turn > now:
            self._count(Excess.RATE, addresses.UNKNOWN)
        if turn > now + patience:
            raise Refused(Excess.RATE)
        self._free = turn
        return max(0.0, turn - now)

    def enter(self, address: bytes, now: float) -> Visit:
        """Count a connection that was accepted.

        Raises:
            Refused: it is to be closed; nothing was counted.
        """
        if address == self._last:
            # Those who come from one place one after another share the bytes.
            address = self._last
        self._last = address
        site = addresses.site(address)
        self._check(address, site, now)
        visit = Visit(address)
        self._unfinished[visit] = None
        self._unfinished_of[site] += 1
        self._add(site)
        self._make_place()
        return visit

    def enter_behind_proxy(self, visit: Visit, address: bytes, now: float) -> None:
        """Count a connection as the client's whose address a trusted proxy has told.

        Raises:
            Refused: it is to be refused; it still counts as the proxy's.
        """
        site = addresses.site(address)
        self._check(address, site, now)
        unfinished, let_go = visit.unfinished, visit.let_go
        self.leave(visit)
        visit.address = address
        visit.unfinished, visit.let_go = unfinished, let_go
        if unfinished:
            self._unfinished[visit] = None
            self._unfinished_of[site] += 1
        self._add(site)

    def origin(self, visit: Visit, headers: Headers) -> Origin:
        """Return where a request of the connection came from; header names are lower-case."""
        if visit.is_relayed:
            return Origin(visit.address)
        return self.proxies.origin(visit.address, headers)

    def origin_of(self, address: bytes) -> bytes:
        """Return an address if one client has it; unknown where many do, and none has limits."""
        if addresses.is_loopback(address) or (self.proxies and address in self.proxies):
            return addresses.UNKNOWN
        return address

    def finish(self, visit: Visit) -> None:
        """Note that the visit has shown what it wants."""
        if visit.unfinished:
            visit.unfinished = False
            visit.let_go = None
            self._unfinished.pop(visit, None)
            _subtract(self._unfinished_of, addresses.site(visit.address))

    def leave(self, visit: Visit) -> None:
        """Forget a connection that has ended."""
        self.finish(visit)
        self.leave_finished(visit.address)

    def leave_finished(self, address: bytes) -> None:
        """Forget a connection from the address whose visit was finished."""
        self._total -= 1
        _subtract(self._present, addresses.site(address))

    def _add(self, site: bytes) -> None:
        self._total += 1
        self._present[site] += 1

    def _check(self, address: bytes, site: bytes, now: float) -> None:
        limits, excess = self._limits, None
        most = limits.connections and limits.connections + limits.unfinished
        if most and self._total >= most:
            excess = Excess.NODE
        elif (most := limits.connections_per_address) and self._present[site] >= most:
            excess = Excess.ADDRESS
        elif (most := limits.unfinished_per_address) and self._unfinished_of[site] >= most:
            excess = Excess.ADDRESS_UNFINISHED
        elif (most := limits.a_second_per_address) and self._came(site, now) >= most:
            excess = Excess.ADDRESS_RATE
        if excess is not None and (excess is Excess.NODE or self.origin_of(address)):
            self._count(excess, address)
            raise Refused(excess)

    def _came(self, site: bytes, now: float) -> int:
        """Count one who comes; return how many came from there before within this second."""
        if int(now) != self._second:
            self._second = int(now)
            self._recent.clear()
        before = self._recent[site]
        if before or len(self._recent) < RECENT_ADDRESSES:
            self._recent[site] = before + 1
        return before

    def _make_place(self) -> None:
        most = self._limits.unfinished
        if most and len(self._unfinished) > most:
            oldest = next(iter(self._unfinished))
            let_go = oldest.let_go
            self.finish(oldest)
            self._count(Excess.UNFINISHED, oldest.address)
            if let_go is not None:
                let_go()


def _subtract(counter: Counter[bytes], key: bytes) -> None:
    """Subtract one; a key without any is forgotten."""
    if counter[key] > 1:
        counter[key] -= 1
    else:
        del counter[key]
