"""What is particular to CloudWatch Logs."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws_access.clients import Service
from greenroom.chatlog import cloudwatch_logs
from greenroom.chatlog.base import DestinationFailed, FailureKind, Record
from greenroom.chatlog.cloudwatch_logs import (
    MAXIMUM_BYTES,
    MAXIMUM_EVENTS,
    MAXIMUM_SPAN_MS,
    CloudWatchLogsDestination,
    Event,
    batches,
    events_of,
    rejected_of,
    stream_of,
)
from greenroom.model.logging_configuration import DestinationKind
from tests.stand_ins import answering
from tests.stand_ins.batches import CONTENT, STARTED_NS, a_batch, a_record, a_target
from tests.stand_ins.kept import LogsStage, access_to
from tests.stand_ins.values import room_arn

EVENTS = st.lists(
    st.builds(
        Event,
        st.integers(0, 5 * MAXIMUM_SPAN_MS),
        st.sampled_from([b"", b"x" * 1000, b"x" * 300_000, b"x" * (MAXIMUM_BYTES - 26)]),
    ),
    max_size=30,
).map(lambda events: sorted(events, key=lambda event: event.timestamp))


def assert_limits(events: list[Event]) -> None:
    """Assert that the batches of these events are what PutLogEvents takes, and all of them."""
    made = list(batches(events))
    assert [event for batch in made for event in batch] == events
    for batch in made:
        assert 0 < len(batch) <= MAXIMUM_EVENTS
        assert sum(len(event.message) + 26 for event in batch) <= MAXIMUM_BYTES
        assert batch[-1].timestamp - batch[0].timestamp <= MAXIMUM_SPAN_MS


@given(EVENTS)
def test_limits_of_a_call(events: list[Event]) -> None:
    """A call has at most 1 MiB with 26 bytes for each event, and spans at most 24 hours."""
    assert_limits(events)


def test_events_of_a_call() -> None:
    """A call has at most 10,000 events."""
    events = [Event(1, b"")] * (2 * MAXIMUM_EVENTS + 1)
    assert_limits(events)
    assert [len(batch) for batch in batches(events)] == [MAXIMUM_EVENTS, MAXIMUM_EVENTS, 1]


def test_exact_fits() -> None:
    """Calls are filled to the last byte and millisecond, the second as the first; not beyond."""
    half = Event(1, b"x" * (MAXIMUM_BYTES // 2 - 26))
    assert [len(batch) for batch in batches([half] * 5)] == [2, 2, 1]
    larger = Event(1, half.message + b"x")
    assert [len(batch) for batch in batches([half, larger])] == [1, 1]
    day = [Event(time, b"") for time in (0, MAXIMUM_SPAN_MS - 1, MAXIMUM_SPAN_MS)]
    assert [len(batch) for batch in batches(day)] == [2, 1]


def test_the_largest_record() -> None:
    """A record that fills an event to the last byte is sent, one byte more is too large."""
    room = room_arn()
    small = b'{"Type":"EVENT","x":""}'
    (event,), _ = events_of([Record(1, room, 1, small)])
    for more, too_large in ((0, 0), (1, 1)):
        filling = b"x" * (MAXIMUM_BYTES - event.size + more)
        record = Record(1, room, 1, b'{"Type":"EVENT","x":"' + filling + b'"}')
        assert events_of([record])[1] == too_large


@given(st.lists(st.integers(0, 20_000_000), max_size=20))
def test_order(times: list[int]) -> None:
    """Events are in the order of their times, those of one millisecond in that of the records."""
    room = room_arn()
    records = [a_record(number, room, time_ns) for number, time_ns in enumerate(times)]
    events, too_large = events_of(records)
    assert too_large == 0
    ranks = [int(event.message.split(b'"id-')[1].split(b'"')[0]) for event in events]
    assert ranks == sorted(range(len(times)), key=lambda rank: times[rank] // 1_000_000)


def test_too_large() -> None:
    """A record that no event can hold is counted, and stands in nobody's way."""
    room = room_arn()
    large = Record(1, room, 1, b'{"Type":"EVENT","x":"' + b"x" * MAXIMUM_BYTES + b'"}')
    events, too_large = events_of([large, a_record(2, room)])
    assert (len(events), too_large) == (1, 1)


@pytest.mark.parametrize(
    ("info", "rejected"),
    [
        ({}, 0),
        ({"tooOldLogEventEndIndex": 3}, 3),
        ({"expiredLogEventEndIndex": 4, "tooOldLogEventEndIndex": 3}, 4),
        ({"tooNewLogEventStartIndex": 8}, 2),
        ({"tooNewLogEventStartIndex": 8, "expiredLogEventEndIndex": 1}, 3),
        ({"tooNewLogEventStartIndex": 0, "tooOldLogEventEndIndex": 10}, 10),
    ],
)
def test_rejected(info: dict[str, int], rejected: int) -> None:
    """Old and expired events count from the beginning, new ones from the end."""
    assert rejected_of({"rejectedLogEventsInfo": info}, 10) == rejected
    assert rejected_of({}, 10) == 0


async def test_too_old_records(aws_url: str, aws_credentials: None, tmp_path: Path) -> None:
    """Records that are too old fail nothing: the others are kept."""
    stage = LogsStage(access_to(aws_url), tmp_path)
    target, room = await stage.target(), room_arn()
    month = 30 * 24 * 3600 * 1_000_000_000
    batch = [a_record(1, room, STARTED_NS - month), a_record(2, room)]
    await stage.make().deliver(target, batch)
    assert [len(lines) for lines in await stage.lines(target)] == [1]
    await stage.access.close()


