"""Scheduled announcements: what a room is told again and again, while somebody writes there.

Times are in milliseconds since the epoch, 0 is never. Each change is applied to all schedules of a
room, one after the other: see `storage.rooms.Rooms.schedule`.
"""

from collections.abc import Sequence

import msgspec

LEAST_SECONDS, LONGEST_SECONDS = 60, 86_400
"""How often one is told: from each minute to each day."""

MOST_SCHEDULES = 10
"""How many a room has."""

PASSED_OVER_MS = 5_000
"""How long what nobody seems to have written behind waits for what other nodes know."""

LATE_MS = 15_000
"""What is told no later than this after it was due keeps its rhythm; else it starts anew."""

CLAIMED_MS = 60_000
"""After this time whoever was about to tell one is taken for dead: it takes a review, and a place
in the room, or half a minute in which a bus does not answer."""

TOLD, PASSED_OVER, REFUSED, UNKNOWN = OUTCOMES = ("told", "passed_over", "refused", "unknown")
"""What becomes of one that is due."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of them. `name` is its own in the room, `seconds` how often it is told.

    `told` and `written` are the send times of the last announcement, and of a message behind it:
    which one does not matter. `claim` is the id of the message with which a node tells it just now,
    since `claimed`.
    """

    name: str
    content: str
    style: str
    seconds: int
    by: str
    created: int
    due: int
    told: int = 0
    written: int = 0
    claim: str = ""
    claimed: int = 0

    @property
    def looked_at(self) -> int:
        """Return when it has to be looked at."""
        if self.claim:
            return self.claimed + CLAIMED_MS
        return self.due if self.is_wanted else self.due + PASSED_OVER_MS

    @property
    def is_wanted(self) -> bool:
        """Return whether somebody has written since it was told last, or made."""
        return self.is_wanted_by(self.written)

    def is_wanted_by(self, written: int) -> bool:
        """Return whether a message of that time was written behind it."""
        return written > self.told and written >= self.created

    def following(self, now: int) -> int:
        """Return when it is due after it was, which is now."""
        start = self.due if now <= self.due + LATE_MS else now
        return start + self.seconds * 1000


Schedules = tuple[Schedule, ...]
"""Those of a room, by their names."""


def looked_at(schedules: Sequence[Schedule]) -> int | None:
    """Return when the first of them has to be looked at; None: there are none."""
    return min((each.looked_at for each in schedules), default=None)


class TooManySchedules(Exception):
    """The room has as many as it may."""


class Put(msgspec.Struct, frozen=True):
    """Make one, or change that of its name, which keeps its rhythm unless that is changed."""

    schedule: Schedule

    def apply(self, before: Schedules) -> Schedules:
        """Return what there is then.

        Raises:
            TooManySchedules: there are as many as there may be.
        """
        new = self.schedule
        others = tuple(each for each in before if each.name != new.name)
        for each in before:
            if each.name == new.name:
                new = msgspec.structs.replace(
                    each,
                    content=new.content,
                    style=new.style,
                    by=new.by,
                    seconds=new.seconds,
                    due=each.due if each.seconds == new.seconds else new.due,
                )
        if len(others) >= MOST_SCHEDULES:
            raise TooManySchedules
        return tuple(sorted((*others, new), key=lambda each: each.name))


class Remove(msgspec.Struct, frozen=True):
    """Remove one, which need not be there."""

    name: str

    def apply(self, before: Schedules) -> Schedules:
        """Return what there is then."""
        return tuple(each for each in before if each.name != self.name)


class Written(msgspec.Struct, frozen=True):
    """Note that somebody has written: once for each time that one is told.

    What comes when it is due already may be behind the one that is being told: that counts, too.
    """

    at: int

    def apply(self, before: Schedules) -> Schedules:
        """Return what there is then."""
        return tuple(
            msgspec.structs.replace(each, written=self.at)
            if each.is_wanted_by(self.at)
            and self.at > each.written
            and (not each.is_wanted or each.claim or self.at >= each.due)
            else each
            for each in before
        )


class Claim(msgspec.Struct, frozen=True):
    """Be the one who tells one, as it was `seen`: of any number of nodes one is."""

    seen: Schedule
    message_id: str
    now: int

    def apply(self, before: Schedules) -> Schedules:
        """Return what there is then."""
        return tuple(
            msgspec.structs.replace(each, claim=self.message_id, claimed=self.now)
            if (each.name, each.due, each.claim) == (self.seen.name, self.seen.due, "")
            else each
            for each in before
        )

    def of(self, schedules: Schedules) -> Schedule | None:
        """Return it as it was claimed; None: somebody else was faster, or it was changed."""
        return next((each for each in schedules if each.claim == self.message_id), None)


class Settle(msgspec.Struct, frozen=True):
    """Say what became of one as it was `seen`: when it is due next, and when it was told."""

    seen: Schedule
    due: int
    told: int = 0

    def apply(self, before: Schedules) -> Schedules:
        """Return what there is then: what was changed meanwhile keeps its own time."""
        return tuple(
            self._settled(each)
            if (each.name, each.claim) == (self.seen.name, self.seen.claim)
            else each
            for each in before
        )

    def _settled(self, schedule: Schedule) -> Schedule:
        due = self.due if schedule.due == self.seen.due else schedule.due
        told = max(schedule.told, self.told)
        return msgspec.structs.replace(schedule, due=due, told=told, claim="", claimed=0)


ScheduleChange = Put | Remove | Written | Claim | Settle
