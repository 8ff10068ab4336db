"""Rooms are written to with io_uring where the process may, and one connection at a time elsewhere.

Scenarios of `test_fanout` run in both ways; here it is shown which one a process takes.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.running.io_uring import needs_io_uring
from tests.running.process import serving
from tests.running.said import entries
from tests.running.viewers import until
from tests.stress.test_fanout import assert_exact, talk

VIEWERS = 100

IO_URING = "io_uring: rooms are written to with one system call"
NO_IO_URING = "no io_uring: rooms are written to one connection at a time"


@pytest.mark.parametrize("way", [pytest.param("auto", marks=needs_io_uring), "off", "refused"])
async def test_the_way_that_is_taken(way: str, tmp_path: Path, chance: random.Random) -> None:
    """Whatever the system allows, everybody sees everything once; the log says why it is slower."""
    variables = {"GREENROOM_IO_URING": "off" if way == "off" else "auto"}
    variables["GREENROOM_LOG_LEVEL"] = "debug"
    if way == "refused":
        found = (str(Path(__file__).parent / "no_io_uring"), os.environ.get("PYTHONPATH"))
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, found))
    async with serving(tmp_path, **variables) as (service, crowd):
        assert len(entries(service, IO_URING)) == (way == "auto")
        reasons = [entry["reason"] for entry in entries(service, NO_IO_URING)]
        assert reasons == (["Operation not permitted"] if way == "refused" else [])
        room = str(service.boto3().create_room()["arn"])
        viewers = await crowd.fill(room, VIEWERS)
        speakers = await crowd.speakers(room, 2)
        await asyncio.gather(*(talk(each, 30, chance) for each in speakers))
        total = sum(len(each.sent) for each in speakers)
        await until(lambda: all(len(each.texts) >= total for each in viewers), "all saw all")
        assert_exact(viewers, speakers)
