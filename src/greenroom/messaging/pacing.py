"""Whether a busy room waits before it is written to, so that one write carries several frames.

Waiting pays where frames come by themselves: of a hundred a second at random times every write
then carries two. It joins nothing where who sends waits for the echo: there each wait only slows
the talk down. Which of the two it is nobody says, so it is tried:

- A room is patient until some waits in a row have brought nothing. One wait or two prove nothing:
  at random times 42 of a hundred bring nothing at a hundred messages a second.
- Then it writes at once for a few flushes, and tries again; each failed try doubles how many. So
  chance costs a room little, and a talk of two has one wait in two hundred flushes.
- A single gain makes it as patient as at the beginning.
"""

PATIENCE = 5
"""Waits in a row that may bring nothing before a room stops waiting."""

TRY = 2
"""Waits in a row that may bring nothing when a room tries it again."""

AT_ONCE = 8
"""Flushes at once before the first try."""

AT_ONCE_AT_MOST = 400
"""Flushes at once before a try, however many failed before."""


class Pace:
    """What a room has learned of whether waiting brings more frames."""

    __slots__ = ("_at_once", "_next", "_waits")

    def __init__(self) -> None:
        self._gain()

    def _gain(self) -> None:
        self._waits = PATIENCE
        self._at_once = 0
        self._next = AT_ONCE

    def waits(self) -> bool:
        """Return whether the flush that is due is to wait; what that brings is noted next."""
        if self._waits:
            return True
        if self._at_once:
            self._at_once -= 1
            return False
        self._waits = TRY
        return True

    def note(self, *, gained: bool) -> None:
        """Take note of a wait that is over, and whether it brought more frames."""
        if gained:
            self._gain()
            return
        self._waits -= 1
        if not self._waits:
            self._at_once = self._next
            self._next = min(2 * self._next, AT_ONCE_AT_MOST)
