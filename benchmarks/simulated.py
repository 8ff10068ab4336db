"""What `simulation` is asked and what it finds, apart from it for who only reads that."""

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """Nodes, and viewers of rooms that are anywhere on them."""

    nodes: int
    rooms: int
    viewers: int


class Told(msgspec.Struct, frozen=True):
    """What nodes told each other in a second, for one of them.

    `rooms` that it has a viewer of, `news` that it heard, its CPU for one of them in microseconds,
    bytes that it said, and bytes of memory for each viewer that others have.
    """

    rooms: float
    news: float
    cpu: float
    said: float
    kept: float


class Heard(msgspec.Struct, frozen=True):
    """What NATS carried: nodes that heard a message, and CPU of the servers for it."""

    nodes: float
    servers: float
