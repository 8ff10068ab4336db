"""The AWS SDK for JavaScript v3, unmodified, in Node; the cases are in `js/`."""

from collections.abc import Iterator

import pytest

from tests.interop.js import cases
from tests.interop.js.cases import Outcomes, Program
from tests.running.service import Service, running

OPERATIONS = Program("v3_node.mjs", ("operations.mjs", "v3_pages.mjs"))
LIMITS = Program("v3_limits.mjs", ("limits.mjs",))


@pytest.fixture(scope="module")
def operations(service: Service) -> Outcomes:
    """Return how operations, paginators and errors went."""
    return OPERATIONS.run(service)


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """Return how quotas and retries went, on a service with AWS's numbers."""
    with running(tmp_path_factory.mktemp("limits") / "data", **cases.LIMITS) as limited:
        yield LIMITS.run(limited)


@pytest.mark.parametrize("name", OPERATIONS.names)
def test_operations(operations: Outcomes, name: str) -> None:
    """Every command, paginator and typed error answers what the SDK expects."""
    cases.check(operations, name)


@pytest.mark.parametrize("name", LIMITS.names)
def test_limits(limits: Outcomes, name: str) -> None:
    """Quotas and request rates are typed errors, and what can be retried is retried."""
    cases.check(limits, name)
