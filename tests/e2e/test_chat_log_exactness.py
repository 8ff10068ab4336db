"""Chat logs against the worst: the process killed under load, destinations down for a while.

moto's server stands for S3, CloudWatch Logs and Firehose. What it holds lives in this process, so
that stopping it and starting it again is an outage, not a loss.
"""

import asyncio
import contextlib
import gzip
import json
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from moto.server import ThreadedMotoServer

from scripts.servers.ports import free_port
from tests.running.process import UNTHROTTLED
from tests.running.said import assert_no_faults
from tests.running.service import Service, running
from tests.running.viewers import Crowd, Speaker, until

SEED = secrets.randbelow(2**32)

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAMOTOMOTOMOTOMOTO", "AWS_SECRET_ACCESS_KEY": "moto" * 10}

BUCKET, GROUP, STREAM, LANDING, FILES = "archive", "chat", "river", "landing", "on-disk"


class Aws:
    """moto's server on one port, which can be away for a while."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: ThreadedMotoServer | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        """Answer no more; what is held stays."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    @property
    def url(self) -> str:
        """Return the endpoint of every service."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, name: Any) -> Any:
        """Return a client of a service."""
        return boto3.client(
            name,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def furnish(self) -> None:
        """Make the bucket, the log group and the delivery stream, which lands in a bucket."""
        s3 = self.client("s3")
        for bucket in (BUCKET, LANDING):
            s3.create_bucket(Bucket=bucket)
        self.client("logs").create_log_group(logGroupName=GROUP)
        self.client("firehose").create_delivery_stream(
            DeliveryStreamName=STREAM,
            S3DestinationConfiguration={
                "RoleARN": "arn:aws:iam::123456789012:role/firehose",
                "BucketARN": f"arn:aws:s3:::{LANDING}",
            },
        )


@pytest.fixture
def aws() -> Iterator[Aws]:
    """Return a furnished stand-in of AWS."""
    aws = Aws()
    aws.start()
    aws.furnish()
    yield aws
    aws.stop()


def variables(aws: Aws) -> dict[str, str]:
    """Return the settings of a service that logs to the stand-in, and to files where named so."""
    return {
        **UNTHROTTLED,
        **KEYS,
        "GREENROOM_S3_ENDPOINT": aws.url,
        "GREENROOM_LOGS_ENDPOINT": aws.url,
        "GREENROOM_FIREHOSE_ENDPOINT": aws.url,
        "GREENROOM_CHAT_LOG_DESTINATIONS": f"s3:{FILES}=files,*=aws",
        "GREENROOM_CHAT_LOG_OBJECT_SECONDS": "1",
        "GREENROOM_CHAT_LOG_BATCH_SECONDS": "1",
    }


class Rooms(msgspec.Struct):
    """A room that logs to the three services of AWS, and one that logs to files."""

    aws: str
    files: str


def make_rooms(service: Service) -> Rooms:
    """Create the rooms with their logging configurations."""
    api = service.boto3()
    destinations: list[dict[str, Any]] = [
        {"s3": {"bucketName": BUCKET}},
        {"cloudWatchLogs": {"logGroupName": GROUP}},
        {"firehose": {"deliveryStreamName": STREAM}},
        {"s3": {"bucketName": FILES}},
    ]
    arns = []
    for destination in destinations:
        made = api.create_logging_configuration(destinationConfiguration=destination)
        assert made["state"] == "ACTIVE", made
        arns.append(made["arn"])
    return Rooms(
        aws=api.create_room(loggingConfigurationIdentifiers=arns[:3])["arn"],
        files=api.create_room(loggingConfigurationIdentifiers=arns[3:])["arn"],
    )


class Witness:
    """Everything that any client received, by room and id."""

    def __init__(self) -> None:
        self.frames: dict[str, dict[str, dict[str, Any]]] = {}

    def see(self, room: str, texts: list[bytes]) -> None:
        """Take down what a connection received, errors aside."""
        frames = self.frames.setdefault(room, {})
        for text in texts:
            frame = json.loads(text)
            if frame["Type"] != "ERROR":
                frames[frame["Id"]] = frame


@contextlib.asynccontextmanager
async def chatting(service: Service, rooms: Rooms, witness: Witness) -> AsyncIterator[None]:
    """Have four users in each room send as fast as they get their echoes, also moderators."""
    async with Crowd(service) as crowd:
        talkers = [
            (room, speaker)
            for room in (rooms.aws, rooms.files)
            for speaker in await crowd.speakers(room, 4)
        ]
        jobs = [asyncio.create_task(talk(speaker)) for _, speaker in talkers]
        yield
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        for room, speaker in talkers:
            witness.see(room, speaker.viewer.texts)


async def talk(speaker: Speaker) -> None:
    """Send until the connection ends."""
    number = 0
    while await speaker.say(f"{speaker.name} says {number} \u2603 \"'\\") is not None:
        number += 1


async def test_killed_under_load_and_destinations_away(tmp_path: Path, aws: Aws) -> None:
    """What any client received is in S3 and in files exactly once, elsewhere at least once."""
    chance = random.Random(SEED)
    witness, data = Witness(), tmp_path / "data"
    rooms: Rooms | None = None
    for round_number in range(3):
        if round_number == 1:
            aws.stop()
        with running(data, **variables(aws)) as service:
            rooms = rooms or make_rooms(service)
            async with chatting(service, rooms, witness):
                await asyncio.sleep(chance.uniform(0.6, 1.4))
                await asyncio.to_thread(service.kill)
                await asyncio.sleep(0.05)
            assert_no_faults(service)
        if round_number == 1:
            aws.start()
    assert rooms is not None
    with running(data, **variables(aws)) as service:
        for room, read in ((rooms.files, read_files(data)), (rooms.aws, read_s3(aws))):
            records = await settled(read, witness.frames[room])
            assert_same(records, witness.frames[room], exactly_once=True)
        for read in (read_log_group(aws, rooms.aws), read_firehose(aws)):
            records = await settled(read, witness.frames[rooms.aws])
            assert_same(records, witness.frames[rooms.aws], exactly_once=False)
        assert service.stop() == 0
    assert sum(map(len, witness.frames.values())) > 200, f"hardly any load; seed {SEED}"


Read = Callable[[], list[dict[str, Any]]]


async def settled(read: Read, frames: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the records as soon as all frames are among them."""
    records: list[dict[str, Any]] = []

    def complete() -> bool:
        records[:] = read()
        return frames.keys() <= {record["payload"]["Id"] for record in records}

    try:
        await until(complete, "every frame is on record", 60)
    except AssertionError:
        missing = frames.keys() - {record["payload"]["Id"] for record in records}
        pytest.fail(f"{len(missing)} of {len(frames)} frames are not on record; seed {SEED}")
    return records


