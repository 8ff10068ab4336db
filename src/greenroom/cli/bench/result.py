"""What a measurement found, as values, as JSON and as lines for people."""

from collections import Counter
from collections.abc import Mapping

import msgspec

_PRECISION = 7
"""Bits that are kept of a time: percentiles are exact to 1 %."""

_MICROSECOND = 1_000
_BUSY = 0.9


class Latencies:
    """Times from sending to receiving, counted in buckets: what is kept does not grow with them."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.maximum = 0
        self.count = 0

    def add(self, nanoseconds: int) -> None:
        """Count one time."""
        microseconds = nanoseconds // _MICROSECOND
        shift = microseconds.bit_length() - _PRECISION
        if shift > 0:
            microseconds = microseconds >> shift << shift
        self._counts[microseconds] += 1
        self.count += 1
        self.maximum = max(self.maximum, nanoseconds)

    def percentile(self, share: float) -> float:
        """Return the milliseconds below or at which a share of the times lies; 0 without any."""
        wanted, passed = share * self.count, 0
        for microseconds in sorted(self._counts):
            passed += self._counts[microseconds]
            if passed >= wanted:
                return microseconds / 1000
        return 0.0

    def summary(self) -> "Latency | None":
        """Return the percentiles; None when nothing was received."""
        if not self.count:
            return None
        p50, p90, p99 = (self.percentile(share) for share in (0.5, 0.9, 0.99))
        return Latency(p50, p90, p99, round(self.maximum / 1e6, 3))


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from sending a message to receiving it."""

    p50: float
    p90: float
    p99: float
    max: float


class Connections(msgspec.Struct, frozen=True):
    """What became of the connections; `refused` counts by status of the answer."""

    asked: int
    opened: int
    lost: int
    per_second: float
    refused: dict[str, int]


class Messages(msgspec.Struct, frozen=True):
    """What was sent; `refused` counts by ErrorCode."""

    asked: int
    sent: int
    publishers: int
    per_second: float
    refused: dict[str, int]


class Deliveries(msgspec.Struct, frozen=True):
    """What came: every message that was not refused is expected on every connection."""

    expected: int
    received: int
    per_second: float
    lost: int
    repeated: int
    reordered: int


class Result(msgspec.Struct, frozen=True):
    """A whole measurement."""

    endpoint: str
    room: str
    seconds: float
    interrupted: bool
    connections: Connections
    messages: Messages
    deliveries: Deliveries
    latency_ms: Latency | None
    client_cpu: float
    """Share of one core that the measuring itself took while messages were sent."""

    @property
    def exact(self) -> bool:
        """Return whether nothing was refused or lost, and all came once and in order."""
        kept = not self.connections.refused and not self.connections.lost
        delivered = self.deliveries
        wrong = delivered.lost + delivered.repeated + delivered.reordered
        return kept and not self.messages.refused and not wrong

    def to_json(self) -> str:
        """Return the result as one indented JSON object."""
        value = msgspec.to_builtins(self) | {"exact": self.exact}
        return msgspec.json.format(msgspec.json.encode(value)).decode()

    def to_text(self) -> str:
        """Return the result as lines for people."""
        lines = [*self._counts(), f"latency      {_latency(self.latency_ms)}"]
        refusals = _refusals("connections", self.connections.refused)
        refusals += _refusals("messages", self.messages.refused)
        lines.append(f"refusals     {'; '.join(refusals) or 'none'}")
        cpu = f"load client  {self.client_cpu:.0%} of a core"
        lines.append(cpu + (": it may be what was measured" if self.client_cpu > _BUSY else ""))
        if self.interrupted:
            lines.append("Ended early: this is the result so far.")
        return "\n".join(lines)

    def _counts(self) -> list[str]:
        connections, messages, deliveries = self.connections, self.messages, self.deliveries
        opened = (
            f"{connections.opened:,} of {connections.asked:,} opened, {connections.lost:,} lost"
        )
        sent = f"{messages.sent:,} of {messages.asked:,} sent, {messages.per_second:,.1f} a second"
        received = f"{deliveries.received:,} of {deliveries.expected:,}"
        wrong = (deliveries.lost, deliveries.repeated, deliveries.reordered)
        return [
            f"connections  {opened}; {connections.per_second:,.0f} a second",
            f"messages     {sent} by {_counted(messages.publishers, 'publisher')}",
            f"deliveries   {received}, {deliveries.per_second:,.0f} a second",
            "faults       {:,} lost, {:,} repeated, {:,} reordered".format(*wrong),
        ]


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return "none: nothing was received"
    shown = msgspec.structs.asdict(latency)
    return "   ".join(f"{name} {value:,.2f} ms" for name, value in shown.items())


def _refusals(what: str, refused: Mapping[str, int]) -> list[str]:
    return [f"{what} {code} x {count:,}" for code, count in sorted(refused.items())]
