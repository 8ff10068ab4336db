"""Who was on nodes that died, so that their next connections go on from about there.

A node that is killed tells nobody where its connections stood. But each node has told the others
once a second who is there, and so they know who was, and when it was heard last.

- Who comes and was on another node by then may have lost that one, or has two devices: the other
  node is asked whether it lives. That is a word there and one back, for all who come meanwhile.
- From `BEFORE_SECONDS` before its last word on a user of a node that does not answer is given what
  was shown: what the node wrote before that has arrived, if he is not very slow.
- A node that is heard again was not lost.
- While this node hears nobody, nobody is taken for lost.
- **Bound.** `MOST_LOST` nodes, for as long as places are kept: the oldest go.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from greenroom.chat.others import RoomThere
from greenroom.chat.presence import Presence
from greenroom.clock import Clock
from greenroom.messaging.shared_places import LONGEST, SharedPlaces

ANSWER_SECONDS = 0.3
"""How long a node that is asked whether it lives has for an answer."""

BEFORE_SECONDS = 5.0
"""How much of what was shown before the last word of a node is given again. Clocks of nodes, which
`SendTime` is of, differ by 2 seconds, or somebody is told."""

MOST_LOST = 16


class _Lost(msgspec.Struct):
    """When a node was heard last, and who was there: by room, and by what stands for users."""

    heard: float
    users: dict[str, dict[int, int]]


class LostNodes:
    """Knows of them, as one of the nodes that are left."""

    def __init__(
        self,
        shared: SharedPlaces,
        presence: Presence,
        clock: Clock,
        hears: Callable[[], bool],
    ) -> None:
        """Make it; `hears` returns whether this node hears others at all."""
        self._shared = shared
        self._presence = presence
        self._clock = clock
        self._hears = hears
        self._lost: dict[str, _Lost] = {}
        self._asked: dict[str, asyncio.Future[None]] = {}
        shared.when_heard = self._heard
        presence.when_silent(self._lose)

    def look(self, room: str, user_id: str) -> "list[asyncio.Future[None]]":
        """Find out whether the nodes live that a user is on; return what is to be waited for."""
        if not self._hears():
            return []
        names = self._presence.nodes_with(room, user_id)
        return [self._ask(name) for name in names if self._find(name) is None]

    def take(self, room: str, user_id: str, seconds: float) -> int:
        """Return up to when a user was shown everything, by a node that was lost since; 0: by none.

        It is in nanoseconds since the epoch, no longer ago than so many seconds and a few more.
        """
        now, user = self._clock.monotonic(), self._presence.number_of(room, user_id)
        for name in list(self._lost):
            lost = self._find(name)
            if lost is None or now - lost.heard > seconds:
                continue
            users = lost.users.get(room, {})
            if users.get(user, 0) > 0:
                users[user] -= 1
                return self._clock.wall_ns() - int((now - lost.heard + BEFORE_SECONDS) * 1e9)
        return 0

    def _ask(self, name: str) -> "asyncio.Future[None]":
        asked = self._asked.get(name)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = self._asked[name] = loop.create_future()
            loop.call_later(ANSWER_SECONDS, self._unanswered, name, asked)
            self._shared.ask(name)
        return asked

    def _heard(self, name: str) -> None:
        self._lost.pop(name, None)
        asked = self._asked.pop(name, None)
        if asked is not None:
            asked.set_result(None)

    def _unanswered(self, name: str, asked: "asyncio.Future[None]") -> None:
        if asked.done():
            return
        del self._asked[name]
        asked.set_result(None)
        self._lose(name, *self._presence.told_by(name))

    def _find(self, name: str) -> _Lost | None:
        """Return what is known of a lost node; None if it is none."""
        lost = self._lost.get(name)
        if lost is not None and self._presence.told_by(name)[0] > lost.heard:
            del self._lost[name]
            return None
        return lost

    def _lose(self, name: str, heard: float, rooms: Mapping[str, RoomThere]) -> None:
        if name in self._lost or not rooms or not self._hears():
            return
        oldest = self._clock.monotonic() - LONGEST
        kept = [each for each in self._lost.items() if each[1].heard > oldest]
        self._lost = dict(kept[-MOST_LOST + 1 :])
        users = {room: dict(there.users) for room, there in rooms.items()}
        self._lost[name] = _Lost(heard, users)
