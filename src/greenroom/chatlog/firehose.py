r"""Records through a delivery stream of Amazon Data Firehose.

- Each record ends with a newline, since Firehose joins records as they are: what it writes is then
  newline-delimited, as the objects in S3 are. What the real service does is not documented.
- Of a call that takes a part, only the rest is sent again. A call whose answer was lost, or that a
  restart has made again, sends its records again: the record's `payload.Id` tells.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from random import uniform

from greenroom.aws_access.clients import Answer, AwsAccess, Service
from greenroom.chatlog.base import DestinationFailed, FailureKind, Record, Target
from greenroom.chatlog.batch_calls import Progress
from greenroom.chatlog.failures import as_destination_failures
from greenroom.chatlog.record import line

# The limits of PutRecordBatch (Firehose API reference).
MAXIMUM_RECORDS = 500
MAXIMUM_BYTES = 4_194_304
MAXIMUM_RECORD_BYTES = 1_024_000

BATCH_BYTES = 3_145_728
"""Payload bytes after which a batch is made; more than 500 records make several calls."""

ROUNDS = 5
"""Calls for one set of records; what is left after them fails the batch."""

PAUSE_SECONDS = 0.1
"""Longest pause before the first repetition; each doubles it."""


class FirehoseDestination:
    """Sends records to delivery streams."""

    batch_bytes = BATCH_BYTES

    def __init__(
        self,
        access: AwsAccess,
        interval_seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._access = access
        self.interval_seconds = interval_seconds
        self._progress: Progress[None] = Progress()
        self._sleep = sleep

    async def check(self, target: Target) -> None:
        with as_destination_failures():
            answer = await self._call(target, "describe_delivery_stream")
            status = answer["DeliveryStreamDescription"]["DeliveryStreamStatus"]
            if status != "ACTIVE":
                raise DestinationFailed(FailureKind.OTHER, "the delivery stream is not ACTIVE")

    async def deliver(self, target: Target, records: Sequence[Record]) -> int:
        lines = (line(record) + b"\n" for record in records)
        fitting = [each for each in lines if len(each) <= MAXIMUM_RECORD_BYTES]
        done = self._progress.of(target, records)
        for place, batch in enumerate(batches(fitting)):
            if place not in done:
                with as_destination_failures():
                    await self._put(target, batch)
                done[place] = None
        self._progress.end(target)
        return len(records) - len(fitting)

    async def close(self) -> None:
        pass

    async def _put(self, target: Target, batch: Sequence[bytes]) -> None:
        for attempt in range(ROUNDS):
            if attempt:
                await self._sleep(uniform(0, PAUSE_SECONDS * 2 ** (attempt - 1)))  # noqa: S311 - no secret
            answer = await self._call(
                target, "put_record_batch", Records=[{"Data": data} for data in batch]
            )
            batch = left_of(answer, batch)
            if not batch:
                return
        raise DestinationFailed(FailureKind.OTHER, "a part of the records is refused again")

    async def _call(self, target: Target, operation: str, **parameters: object) -> Answer:
        return await self._access.call(
            Service.FIREHOSE,
            target.configuration.region,
            operation,
            DeliveryStreamName=target.name,
            **parameters,
        )


def batches(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Cut records into what PutRecordBatch takes, in their order."""
    batch: list[bytes] = []
    size = 0
    for data in lines:
        if batch and (len(batch) == MAXIMUM_RECORDS or size + len(data) > MAXIMUM_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(data)
        size += len(data)
    if batch:
        yield batch


def left_of(answer: Answer, batch: Sequence[bytes]) -> list[bytes]:
    """Return the records that the answer says failed, in their order."""
    if not answer["FailedPutCount"]:
        return []
    results = answer["RequestResponses"]
    return [data for data, result in zip(batch, results, strict=True) if "ErrorCode" in result]
