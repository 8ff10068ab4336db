"""The names on NATS: which stream and which subjects are a room's, for ever.

| subject | carries |
| --- | --- |
| `gr.NN.<room>`, stored in `ROOMS_NN` | what is published in a room |
| `gr.NN.-`, stored there, too | nothing: when it is stored, the leader knows all before it |
| `gd.NN.<room>` | the same, from the stream to the nodes that follow the room |
| `gc.news`, stored in `CONTROL`; `gcd.news` | what every node is to forget or to learn |
| `gp.news`, `gp.rates` | what nodes announce of themselves, of what accounts do; it is not stored |
| `gp.state`, `gp.asked` | what a node tells people of itself, and that somebody asks for it |
| `gp.users` | which users are in a room, and hashes of where one is: nodes ask, and answer |
| `gp.places` | where users' connections broke, for who comes back to another node |
| `_GR.<node>.<token>` | answers to one node |
"""

from typing import Final
from urllib.parse import quote, unquote
from zlib import crc32

STREAMS: Final = 16
"""Streams of rooms. Another number would put rooms where nobody looks for them."""

CONTROL_STREAM: Final = "CONTROL"
CONTROL: Final = "gc.news"
CONTROL_DELIVERED: Final = "gcd.news"
ANNOUNCEMENTS: Final = "gp."


def stream_of(room: str) -> int:
    """Return the number of the stream that a room, named by its ARN, is in."""
    return crc32(room.rpartition("/")[2].encode()) % STREAMS


def stream_name(number: int) -> str:
    """Return the name of a stream of rooms."""
    return f"ROOMS_{number:02}"


def published(room: str) -> str:
    """Return the subject that what happens in a room is published to."""
    return f"gr.{stream_of(room):02}.{_token(room)}"


def of_no_room(stream: int) -> str:
    """Return the subject of what a stream of rooms is to store and nobody is to be shown."""
    return f"gr.{stream:02}.-"


def delivered(subject: str) -> str:
    """Return the subject from which the nodes hear what was published to another."""
    return "gd" + subject[2:]


def room_of(subject: str) -> str:
    """Return the room of a subject that something was published to or delivered from."""
    return unquote(subject.rpartition(".")[2])


def inbox(node: str) -> str:
    """Return what the subjects of answers to a node begin with."""
    return f"_GR.{node}."


def _token(room: str) -> str:
    """Return the room as one token of a subject: no dot, no space, nothing that stands for others.

    Two rooms never have the same, whatever their names hold.
    """
    if not room:
        raise ValueError("a room has a name")
    return quote(room, safe=":/").replace(".", "%2E")
