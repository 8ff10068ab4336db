"""What a measurement does, and whether that is allowed: before anybody connects."""

import math

import msgspec

from greenroom.cli.access import CommandRefused
from greenroom.cli.exit_codes import ExitCode
from greenroom.model.quotas import BY_NAME

CONNECTION_RATE = BY_NAME["messaging_requests_per_connection"].aws
"""Messages per second that one connection may send."""

SPARE_FILES = 64
"""Open files beside the connections."""

CONTENT = "This message was sent by greenroom bench. It is as long as what people say in a chat."
"""What is sent, as much of it as the room allows."""


class MeasuredRoom(msgspec.Struct, frozen=True, rename="camel"):
    """What a measurement asks of a room, of what CreateRoom and GetRoom return."""

    arn: str
    maximum_message_rate_per_second: int
    maximum_message_length: int


class Plan(msgspec.Struct, frozen=True):
    """What to do: `rate` is in messages per second, by all publishers together."""

    connections: int
    rate: float
    messages: int
    publishers: int
    room: str = ""
    content: str = CONTENT

    def in_room(self, room: MeasuredRoom) -> "Plan":
        """Return the plan for a room."""
        content = CONTENT[: room.maximum_message_length]
        return msgspec.structs.replace(self, room=room.arn, content=content)


def plan_of(connections: int, rate: float, duration: float, publishers: int | None) -> Plan:
    """Return what to do, within what each connection may send; the room is not known yet.

    Raises:
        CommandRefused: the numbers do not go together.
    """
    needed = math.ceil(rate / CONNECTION_RATE)
    if publishers is None:
        publishers = min(connections, math.ceil(rate * 2 / CONNECTION_RATE))
    if publishers > connections:
        raise CommandRefused(
            f"--publishers {publishers} are more than --connections {connections}", ExitCode.USAGE
        )
    if publishers < needed:
        raise CommandRefused(
            f"--rate {rate:g} needs {needed} publishers: a connection may send {CONNECTION_RATE}"
            f" messages a second, and there are {publishers}",
            ExitCode.USAGE,
        )
    return Plan(connections, rate, max(1, round(rate * duration)), publishers)


def check_files(connections: int, files: int | None) -> None:
    """Check that a process may have as many open files as the connections need.

    Raises:
        CommandRefused: it may not.
    """
    needed = connections + SPARE_FILES
    if files is not None and files < needed:
        raise CommandRefused(
            f"--connections {connections} need {needed} open files, and the system allows {files}:"
            " raise the limit (ulimit -Hn)",
            ExitCode.USAGE,
        )


def check_room_rate(rate: float, room: MeasuredRoom) -> None:
    """Check that a room takes as many messages.

    Raises:
        CommandRefused: it does not.
    """
    maximum = room.maximum_message_rate_per_second
    if rate > maximum:
        raise CommandRefused(
            f"--rate {rate:g} is above the room's maximumMessageRatePerSecond, {maximum}: lower"
            " the rate, or raise the room's with UpdateRoom",
            ExitCode.USAGE,
        )
