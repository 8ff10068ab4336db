"""A message that was accepted, and that viewers do not see yet: its room is paused, or delays."""

import msgspec


class HeldMessage(msgspec.Struct, frozen=True, gc=False):
    """A MESSAGE as moderators and its author were shown it, and as everybody will be.

    `room` is an ARN, `time_ns` its SendTime in nanoseconds since the epoch. `marked` is what
    moderators are shown in its place, if anything. `is_shadowed`: nobody else will be shown it.
    `is_recorded`: chat logs have it, though nobody may have been shown it.
    """

    room: str
    id: str
    author: str
    time_ns: int
    payload: bytes
    marked: bytes = b""
    is_shadowed: bool = False
    is_recorded: bool = False