async def test_rejected_records_are_counted(aws_credentials: None) -> None:
    """What CloudWatch Logs rejects is counted over all calls of a batch, and not sent again."""
    calls: list[str] = []

    def answer(operation: str, _parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        calls.append(operation)
        # The end is exclusive (CloudWatch Logs API reference), though moto's is not.
        return 200, {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 1}}

    with answering.server(answer) as url:
        access = access_to(url)
        target = a_target(DestinationKind.CLOUD_WATCH_LOGS, "group")
        assert await CloudWatchLogsDestination(access, 5).deliver(target, a_batch(rooms=3)) == 3
        await access.close()
    assert calls == ["PutLogEvents"] * 3


async def test_streams_are_made_once(aws_url: str, aws_credentials: None, tmp_path: Path) -> None:
    """A room has one stream, which is made when it is missing, also in the middle of a day."""
    stage = LogsStage(access_to(aws_url), tmp_path)
    target, batch = await stage.target(), a_batch(rooms=1)
    for records in (batch[:2], batch[2:]):
        await stage.make().deliver(target, records)
    assert [len(lines) for lines in await stage.lines(target)] == [4]
    await stage.call(
        Service.LOGS,
        "delete_log_stream",
        logGroupName=target.name,
        logStreamName=stream_of(batch[0].room),
    )
    await stage.make().deliver(target, batch)
    assert [len(lines) for lines in await stage.lines(target)] == [4]
    await stage.access.close()


async def test_a_batch_goes_on_where_it_stopped(aws_credentials: None) -> None:
    """A room whose events were kept is not sent again; what was rejected of it still counts."""
    failing, streams = {3, 4}, list[str]()

    def answer(_operation: str, parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        streams.append(parameters["logStreamName"])
        if len(streams) in failing:
            return 400, {"__type": "ThrottlingException"}
        return 200, {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 1}}

    with answering.server(answer) as url:
        access = access_to(url)
        destination = CloudWatchLogsDestination(access, 5)
        target, batch = a_target(DestinationKind.CLOUD_WATCH_LOGS, "group"), a_batch(rooms=5)
        with pytest.raises(DestinationFailed, match="ThrottlingException"):
            await destination.deliver(target, batch)
        assert await destination.deliver(target, batch) == 5
        await access.close()
    assert len(streams) == 7
    assert set(streams) == {stream_of(record.room) for record in batch}


async def test_somebody_else_makes_the_stream(aws_credentials: None) -> None:
    """A stream that somebody makes at the same time is used."""
    calls: list[str] = []

    def answer(operation: str, _parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        calls.append(operation)
        if operation == "CreateLogStream":
            return 400, {"__type": "ResourceAlreadyExistsException"}
        if len(calls) == 1:
            return 400, {"__type": "ResourceNotFoundException"}
        return 200, {}

    with answering.server(answer) as url:
        access = access_to(url)
        destination = CloudWatchLogsDestination(access, 5)
        target = a_target(DestinationKind.CLOUD_WATCH_LOGS, "group")
        assert await destination.deliver(target, a_batch(rooms=1)) == 0
        await access.close()
    assert calls == ["PutLogEvents", "CreateLogStream", "PutLogEvents"]


async def test_a_stream_that_cannot_be_made(aws_credentials: None) -> None:
    """What stands in the way is told, and nothing is sent into a stream that is not there."""
    calls: list[str] = []

    def answer(operation: str, _parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        calls.append(operation)
        made = operation == "CreateLogStream"
        return 400, {"__type": "AccessDeniedException" if made else "ResourceNotFoundException"}

    with answering.server(answer) as url:
        access = access_to(url)
        destination = CloudWatchLogsDestination(access, 5)
        target = a_target(DestinationKind.CLOUD_WATCH_LOGS, "group")
        with pytest.raises(DestinationFailed) as failed:
            await destination.deliver(target, a_batch(rooms=1))
        await access.close()
    assert failed.value.kind == FailureKind.ACCESS_DENIED
    assert calls == ["PutLogEvents", "CreateLogStream"]


@pytest.mark.parametrize("error", ["ThrottlingException", "ServiceUnavailableException", "", "a b"])
async def test_other_failures(error: str, aws_credentials: None) -> None:
    """Throttling and what cannot be read are OTHER; the text is a code at most."""
    with answering.server(answering.refusing(error)) as url:
        access = access_to(url)
        destination = CloudWatchLogsDestination(access, 5)
        target = a_target(DestinationKind.CLOUD_WATCH_LOGS, "group")
        with pytest.raises(DestinationFailed) as failed:
            await destination.deliver(target, a_batch())
        await access.close()
    assert failed.value.kind == FailureKind.OTHER
    assert failed.value.why in {error, "unreadable code", "400", "Unknown"}
    assert CONTENT not in str(failed.value)


def test_a_full_batch_is_about_one_call() -> None:
    """The bytes after which a batch is made leave room for what surrounds them."""
    room = room_arn()
    payload = b'{"Type":"EVENT","x":"' + b"x" * 500 + b'"}'
    count = cloudwatch_logs.BATCH_BYTES // len(payload)
    events, _ = events_of([Record(number, room, 0, payload) for number in range(count)])
    assert len(list(batches(events))) == 1