def assert_same(
    records: list[dict[str, Any]], frames: dict[str, dict[str, Any]], *, exactly_once: bool
) -> None:
    """Check the records of a room: what they say, how often, and in which order."""
    times = Counter(record["payload"]["Id"] for record in records)
    if exactly_once:
        assert max(times.values()) == 1, f"a record came twice; seed {SEED}"
        order = [record["payload"]["SendTime"][:19] for record in records]
        assert order == sorted(order)
    for record in records:
        assert list(record) == ["event_timestamp", "type", "payload", "version"]
        frame = frames.get(record["payload"]["Id"])
        # The last frames before a kill are on record although nobody may have received them.
        if frame is not None:
            assert {**record["payload"], "RequestId": ""} == {**frame, "RequestId": ""}


def read_files(data: Path) -> Read:
    """Return a function that reads the records on disk."""

    def read() -> list[dict[str, Any]]:
        objects = (data / "chat-logs" / FILES).rglob("*.log.gz")
        return in_order([lines(each.read_bytes()) for each in objects])

    return read


def read_s3(aws: Aws) -> Read:
    """Return a function that reads the records in the bucket."""
    s3 = aws.client("s3")

    def read() -> list[dict[str, Any]]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        bodies = [s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
        return in_order([lines(body) for body in bodies])

    return read


def in_order(objects: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the records of all objects; those of one minute are named by a hash, not in order."""
    objects.sort(key=lambda records: str(records[0]["payload"]["SendTime"]))
    return [record for records in objects for record in records]


def read_log_group(aws: Aws, room: str) -> Read:
    """Return a function that reads the room's log stream."""
    logs = aws.client("logs")
    stream = f"aws/IVSChatLogs/1.0/room_{room.rpartition('/')[2]}"

    def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            page = logs.get_log_events(
                logGroupName=GROUP, logStreamName=stream, startFromHead=True, **token
            )
            found += [json.loads(event["message"]) for event in page["events"]]
            if token.get("nextToken") == page["nextForwardToken"]:
                return found
            token = {"nextToken": page["nextForwardToken"]}

    return read


def read_firehose(aws: Aws) -> Read:
    """Return a function that reads what the delivery stream has landed."""
    s3 = aws.client("s3")

    def read() -> list[dict[str, Any]]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=LANDING)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        bodies = [s3.get_object(Bucket=LANDING, Key=key)["Body"].read() for key in keys]
        return [json.loads(line) for body in bodies for line in body.decode().splitlines()]

    return read


def lines(body: bytes) -> list[dict[str, Any]]:
    """Return the records of a log object."""
    return [json.loads(line) for line in gzip.decompress(body).decode().splitlines()]
