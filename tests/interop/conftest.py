"""Running services for the interop tests: real processes, one of each kind per test worker.

Where several nodes were asked for, each is as many.
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.running import messaging_driver, python_rooms
from tests.running.messaging_driver import Driver, Rooms
from tests.running.service import Service, running

NO_REVIEW = {"GREENROOM_REVIEW_HANDLERS": "*=none"}
"""Rooms may name any function: without AWS credentials none could be invoked."""

_REGIONS = (f"test-region-{number}" for number in itertools.count())


@pytest.fixture(scope="session", autouse=True)
def over_nodes(many_nodes: None) -> None:
    """Have `running` run as many nodes as were asked for."""


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, over_nodes: None) -> Iterator[Service]:
    """Return a service that does not limit the number of logging configurations."""
    unlimited = "logging_configurations=0"
    yield from _serving(tmp_path_factory.mktemp("a service"), GREENROOM_QUOTAS=unlimited)


@pytest.fixture(scope="session")
def aws_service(tmp_path_factory: pytest.TempPathFactory, over_nodes: None) -> Iterator[Service]:
    """Return a service with AWS's own request rates."""
    yield from _serving(tmp_path_factory.mktemp("aws-service"), GREENROOM_REQUEST_RATES="aws")


def _serving(directory: Path, **variables: str) -> Iterator[Service]:
    """Yield a service; see in the end that it still runs, and that no request has crashed in it."""
    with running(directory / "data", GREENROOM_REGIONS="*", **variables, **NO_REVIEW) as started:
        yield started
        assert started.process.poll() is None, started.log.read_text()
        for log in directory.glob("*.log"):
            assert "crashed" not in log.read_text()


@pytest.fixture
def region() -> str:
    """Return a region that no other test of this worker uses: nothing is in it yet."""
    return next(_REGIONS)


@pytest.fixture
def client(service: Service, region: str) -> Iterator[Any]:
    """Return a boto3 client in a region of its own."""
    made = service.boto3(region=region)
    yield made
    made.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["javascript", "python"])
async def sdk(request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    """One Node process for all tests, or the Python client in its place."""
    if request.param == "python":
        async with python_rooms.running() as python:
            yield python
    else:
        async with messaging_driver.running("messaging_node.mjs") as javascript:
            yield javascript


@pytest_asyncio.fixture(loop_scope="module")
async def rooms(sdk: Driver, service: Service) -> AsyncIterator[Rooms]:
    """The test's own rooms."""
    rooms = Rooms(sdk, service)
    yield rooms
    await rooms.leave()


@pytest.fixture
def arn(service: Service) -> str:
    """A room of the test's own, in which 100 messages a second are allowed."""
    return str(service.boto3().create_room(maximumMessageRatePerSecond=100)["arn"])
