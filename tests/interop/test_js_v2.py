"""The AWS SDK for JavaScript v2, unmodified, against running services; the cases are in `js/`."""

from collections.abc import Iterator

import pytest

from tests.interop.js import cases
from tests.interop.js.cases import Outcomes, Program
from tests.running.service import Service, running

OPERATIONS = Program("v2_operations.mjs", ("operations.mjs",))
OPTIONS = Program("v2_options.mjs")
LIMITS = Program("v2_limits.mjs", ("limits.mjs",))


@pytest.fixture(scope="module")
def operations(service: Service) -> Outcomes:
    """Return how the calls of operations went."""
    return OPERATIONS.run(service)


@pytest.fixture(scope="module")
def options(service: Service) -> Outcomes:
    """Return how the constructor's options went."""
    return OPTIONS.run(service, credentialsFile=service.ready["credentials_file"])


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """Return how quotas and retries went, on a service with AWS's numbers."""
    with running(tmp_path_factory.mktemp("limits") / "data", **cases.LIMITS) as limited:
        yield LIMITS.run(limited)


@pytest.mark.parametrize("name", OPERATIONS.names)
def test_operations(operations: Outcomes, name: str) -> None:
    """Every operation, error and way to call answers what the SDK expects."""
    cases.check(operations, name)


@pytest.mark.parametrize("name", OPTIONS.names)
def test_options(options: Outcomes, name: str) -> None:
    """Every constructor option that reaches the wire or the answer does what it is there for."""
    cases.check(options, name)


@pytest.mark.parametrize("name", LIMITS.names)
def test_limits(limits: Outcomes, name: str) -> None:
    """Quotas and request rates are typed errors, and what can be retried is retried."""
    cases.check(limits, name)
