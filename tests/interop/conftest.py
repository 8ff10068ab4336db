"""Running services for the interop tests: real processes, one of each kind per test worker."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.running.service import Service, running

NO_REVIEW = {"GREENROOM_REVIEW_HANDLERS": "*=none"}
"""Rooms may name any function: without AWS credentials none could be invoked."""

_REGIONS = (f"test-region-{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that limits neither request rates nor logging configurations."""
    settings = {
        "GREENROOM_REGIONS": "*",
        "GREENROOM_REQUEST_RATES": "off",
        "GREENROOM_QUOTAS": "logging_configurations=0",
    }
    data_dir = tmp_path_factory.mktemp("a service") / "data"
    with running(data_dir, **settings, **NO_REVIEW) as started:
        yield from _checked(started)


@pytest.fixture(scope="session")
def aws_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with AWS's own request rates."""
    data_dir = tmp_path_factory.mktemp("aws-service") / "data"
    settings = {"GREENROOM_REGIONS": "*", "GREENROOM_REQUEST_RATES": "aws"}
    with running(data_dir, **settings, **NO_REVIEW) as started:
        yield from _checked(started)


def _checked(service: Service) -> Iterator[Service]:
    """Yield the service; afterwards it must still run, and no request may have crashed in it."""
    yield service
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
