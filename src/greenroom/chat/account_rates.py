"""What accounts do over all nodes: each node tells ten times a second what was done there.

A rate holds on each node at once, and over all of them when they have heard of each other: what
others let through is taken here, too, also if there is nothing left. So N nodes that are asked at
the same moment let through N bursts at most; then nothing, until as much has passed as the rate
allows. What is lost on the way, or was done on a node that was cut off, counts there alone.
"""

from collections.abc import Sequence

import msgspec

from greenroom.bus.base import About, Peers
from greenroom.clock import Clock
from greenroom.rate import SharedBuckets

TELL_SECONDS = 0.1
"""Seconds between two summaries of a node."""

AT_ONCE = 1_000
"""Rates that one summary tells of: about 200 kB, below what a bus takes as one message."""

MOST = 1_000_000
"""The highest rate, and the most that one is told to have been used: more is a mistake."""


class Taken(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How often something was done: by its kind and key, beside the rate that it has there."""

    kind: str
    key: tuple[str, ...]
    rate: float
    times: float


class Summary(msgspec.Struct, frozen=True, array_like=True):
    """What a node tells."""

    node: str
    taken: Sequence[Taken]


class AccountRates:
    """Has the buckets of one node told to the others, and theirs taken off here."""

    def __init__(self, peers: Peers, node: str, clock: Clock) -> None:
        """Make it without buckets; no two nodes have the same name."""
        self._peers = peers
        self._node = node
        self._clock = clock
        self._kinds: dict[str, SharedBuckets[tuple[str, ...]]] = {}
        self.unreadable = 0
        """Summaries that were none."""
        peers.on_announcement(self.receive, About.RATES)

    def buckets(self, kind: str, most: int) -> SharedBuckets[tuple[str, ...]]:
        """Return new buckets, which all nodes have under this name."""
        made = self._kinds[kind] = SharedBuckets[tuple[str, ...]](most)
        return made

    def tick(self) -> None:
        """Tell what was done since the last time, if anything was."""
        taken = [
            Taken(kind, *each) for kind, buckets in self._kinds.items() for each in buckets.told()
        ]
        for start in range(0, len(taken), AT_ONCE):
            summary = Summary(self._node, taken[start : start + AT_ONCE])
            self._peers.announce(_encode(summary), About.RATES)

    def receive(self, payload: bytes) -> None:
        """Take in what a node has told, if it is another one."""
        try:
            summary = _decode(payload)
        except (msgspec.MsgspecError, ValueError):
            self.unreadable += 1
            return
        if summary.node == self._node:
            return
        now = self._clock.monotonic()
        for each in summary.taken:
            buckets = self._kinds.get(each.kind)
            # What is no number is not within any bounds either.
            if buckets is not None and 0 < each.rate <= MOST and -MOST <= each.times <= MOST:
                buckets.taken_elsewhere(each.key, each.rate, each.times, now)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Summary).decode
