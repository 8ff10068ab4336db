"""Who was disconnected lately: what he had sent, and still waits for its place, is not published.

On several nodes a message may wait on one while another disconnects its sender.
"""

from collections import OrderedDict

MAXIMUM = 10_000
"""Users at once; at the bound the one that was disconnected first is forgotten."""


class Kicks:
    """Counts disconnections, and knows the last one of each user in a room."""

    def __init__(self, maximum: int = MAXIMUM) -> None:
        self._maximum = maximum
        self.count = 0
        self._last: OrderedDict[tuple[str, str], int] = OrderedDict()

    def note(self, room: str, user_id: str) -> None:
        """Take note that a user is disconnected from a room, named by its ARN."""
        self.count += 1
        self._last[room, user_id] = self.count
        self._last.move_to_end((room, user_id))
        if len(self._last) > self._maximum:
            self._last.popitem(last=False)

    def have_met(self, room: str, user_id: str, since: int) -> bool:
        """Return whether a user was disconnected from a room after `count` was `since`."""
        return self.count != since and self._last.get((room, user_id), 0) > since
