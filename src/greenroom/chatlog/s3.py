"""Log objects in an S3 bucket, or in a store that speaks S3's protocol.

A batch that comes again writes the same objects with the same bytes under the same keys.
"""

from collections.abc import Sequence
from functools import partial

from greenroom.aws_access.clients import AwsAccess, Service
from greenroom.chatlog.base import DestinationFailed, FailureKind, Record, Target
from greenroom.chatlog.batch_calls import Progress, make_calls
from greenroom.chatlog.failures import as_destination_failures
from greenroom.chatlog.objects import LogObject, objects


class S3Destination:
    """Keeps records in buckets, as one object per room and batch."""

    def __init__(self, access: AwsAccess, interval_seconds: float, batch_bytes: int) -> None:
        self._access = access
        self.interval_seconds = interval_seconds
        self.batch_bytes = batch_bytes
        self._progress: Progress[None] = Progress()

    async def check(self, target: Target) -> None:
        """Begin a multipart upload and give it up.

        That asks for the permission that delivery needs, and for no other, and leaves no object.
        """
        key = f"AWSLogs/{target.configuration.account}/IVSChatLogs/1.0/check"
        with as_destination_failures():
            await self._access.run(lambda: self._begin_and_abort(target, key))

    async def deliver(self, target: Target, records: Sequence[Record]) -> int:
        done = self._progress.of(target, records)
        made = await self._access.run(lambda: list(objects(target.configuration, records)))
        await make_calls([partial(self._put, target, each) for each in made], done)
        self._progress.end(target)
        return 0

    async def close(self) -> None:
        pass

    async def _put(self, target: Target, log_object: LogObject) -> None:
        with as_destination_failures():
            await self._access.run(lambda: self._put_here(target, log_object))

    def _put_here(self, target: Target, log_object: LogObject) -> None:
        answer = self._access.call_in_this_thread(
            Service.S3,
            target.configuration.region,
            "put_object",
            Bucket=target.name,
            Key=log_object.key,
            Body=log_object.body(),
            ContentType="application/gzip",
        )
        if "ETag" not in answer:
            # Something in between said 200: a store names what it keeps.
            raise DestinationFailed(FailureKind.OTHER, "the answer is not a store's")

    def _begin_and_abort(self, target: Target, key: str) -> None:
        region = target.configuration.region
        place = {"Bucket": target.name, "Key": key}
        begun = self._access.call_in_this_thread(
            Service.S3, region, "create_multipart_upload", **place
        )
        self._access.call_in_this_thread(
            Service.S3, region, "abort_multipart_upload", **place, UploadId=begun["UploadId"]
        )
