"""A disk without space: chat goes on, the logs are behind and say so, and nothing is lost."""

import asyncio
import gzip
import json
import resource
from pathlib import Path

from tests.running.process import UNTHROTTLED
from tests.running.said import assert_no_faults, entries, samples
from tests.running.service import Service, running
from tests.running.viewers import Crowd, Speaker, until


def fill_disk(service: Service) -> None:
    """Have every write to a file fail from now on, as on a disk without space."""
    _, hard = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (1, hard))


def free_disk(service: Service) -> None:
    """Let files be written again."""
    _, hard = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


async def test_full_disk(tmp_path: Path) -> None:
    """While nothing can be written all messages arrive; afterwards each is on record once."""
    data = tmp_path / "data"
    options = {**UNTHROTTLED, "GREENROOM_CHAT_LOG_OBJECT_SECONDS": "1"}
    with running(data, **options, GREENROOM_CHAT_LOG_DESTINATIONS="*=files") as service:
        api = service.boto3()
        destination = {"s3": {"bucketName": "archive"}}
        arn = api.create_logging_configuration(destinationConfiguration=destination)["arn"]
        room = api.create_room(loggingConfigurationIdentifiers=[arn])["arn"]
        async with Crowd(service) as crowd:
            (speaker,) = await crowd.speakers(room, 1)
            (viewer,) = await crowd.fill(room, 1)
            await talk(speaker, 50)
            fill_disk(service)
            await talk(speaker, 200)
            assert samples(service)["greenroom_journal_memory_bytes"] > 0
            free_disk(service)
            await talk(speaker, 50)
            await until(lambda: len(viewer.texts) == 300, "the viewer sees all")
            frames = {frame["Id"] for frame in map(json.loads, viewer.texts)}
            await until(lambda: len(records(data)) >= 300, "all is on record", 60)
        assert samples(service)["greenroom_journal_memory_bytes"] == 0
        # The line that it began was lost: the log is a file too.
        (over,) = entries(service, "chat logs are no longer behind")
        assert over["dropped"] == 0
        assert service.stop() == 0
        assert_no_faults(service)
    ids = [record["payload"]["Id"] for record in records(data)]
    assert len(ids) == len(set(ids)) == 300
    assert set(ids) == frames


async def talk(speaker: Speaker, times: int) -> None:
    """Send so many messages, each when the one before came back."""
    for _ in range(times):
        echo = await speaker.say()
        assert echo is not None
        assert echo.type == "MESSAGE", echo
    await asyncio.sleep(0)


def records(data: Path) -> list[dict[str, dict[str, str]]]:
    """Return the records on disk."""
    objects = (data / "chat-logs").rglob("*.log.gz")
    return [
        json.loads(line)
        for each in objects
        for line in gzip.decompress(each.read_bytes()).splitlines()
    ]
