"""What the supervisor and its processes tell each other. Both are of one version: one forked both.

1. Where another service is taken over, a process says `Prepared` and waits for `Begin`.
2. It says `Serving` when it accepts connections, and `Alive` now and then.
3. `LetGo` asks it to accept no more, because a successor is prepared. It closes all that it has,
   says `Released`, and is told in `Taken` whether the successor serves or it is to serve again.
4. `Accept` names the listening sockets that it accepts from, `Stop` drains it.
5. Who is asked for what concerns all processes asks the others by `Ask`, which come to them as
   `Question`, and their answers come back as `Answers`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from greenroom.entrance.ready import Ready


class Subject(StrEnum):
    """What one process asks of the others."""

    HEALTH = "health"
    FIGURES = "figures"


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """Everything is done that can be done beside the service that runs."""


class Serving(msgspec.Struct, frozen=True, tag=True):
    """Connections are accepted."""

    ready: Ready


class Refused(msgspec.Struct, frozen=True, tag=True):
    """It cannot begin: the name of the error's class, and its one line for the operator."""

    kind: str
    why: str


class Released(msgspec.Struct, frozen=True, tag=True):
    """Everything is closed but the connections of viewers."""


class Alive(msgspec.Struct, frozen=True, tag=True):
    """The event loop turns."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Ask the others; `number` comes back with the answers."""

    number: int
    subject: Subject


class Answer(msgspec.Struct, frozen=True, tag=True):
    """Answers a question."""

    number: int
    body: bytes


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The service that ran before has let go."""


class LetGo(msgspec.Struct, frozen=True, tag=True):
    """Let go: a successor is prepared."""


class Taken(msgspec.Struct, frozen=True, tag=True):
    """Whether the successor serves."""

    taken: bool


class Accept(msgspec.Struct, frozen=True, tag=True):
    """Accept from these of the listening sockets, and from no other."""

    sockets: Sequence[int]


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Drain, and end."""


class Question(msgspec.Struct, frozen=True, tag=True):
    """Another process asks."""

    number: int
    subject: Subject


class Answers(msgspec.Struct, frozen=True, tag=True):
    """What the others answered to `Ask`, by their numbers; and how those are who did not."""

    number: int
    bodies: Mapping[int, bytes]
    others: Mapping[int, str]
    restarts: Mapping[int, int]


Said = Prepared | Serving | Refused | Released | Alive | Ask | Answer
"""What a process says."""

Told = Begin | LetGo | Taken | Accept | Stop | Question | Answers
"""What it is told."""

_encoder = msgspec.msgpack.Encoder()
_said: msgspec.msgpack.Decoder[Said] = msgspec.msgpack.Decoder(Said)
_told: msgspec.msgpack.Decoder[Told] = msgspec.msgpack.Decoder(Told)


def encode(message: Said | Told) -> bytes:
    """Return a message as bytes."""
    return _encoder.encode(message)


def said(data: bytes) -> Said:
    """Return what a process has said."""
    return _said.decode(data)


def told(data: bytes) -> Told:
    """Return what a process was told."""
    return _told.decode(data)
