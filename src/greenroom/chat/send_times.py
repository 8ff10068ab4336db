"""When what is published in a room was sent, as its frame says.

Send times strictly increase in a room's order, also when the clock is corrected by up to a second,
or when other nodes have others. They follow a clock that was set back further.
"""

import structlog

from greenroom.bus.base import Before, RoomLine
from greenroom.clock import SMALL_STEP_NS, Clock, is_set_back

log = structlog.get_logger()


class SendTimes:
    """Gives what comes next in a room its time."""

    def __init__(self, clock: Clock, line: RoomLine) -> None:
        self._clock = clock
        self._line = line

    def following(self, before: Before) -> int:
        """Return the time behind what stands before, in nanoseconds since the epoch."""
        now, last = self._clock.wall_ns(), before.time_ns
        if now <= last:
            if is_set_back(last, now, SMALL_STEP_NS + self._line.skew_ns):
                seconds = round((last - now) / 1e9, 3)
                log.warning("the clock was set back: send times follow it", seconds=seconds)
            else:
                now = last + 1
        return now
