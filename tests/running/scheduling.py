"""Which worker of pytest-xdist runs which tests, and in which order.

The tests of a file stay together, because they share what takes long to start; so do files that
would disturb each other. What takes longest is begun first, so that the workers end together; and
some workers run what waits while the others run what computes, so that no core is idle.
"""

from collections.abc import Mapping

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has no types
from xdist.workermanage import WorkerController  # type: ignore[import-untyped]  # likewise

TOGETHER: Mapping[str, str] = {
    "tests/stress/": "stress",
    "tests/e2e/test_hostile.py": "hostile",
    "tests/e2e/test_advisories.py": "hostile",
    "tests/fuzz/test_process.py": "hostile",
    "tests/bus/nats/test_provided.py": "buses",
    "tests/contracts/test_bus.py": "buses",
    "tests/contracts/test_bus_nodes.py": "buses",
    "tests/contracts/test_chat_over_nodes.py": "buses",
}
"""What runs on one worker, by what its path begins with: each takes the machine to its limits,
or needs three NATS servers."""

APART = ("tests/docs/test_pages.py",)
"""Files whose tests share nothing and take long: each goes to whichever worker is free."""

FIRST = (
    "tests/cluster/test_killer.py",
    "stress",
    "tests/docs/test_pages.py",
    "tests/cluster/",
    "hostile",
    "tests/bus/nats/test_faults.py",
    "tests/test_benchmarks.py",
    "tests/interop/",
    "tests/e2e/",
    "tests/testing/",
    "tests/deploy/",
    "tests/cli/",
    "buses",
    "tests/storage/postgres/",
    "tests/contracts/",
)
"""What takes longest, by what the name of the unit begins with; small files fill up the end."""


WAITING = (
    "tests/cluster/",
    "tests/bus/nats/",
    "tests/storage/postgres/",
    "tests/test_servers.py",
    "tests/test_soak.py",
)
"""What mostly waits: for timeouts, elections and servers that come back."""


def unit_of(nodeid: str) -> str:
    """Return the name of the tests that a test stays together with: its file, or several files."""
    file = nodeid.partition("::")[0]
    if file in APART:
        return nodeid
    return next((unit for start, unit in TOGETHER.items() if file.startswith(start)), file)


def place_of(nodeid: str) -> int:
    """Return how early a test's unit is begun, the earliest with 0."""
    unit = unit_of(nodeid)
    places = (place for place, start in enumerate(FIRST) if unit.startswith(start))
    return next(places, len(FIRST))


class UnitScheduling(LoadFileScheduling):  # type: ignore[misc]  # likewise
    """Gives a worker unit after unit, in the order in which the tests were collected.

    Every second worker is first given what mostly waits, and the others what does not.
    """

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        waits = self.nodes.index(node) % 2 == 0
        fitting = (unit for unit in self.workqueue if unit.startswith(WAITING) is waits)
        if (unit := next(fitting, None)) is not None:
            self.workqueue.move_to_end(unit, last=False)
        super()._assign_work_unit(node)
