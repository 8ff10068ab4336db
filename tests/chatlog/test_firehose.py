"""What is particular to Firehose."""

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.chatlog import firehose
from greenroom.chatlog.base import DestinationFailed, FailureKind, Record
from greenroom.chatlog.firehose import (
    MAXIMUM_BYTES,
    MAXIMUM_RECORD_BYTES,
    MAXIMUM_RECORDS,
    FirehoseDestination,
    batches,
)
from greenroom.chatlog.record import line
from greenroom.model.logging_configuration import DestinationKind
from tests.stand_ins import answering
from tests.stand_ins.batches import CONTENT, a_batch, a_record, a_target
from tests.stand_ins.kept import access_to
from tests.stand_ins.values import room_arn

TARGET = a_target(DestinationKind.FIREHOSE, "stream")
LINES = st.lists(
    st.sampled_from([b"", b"x" * 1000, b"x" * 300_000, b"x" * MAXIMUM_RECORD_BYTES]), max_size=30
)


@given(LINES)
def test_limits_of_a_call(lines: list[bytes]) -> None:
    """A call has at most 4 MiB; all records are in calls, in their order."""
    made = list(batches(lines))
    assert [data for batch in made for data in batch] == lines
    assert all(0 < sum(map(len, batch)) <= MAXIMUM_BYTES or not any(batch) for batch in made)


def test_records_of_a_call() -> None:
    """A call has at most 500 records."""
    assert [len(batch) for batch in batches([b"x"] * 1001)] == [MAXIMUM_RECORDS, 500, 1]


def test_exact_fits() -> None:
    """Calls are filled to the last byte, the second as the first, and not beyond."""
    half = b"x" * (MAXIMUM_BYTES // 2)
    assert [len(batch) for batch in batches([half] * 5)] == [2, 2, 1]
    assert [len(batch) for batch in batches([half, half + b"x"])] == [1, 1]


class Stream:
    """A delivery stream that fails some records of each call: those at the given places."""

    def __init__(self, failing: Sequence[Sequence[int]]) -> None:
        self.failing = list(failing)
        self.calls: list[list[bytes]] = []
        self.taken: list[bytes] = []

    def answer(self, operation: str, parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer PutRecordBatch."""
        assert operation == "PutRecordBatch"
        data = [base64.b64decode(each["Data"]) for each in parameters["Records"]]
        self.calls.append(data)
        failing = self.failing.pop(0) if self.failing else []
        self.taken += [each for place, each in enumerate(data) if place not in failing]
        results = [
            {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "slow down"}
            if place in failing
            else {"RecordId": str(place)}
            for place in range(len(data))
        ]
        return 200, {"FailedPutCount": len(failing), "RequestResponses": results}


async def test_only_what_failed_is_sent_again(aws_credentials: None) -> None:
    """Of a call that takes a part the rest is sent again, in its order, after a pause."""
    stream, batch, pauses = Stream([[1, 3], [1]]), a_batch(rooms=1), list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with answering.server(stream.answer) as url:
        access = access_to(url)
        assert await FirehoseDestination(access, 5, sleep).deliver(TARGET, batch) == 0
        await access.close()
    lines = [line(record) + b"\n" for record in batch]
    assert stream.calls == [lines, [lines[1], lines[3]], [lines[3]]]
    assert sorted(stream.taken) == sorted(lines)
    assert len(pauses) == 2
    assert all(0 <= pause <= firehose.PAUSE_SECONDS * 2 for pause in pauses)


async def test_it_gives_up(aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails again and again fails the batch after some calls, each pause twice the last."""
    stream, pauses = Stream([[0]] * 100), list[float]()
    monkeypatch.setattr(firehose, "uniform", lambda least, most: (least, most))

    async def sleep(bounds: Any) -> None:
        least, most = bounds
        assert least == 0
        pauses.append(most)

    with answering.server(stream.answer) as url:
        access = access_to(url)
        with pytest.raises(DestinationFailed) as failed:
            await FirehoseDestination(access, 5, sleep).deliver(TARGET, a_batch())
        await access.close()
    assert failed.value.kind == FailureKind.OTHER
    assert CONTENT not in str(failed.value)
    assert len(stream.calls) == firehose.ROUNDS
    assert pauses == [firehose.PAUSE_SECONDS * 2**each for each in range(firehose.ROUNDS - 1)]


async def test_a_batch_goes_on_where_it_stopped(aws_credentials: None) -> None:
    """Records of calls that were taken whole are not sent again with their batch."""
    stream, batch = Stream([[], *[[0]] * firehose.ROUNDS]), a_batch(rooms=1, each=1001)

    async def sleep(_seconds: float) -> None:
        pass

    with answering.server(stream.answer) as url:
        access = access_to(url)
        destination = FirehoseDestination(access, 5, sleep)
        with pytest.raises(DestinationFailed):
            await destination.deliver(TARGET, batch)
        stream.calls.clear()
        await destination.deliver(TARGET, batch)
        await access.close()
    assert [len(call) for call in stream.calls] == [500, 1]
    assert {line(record) + b"\n" for record in batch} == set(stream.taken)


async def test_an_answer_without_sense(aws_credentials: None) -> None:
    """An answer that says nothing about the records is a failure, not a delivery."""
    for answer in ({}, {"FailedPutCount": 1, "RequestResponses": []}):
        with answering.server(lambda *_, answer=answer: (200, answer)) as url:
            access = access_to(url)
            with pytest.raises(DestinationFailed) as failed:
                await FirehoseDestination(access, 5).deliver(TARGET, a_batch())
            await access.close()
        assert failed.value.kind == FailureKind.OTHER


async def test_too_large(aws_credentials: None) -> None:
    """A record that is larger than Firehose takes is counted as never kept."""
    stream, room = Stream([]), room_arn()
    payload = b'{"Type":"EVENT","x":"' + b"x" * MAXIMUM_RECORD_BYTES + b'"}'
    with answering.server(stream.answer) as url:
        access = access_to(url)
        batch = [Record(1, room, 1, payload), a_record(2, room)]
        assert await FirehoseDestination(access, 5).deliver(TARGET, batch) == 1
        await access.close()
    assert stream.taken == [line(batch[1]) + b"\n"]


async def test_the_largest_record(aws_credentials: None) -> None:
    """A record that has exactly the bytes that Firehose takes is sent, one more is not."""
    stream, room = Stream([]), room_arn()
    overhead = len(line(Record(1, room, 1, b'{"Type":"EVENT","x":""}')) + b"\n")
    with answering.server(stream.answer) as url:
        access = access_to(url)
        for more, refused in ((0, 0), (1, 1)):
            filling = b"x" * (MAXIMUM_RECORD_BYTES - overhead + more)
            record = Record(1, room, 1, b'{"Type":"EVENT","x":"' + filling + b'"}')
            assert await FirehoseDestination(access, 5).deliver(TARGET, [record]) == refused
        await access.close()
    assert [len(data) for data in stream.taken] == [MAXIMUM_RECORD_BYTES]


@pytest.mark.parametrize("status", ["CREATING", "DELETING", "SUSPENDED"])
async def test_a_stream_that_is_not_active(status: str, aws_credentials: None) -> None:
    """A delivery stream that does not take records yet or any more fails its check."""
    answer = {"DeliveryStreamDescription": {"DeliveryStreamStatus": status}}
    with answering.server(lambda *_: (200, answer)) as url:
        access = access_to(url)
        with pytest.raises(DestinationFailed, match="not ACTIVE"):
            await FirehoseDestination(access, 5).check(TARGET)
        await access.close()
