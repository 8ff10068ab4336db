"""Records as events of CloudWatch Logs: one stream per room in the configuration's log group.

Streams are made when they are missing, groups are not. A call whose answer was lost, or that a
restart has made again, makes its events again: the record's `payload.Id` tells. What CloudWatch
Logs rejects for its age stays rejected; it is counted, and not tried again.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from greenroom.aws_access.clients import Answer, AwsAccess, Service
from greenroom.chatlog.base import DestinationFailed, FailureKind, Record, Target
from greenroom.chatlog.batch_calls import Progress, make_calls
from greenroom.chatlog.failures import as_destination_failures, code
from greenroom.chatlog.objects import by_room
from greenroom.chatlog.record import line
from greenroom.model.arn import Arn

# The limits of PutLogEvents (CloudWatch Logs API reference).
MAXIMUM_EVENTS = 10_000
MAXIMUM_BYTES = 1_048_576
EVENT_OVERHEAD = 26
MAXIMUM_SPAN_MS = 24 * 3600 * 1000

BATCH_BYTES = 786_432
"""Payload bytes after which a batch is made: with what surrounds them, about one full call."""


class Event(msgspec.Struct, frozen=True):
    """One log event; `timestamp` is in milliseconds since the epoch."""

    timestamp: int
    message: bytes

    @property
    def size(self) -> int:
        """Return the bytes that the event counts for."""
        return len(self.message) + EVENT_OVERHEAD


class CloudWatchLogsDestination:
    """Keeps records in log groups."""

    batch_bytes = BATCH_BYTES

    def __init__(self, access: AwsAccess, interval_seconds: float) -> None:
        self._access = access
        self.interval_seconds = interval_seconds
        self._progress: Progress[int] = Progress()

    async def check(self, target: Target) -> None:
        with as_destination_failures():
            await self._access.run(lambda: self._check(target))

    async def deliver(self, target: Target, records: Sequence[Record]) -> int:
        rejected = self._progress.of(target, records)
        rooms = by_room(records).items()
        await make_calls([partial(self._put, target, *room) for room in rooms], rejected)
        self._progress.end(target)
        return sum(rejected.values())

    async def close(self) -> None:
        pass

    async def _put(self, target: Target, room: Arn, records: Sequence[Record]) -> int:
        with as_destination_failures():
            return await self._access.run(lambda: self._put_here(target, room, records))

    def _check(self, target: Target) -> None:
        answer = self._call(target, "describe_log_groups", logGroupNamePrefix=target.name)
        # They are sorted: the group whose name is the prefix itself comes first.
        if all(group["logGroupName"] != target.name for group in answer["logGroups"]):
            raise DestinationFailed(FailureKind.NOT_FOUND, "no such log group")

    def _put_here(self, target: Target, room: Arn, records: Sequence[Record]) -> int:
        events, rejected = events_of(records)
        for batch in batches(events):
            rejected += rejected_of(self._put_batch(target, stream_of(room), batch), len(batch))
        return rejected

    def _put_batch(self, target: Target, stream: str, events: Sequence[Event]) -> Answer:
        try:
            return self._put_events(target, stream, events)
        except Exception as error:
            if code(error) != "ResourceNotFoundException":
                raise
        self._make_stream(target, stream)
        return self._put_events(target, stream, events)

    def _put_events(self, target: Target, stream: str, events: Sequence[Event]) -> Answer:
        return self._call(
            target,
            "put_log_events",
            logGroupName=target.name,
            logStreamName=stream,
            logEvents=[
                {"timestamp": each.timestamp, "message": each.message.decode()} for each in events
            ],
        )

    def _make_stream(self, target: Target, stream: str) -> None:
        """Make the stream; that fails as well when it is the group that is missing."""
        try:
            self._call(target, "create_log_stream", logGroupName=target.name, logStreamName=stream)
        except Exception as error:
            if code(error) != "ResourceAlreadyExistsException":
                raise

    def _call(self, target: Target, operation: str, **parameters: object) -> Answer:
        return self._access.call_in_this_thread(
            Service.LOGS, target.configuration.region, operation, **parameters
        )


def stream_of(room: Arn) -> str:
    """Return the name of a room's log stream (Chat User Guide, "Chat Logging")."""
    return f"aws/IVSChatLogs/1.0/room_{room.id}"


def events_of(records: Sequence[Record]) -> tuple[list[Event], int]:
    """Return the records' events in the order of their times, and how many are too large for one.

    Records of the same millisecond stay in their order.
    """
    events = [Event(record.time_ns // 1_000_000, line(record)) for record in records]
    fitting = [event for event in events if event.size <= MAXIMUM_BYTES]
    fitting.sort(key=lambda event: event.timestamp)
    return fitting, len(events) - len(fitting)


def batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Cut events, which are in the order of their times, into what PutLogEvents takes."""
    batch: list[Event] = []
    size = 0
    for event in events:
        if batch and (
            len(batch) == MAXIMUM_EVENTS
            or size + event.size > MAXIMUM_BYTES
            or event.timestamp - batch[0].timestamp >= MAXIMUM_SPAN_MS
        ):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event.size
    if batch:
        yield batch


def rejected_of(answer: Answer, count: int) -> int:
    """Return how many of so many events were rejected: too old, expired, or too new."""
    rejected = answer.get("rejectedLogEventsInfo", {})
    old = max(rejected.get("tooOldLogEventEndIndex", 0), rejected.get("expiredLogEventEndIndex", 0))
    new = rejected.get("tooNewLogEventStartIndex", count)
    return int(min(count, old + max(0, count - new)))
