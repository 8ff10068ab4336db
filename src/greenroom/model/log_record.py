"""What clients of a room received, as chat logging keeps it."""

import msgspec

from greenroom.model.arn import Arn


class Record(msgspec.Struct, frozen=True):
    """What clients received, in the order of `sequence`.

    `payload` is the frame's JSON; `time_ns` its SendTime in nanoseconds since the epoch.
    """

    sequence: int
    room: Arn
    time_ns: int
    payload: bytes
