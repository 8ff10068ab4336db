"""Each kind of destination on its real part, and what it keeps there."""

import gzip
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenroom.aws_access.clients import AwsAccess, Service
from greenroom.chatlog.base import Destination, Target
from greenroom.chatlog.cloudwatch_logs import CloudWatchLogsDestination
from greenroom.chatlog.files import FilesDestination, directory_name
from greenroom.chatlog.firehose import FirehoseDestination
from greenroom.chatlog.s3 import S3Destination
from greenroom.model.logging_configuration import DestinationKind
from tests.stand_ins.batches import a_target

ROLE = "arn:aws:iam::123456789012:role/delivery"
_numbers = itertools.count()


def access_to(url: str) -> AwsAccess:
    """Return an access that sends everything to one URL, once."""
    return AwsAccess(dict.fromkeys(Service, url), read_seconds=10, attempts=1)


class Stage:
    """One kind of destination: `make` opens it as a started process would."""

    kind: DestinationKind
    exactly_once = False

    def __init__(self, access: AwsAccess, directory: Path) -> None:
        self.access = access
        self.directory = directory

    def make(self) -> Destination:
        """Return a new destination."""
        raise NotImplementedError

    async def target(self) -> Target:
        """Return a target that exists."""
        raise NotImplementedError

    def missing(self) -> Target:
        """Return a target that does not exist."""
        return a_target(self.kind, f"missing-{next(_numbers)}-{time.time_ns()}")

    async def lines(self, target: Target) -> list[list[bytes]]:
        """Return the lines that are kept: lists in each of which the order counts."""
        raise NotImplementedError

    async def call(self, service: Service, operation: str, **parameters: object) -> Any:
        """Call the service as an observer would."""
        return await self.access.call(service, "us-east-1", operation, **parameters)


class S3Stage(Stage):
    """Buckets."""

    kind = DestinationKind.S3
    exactly_once = True

    def make(self) -> Destination:
        return S3Destination(self.access, 300, 1_000_000)

    async def target(self) -> Target:
        target = self.missing()
        await self.call(Service.S3, "create_bucket", Bucket=target.name)
        return target

    async def lines(self, target: Target) -> list[list[bytes]]:
        objects = await self.objects(target)
        return [gzip.decompress(body).splitlines() for body in objects.values()]

    async def objects(self, target: Target) -> dict[str, bytes]:
        """Return keys and bytes of a bucket's objects."""

        def read() -> dict[str, bytes]:
            def call(operation: str, **parameters: object) -> Any:
                return self.access.call_in_this_thread(
                    Service.S3, "us-east-1", operation, Bucket=target.name, **parameters
                )

            keys = [each["Key"] for each in call("list_objects_v2").get("Contents", [])]
            return {key: call("get_object", Key=key)["Body"].read() for key in keys}

        return await self.access.run(read)


class LogsStage(Stage):
    """Log groups."""

    kind = DestinationKind.CLOUD_WATCH_LOGS

    def make(self) -> Destination:
        return CloudWatchLogsDestination(self.access, 5)

    async def target(self) -> Target:
        target = self.missing()
        # Its name begins with another's, and another's begins with its.
        for name in (target.name[:-3], target.name, target.name + "-other"):
            await self.call(Service.LOGS, "create_log_group", logGroupName=name)
        return target

    async def lines(self, target: Target) -> list[list[bytes]]:
        streams = await self.call(Service.LOGS, "describe_log_streams", logGroupName=target.name)
        return [
            [event["message"].encode() for event in await self._events(target, stream)]
            for stream in streams["logStreams"]
        ]

    async def _events(self, target: Target, stream: dict[str, Any]) -> list[dict[str, Any]]:
        assert stream["logStreamName"].startswith("aws/IVSChatLogs/1.0/room_Room")
        answer = await self.call(
            Service.LOGS,
            "get_log_events",
            logGroupName=target.name,
            logStreamName=stream["logStreamName"],
            startFromHead=True,
        )
        events: list[dict[str, Any]] = answer["events"]
        return events


class FirehoseStage(Stage):
    """Delivery streams, which write into a bucket."""

    kind = DestinationKind.FIREHOSE

    def make(self) -> Destination:
        return FirehoseDestination(self.access, 5)

    async def target(self) -> Target:
        target = self.missing()
        await self.call(Service.S3, "create_bucket", Bucket=target.name)
        await self.call(
            Service.FIREHOSE,
            "create_delivery_stream",
            DeliveryStreamName=target.name,
            ExtendedS3DestinationConfiguration={
                "RoleARN": ROLE,
                "BucketARN": f"arn:aws:s3:::{target.name}",
            },
        )
        return target

    async def lines(self, target: Target) -> list[list[bytes]]:
        objects = await S3Stage(self.access, self.directory).objects(target)
        return [body.splitlines() for body in objects.values()]


class FilesStage(Stage):
    """Files, for the names of buckets."""

    kind = DestinationKind.S3
    exactly_once = True

    def make(self) -> Destination:
        return FilesDestination(lambda: self.directory, 300, 1_000_000)

    async def target(self) -> Target:
        return self.missing()

    async def lines(self, target: Target) -> list[list[bytes]]:
        directory = self.directory / directory_name(target.name)
        files = [path for path in directory.rglob("*") if path.is_file()]
        return [gzip.decompress(path.read_bytes()).splitlines() for path in files]


STAGES: dict[str, Callable[[AwsAccess, Path], Stage]] = {
    "s3": S3Stage,
    "logs": LogsStage,
    "firehose": FirehoseStage,
    "files": FilesStage,
}
