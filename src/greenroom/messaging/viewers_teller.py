"""Tells those who asked for events how many are in their room, when that has changed enough.

Each node tells its own connections, of what it knows of all nodes, once a second at most; who comes
is told exactly by the first frame. What is told is within `ENOUGH` of the truth after
`PAUSE_SECONDS`.
"""

from greenroom.bus.base import Audience, Deliver
from greenroom.chat.occupancy import Occupancy
from greenroom.clock import Clock
from greenroom.messaging.hub import Hub
from greenroom.messaging.members import Members
from greenroom.model.message import IdSource
from greenroom.protocol import events

TICK_SECONDS = 1.0

PAUSE_SECONDS = 5.0
"""From one event to the next in a room, at least."""

ENOUGH = 100
"""What one part in so many of a number is, at least one: a change that is told."""

OPERATION = "GetRoomState"
"""What metrics call it."""


class ViewersTeller:
    """Looks at the rooms of this node in which somebody asked for events."""

    def __init__(self, hub: Hub, clock: Clock, ids: IdSource) -> None:
        self._hub = hub
        self._clock = clock
        self._ids = ids

    def tick(self) -> None:
        """Tell what has changed enough since it was told last."""
        occupancies, now = self._hub.elsewhere.occupancies(), self._clock.monotonic()
        for room_arn, members in self._hub.with_events():
            found = occupancies.of(room_arn)
            due = now >= members.viewers_at + PAUSE_SECONDS
            if due and has_changed(members.viewers_told, found):
                members.viewers_told, members.viewers_at = found, now
                self._tell(members, found)

    def _tell(self, members: Members, found: Occupancy) -> None:
        attributes = {"Connections": str(found.connections), "Users": str(found.users)}
        payload = events.encode_event(
            self._ids(), "", events.VIEWERS, attributes, self._clock.wall_ns()
        )
        self._hub.fanout.show(members, [Deliver(payload, OPERATION, Audience.EVENTS)])


def has_changed(before: Occupancy | None, now: Occupancy) -> bool:
    """Return whether a change is to be told: of the connections or of the users."""
    if before is None:
        return True
    numbers = ((before.connections, now.connections), (before.users, now.users))
    return any(abs(old - new) * ENOUGH >= max(old, 1) for old, new in numbers if old != new)
