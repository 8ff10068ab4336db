"""What the scenarios share: the seed, the scale, the loop, and what a failure shows."""

import asyncio
import os
import random
import resource
import secrets
from collections.abc import AsyncIterator, Callable, Generator, Iterator

import pytest

from tests.running.asked import OVER_TLS

SEED = int(os.environ.get("STRESS_SEED", secrets.randbelow(2**32)))
SCALE = float(os.environ.get("STRESS_SCALE", "1"))

Scaled = Callable[[int], int]

_HERE = "tests/stress/"


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Return the scenario's randomness: the same for the same seed, whatever else runs."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def scaled() -> Scaled:
    """Return a function that makes a number of clients, rounds or messages as large as asked."""
    return lambda number: max(1, round(number * SCALE))


@pytest.fixture(autouse=True)
def open_files() -> Iterator[None]:
    """Let this process, which holds the clients, open as many files as it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(autouse=True)
async def faults() -> AsyncIterator[None]:
    """Fail the scenario when a client fails in a callback, where nobody else would see it."""
    found: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield
    assert found == []


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the clients on the loop that costs least.

    Over TLS uvloop's clients lose what came before the end while they had paused reading.
    """
    if OVER_TLS:
        return {"asyncio": asyncio.new_event_loop}
    try:
        import uvloop
    except ImportError:
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in every failure how to repeat it."""
    report = yield
    if report.failed and item.nodeid.startswith(_HERE):
        report.sections.append(("to repeat", f"STRESS_SEED={SEED} STRESS_SCALE={SCALE:g}"))
    return report
