"""Where users stand whose connections broke, known on all nodes: they come back to any of them.

Each node tells when a connection breaks there, and when somebody has gone on from a place; what
happens in one turn of the loop travels together. What is lost on the way is a user who just begins,
or one who is given again what he was given elsewhere. A node that dies tells nothing of those who
were on it: see `lost_nodes`.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from greenroom.bus.base import BEGINNING, About, Peers
from greenroom.messaging.resumes import Resumes

AT_ONCE = 1_000
"""Changes that one announcement tells of: about 200 kB, below what a bus takes as one message."""

LONGEST = 3_600
"""Seconds that a place is kept at most: more is a mistake."""


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What `Resumes.learn` takes."""

    room: str
    user_id: str
    since: str
    seconds: int


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What a node tells. `asks` is one that is to tell anything: whether it lives."""

    node: str
    changes: Sequence[Change]
    asks: str = ""


class SharedPlaces:
    """Tells the others what changes here, and has the places of this node learn what they tell."""

    def __init__(self, peers: Peers, node: str, places: Resumes) -> None:
        """Share places; no two nodes have the same name."""
        self._peers = peers
        self._node = node
        self._places = places
        self._changes: list[Change] = []
        self.unreadable = 0
        """Announcements that were none."""
        self.when_heard: Callable[[str], None] = _pass_over
        """Is told which node has told something."""
        places.when_changed = self._changed
        peers.on_announcement(self.receive, About.PLACES)

    def ask(self, node: str) -> None:
        """Have a node tell anything."""
        self._peers.announce(_encode(Told(self._node, (), node)), About.PLACES)

    def receive(self, payload: bytes) -> None:
        """Take in what a node has told, if it is another one."""
        try:
            told = _decode(payload)
        except (msgspec.MsgspecError, ValueError):
            self.unreadable += 1
            return
        if told.node == self._node:
            return
        self.when_heard(told.node)
        if told.asks == self._node:
            self._peers.announce(_encode(Told(self._node, ())), About.PLACES)
        for each in told.changes:
            if 0 <= each.seconds <= LONGEST:
                self._places.learn(each.room, each.user_id, each.since, each.seconds)

    def _changed(self, room: str, user_id: str, since: str, seconds: int) -> None:
        if since.startswith(BEGINNING):
            since = BEGINNING
        if not self._changes:
            asyncio.get_running_loop().call_soon(self._tell)
        self._changes.append(Change(room, user_id, since, seconds))

    def _tell(self) -> None:
        changes, self._changes = self._changes, []
        for start in range(0, len(changes), AT_ONCE):
            told = Told(self._node, changes[start : start + AT_ONCE])
            self._peers.announce(_encode(told), About.PLACES)


def _pass_over(_node: str) -> None:
    """Nobody asks."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Told).decode
