"""What nodes tell each other about themselves once a second, as bytes and back.

Counts, positions and users are told as changes; whoever missed one asks for the whole. Fields are
only ever added at the end, with a default: nodes of two versions understand each other.
"""

from collections.abc import Iterator, Sequence

import msgspec

from greenroom.bus.base import Position

NEWS_AT_ONCE = 2_000
"""Rooms that one announcement tells of."""

USERS_AT_ONCE = 10_000
"""Users that one piece of news names: about 100 kB, far below what a bus takes as one message."""


class News(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is new of one room on the node that tells.

    `connections` and `position` are what is true now. `users` are changes: how many connections
    more or fewer each has, by the number that stands for the user in that room. `bots` are the same
    of those among them that are bots', and `moderators` of those that may moderate; each is named
    in `users` as well.
    """

    room: str
    connections: int
    position: Position
    users: dict[int, int] = {}
    bots: dict[int, int] = {}
    moderators: dict[int, int] = {}


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """What one node tells all others.

    `number` goes up by one: a gap shows that something was missed. `sent_ns` is the node's wall
    clock. `asks` are nodes of which it wants the whole. What has `whole_for` tells nothing new: it
    is all that the node has, for these nodes alone, and goes on in the next one if there is `more`.
    `name` is the node's for people; one of an earlier version tells none.
    """

    node: str
    number: int
    sent_ns: int
    news: Sequence[News] = ()
    asks: Sequence[str] = ()
    whole_for: Sequence[str] = ()
    more: bool = False
    leaving: bool = False
    name: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Announcement)


def encode(announcement: Announcement) -> bytes:
    """Return an announcement as bytes."""
    return _encoder.encode(announcement)


def decode(payload: bytes) -> Announcement:
    """Return what the bytes say.

    Raises:
        msgspec.DecodeError: they are no announcement.
    """
    return _decoder.decode(payload)


def in_pieces(news: Iterator[News]) -> Iterator[list[News]]:
    """Divide news into what one announcement carries each."""
    piece: list[News] = []
    users = 0
    for each in news:
        for part in _parts(each):
            if len(piece) >= NEWS_AT_ONCE or (piece and users + len(part.users) > USERS_AT_ONCE):
                yield piece
                piece, users = [], 0
            piece.append(part)
            users += len(part.users)
    if piece:
        yield piece


def _parts(news: News) -> Iterator[News]:
    """Divide the news of one room: changes add up, however they are divided."""
    if len(news.users) <= USERS_AT_ONCE:
        yield news
        return
    users = list(news.users.items())
    for start in range(0, len(users), USERS_AT_ONCE):
        some = dict(users[start : start + USERS_AT_ONCE])
        bots = {user: news.bots[user] for user in some if user in news.bots}
        moderators = {user: news.moderators[user] for user in some if user in news.moderators}
        yield News(news.room, news.connections, news.position, some, bots, moderators)
