"""Records and targets for the tests of chat logging."""

import time

from greenroom.chatlog.base import Record, Target
from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import DestinationKind
from greenroom.protocol import events
from tests.stand_ins.values import configuration_arn, room_arn

CONTENT = "content-that-nobody-else-may-see"

STARTED_NS = time.time_ns()
"""The time of the first record: CloudWatch Logs takes none that is too old."""


def a_record(sequence: int, room: Arn, time_ns: int | None = None) -> Record:
    """Return a record of a message, one second after the one before it."""
    if time_ns is None:
        time_ns = STARTED_NS + sequence * 1_000_000_000
    frame = events.encode_message(f"id-{sequence}", "", None, CONTENT, time_ns, "ann", {})
    return Record(sequence, room, time_ns, frame)


def a_batch(rooms: int = 3, each: int = 4, first: int = 1) -> list[Record]:
    """Return records of several rooms, whose orders are mixed."""
    arns = [room_arn() for _ in range(rooms)]
    return [a_record(first + number, arns[number % rooms]) for number in range(rooms * each)]


def a_target(kind: DestinationKind, name: str) -> Target:
    """Return a target of a configuration of its own."""
    return Target(configuration_arn(), kind, name)
