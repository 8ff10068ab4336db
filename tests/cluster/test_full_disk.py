"""A disk without space at PostgreSQL: writes are refused, rooms chat on, and it heals by itself."""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from scripts.servers.postgresql import PostgreSQL
from scripts.servers.postgresql_installation import owner
from tests.running.cluster import hear, nodes, place, say, status_of, viewers
from tests.running.disks import fill, free, small_disk
from tests.running.said import assert_no_faults, entries, samples
from tests.running.service import Service

MEGABYTES = 160


@pytest.fixture
def small() -> Iterator[tuple[PostgreSQL, Path]]:
    """Give a PostgreSQL whose disk is soon full, and the disk."""
    server = PostgreSQL(settings={"fsync": "off"})
    try:
        with small_disk(server.folder / "disk", MEGABYTES) as disk:
            os.chown(disk, *owner())
            server.data = Path(shutil.copytree(server.data, disk / "data", symlinks=True))
            for path in (server.data, *server.data.rglob("*")):
                os.chown(path, *owner())
            server.start()
            yield server, disk
            server.stop()
    finally:
        server.remove()


async def test_postgresql_without_space(
    tmp_path: Path, small: tuple[PostgreSQL, Path], bus_url: str
) -> None:
    """What cannot be kept is answered with 503, what is answered otherwise is kept."""
    server, disk = small
    with nodes(place(tmp_path, server.create_database("rooms"), bus_url), 1) as (service,):
        room = service.boto3().create_room()["arn"]
        async with viewers([service], room) as (viewer,):
            fill(disk)
            kept = [room, *await asyncio.to_thread(_until_refused, service)]
            (told,) = entries(service, "store cannot answer")
            assert "No space left on device" in told["reason"]
            assert samples(service)["greenroom_store_failures_total"] > 0
            await say(viewer, "on")
            assert (await hear(viewer)).content == "on"
            free(disk)
            kept += await asyncio.to_thread(_made_again, service)
            found = service.boto3().list_rooms(maxResults=50)["rooms"]
            assert {each["arn"] for each in found} == set(kept)
            assert entries(service, "store answers again")
            token = await asyncio.to_thread(service.token, room)
            assert await status_of(service, token) == 101
        assert_no_faults(service)


def _until_refused(service: Service, most: int = 40) -> list[str]:
    """Make rooms until one is refused, or so many are made; return them."""
    made: list[str] = []
    client = service.boto3()
    while len(made) < most:
        try:
            made.append(client.create_room(tags={"a": "x" * 250, "b": "y" * 250})["arn"])
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 503:
                raise
            break
    return made


def _made_again(service: Service) -> list[str]:
    """Make a room as soon as that is possible."""
    while not (made := _until_refused(service, most=1)):
        time.sleep(0.1)
    return made
