"""Running services for the interop tests: real processes, one of each kind per test worker.

With CLUSTER_NODES=2 the same tests speak to two nodes of a cluster behind one port, with
CLUSTER_PROCESSES=2 to nodes of two processes.
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.running import messaging_driver, python_rooms
from tests.running.asked import NODES, PROCESSES, TOGETHER
from tests.running.cluster import nodes, one_port, place
from tests.running.messaging_driver import Driver, Rooms
from tests.running.servers import fresh_database, new_account
from tests.running.service import Service, running

NO_REVIEW = {"GREENROOM_REVIEW_HANDLERS": "*=none"}
"""Rooms may name any function: without AWS credentials none could be invoked."""

_REGIONS = (f"test-region-{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def service(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Service]:
    """Return a service that does not limit the number of logging configurations."""
    settings = {"quotas": "logging_configurations=0"}
    yield from _serving(tmp_path_factory.mktemp("a service"), request, settings)


@pytest.fixture(scope="session")
def aws_service(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Service]:
    """Return a service with AWS's own request rates."""
    settings = {"request_rates": "aws"}
    yield from _serving(tmp_path_factory.mktemp("aws-service"), request, settings)


def _serving(
    directory: Path, request: pytest.FixtureRequest, settings: dict[str, str]
) -> Iterator[Service]:
    """Yield one process, or as many nodes as were asked for behind one port."""
    settings = {"regions": "*", **settings}
    if not TOGETHER:
        variables = {f"GREENROOM_{name.upper()}": value for name, value in settings.items()}
        with running(directory / "data", **variables, **NO_REVIEW) as started:
            yield started
            _check(started)
        return
    account = new_account(request.getfixturevalue("nats_r1"))
    with (
        fresh_database(request.getfixturevalue("postgresql_newest")) as database,
        nodes(
            place(directory, database, account),
            NODES,
            processes=str(PROCESSES),
            review_handlers="*=none",
            **settings,
        ) as started_nodes,
        one_port(started_nodes) as together,
    ):
        yield together
        for each in started_nodes:
            _check(each)


def _check(service: Service) -> None:
    """See that the process still runs, and that no request has crashed in it."""
    assert service.process.poll() is None, service.log.read_text()
    assert "crashed" not in service.log.read_text()


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
