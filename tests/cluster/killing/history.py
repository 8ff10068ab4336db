"""What clients of a cluster did and saw, for the invariants; times are of one monotonic clock."""

import time

import msgspec

from greenroom.client.api.errors import IvschatError

UNKNOWN = 0
"""The status of what got no answer."""


class View(msgspec.Struct):
    """One connection to a room: what it was shown, in its order."""

    room: str
    user: str
    node: str
    opened: float
    ids: list[str]
    closed: float | None = None
    """None: it is still open."""
    moderates: bool = False
    """Whether who has it may moderate, and asked for events."""


class Send(msgspec.Struct):
    """A message that somebody sent, and what came of it."""

    room: str
    node: str
    request_id: str
    length: int
    started: float
    ended: float | None = None
    status: int = UNKNOWN
    """200 when it was acknowledged, else the code of the error."""
    ended_ns: int = 0
    """When it ended, by the servers' clock, which is the machine's."""
    text: str = ""
    """What the error says."""


class Redeem(msgspec.Struct):
    """A token that was shown to a node."""

    token: str
    node: str
    started: float
    ended: float
    status: int
    """101 when it opened a connection."""


class Call(msgspec.Struct):
    """A call of the API."""

    operation: str
    node: str
    subject: str
    started: float
    ended: float | None = None
    status: int = UNKNOWN
    """200 when it was done, UNKNOWN when it may have been."""
    result: str = ""
    started_ns: int = 0
    ended_ns: int = 0
    """When, by the servers' clock, which is the machine's: in an hour that drifts, or is set."""

    @property
    def done(self) -> bool:
        """Return whether it was done."""
        return self.status == 200

    @property
    def refused(self) -> bool:
        """Return whether it was surely not done."""
        return self.status >= 400


class History:
    """All that happened in one run."""

    def __init__(self) -> None:
        self._began, self._began_ns = time.monotonic(), time.time_ns()
        self.views: list[View] = []
        self.sends: list[Send] = []
        self.redeems: list[Redeem] = []
        self.calls: list[Call] = []
        self.events: list[str] = []
        self.apart: list[tuple[float, float]] = []
        """From when to when a server of NATS was cut off from the others."""

    def now(self) -> float:
        """Return seconds since the run began."""
        return time.monotonic() - self._began

    def wall_ns(self, at: float) -> int:
        """Return what the servers' clock, which is the machine's, showed at a time."""
        return self._began_ns + int(at * 1e9)

    def tell(self, event: str) -> None:
        """Note what was done to the cluster."""
        self.events.append(f"{self.now():7.2f}  {event}")

    def calls_of(self, *operations: str) -> list[Call]:
        """Return the calls of some operations, in the order of their beginnings."""
        found = [call for call in self.calls if call.operation in operations]
        return sorted(found, key=lambda call: call.started)


def status_of(error: IvschatError) -> int:
    """Return the status of an answer that refuses, UNKNOWN when none came."""
    return error.status_code or UNKNOWN
