"""A database is moved while no node runs on it: those that are ending are waited for."""

from typing import Any

import pytest

from greenroom.storage.base import StoreInUse
from greenroom.storage.postgres import moving


class Database:
    """In place of a connection: tells, look by look, which nodes are there."""

    def __init__(self, *nodes: list[str]) -> None:
        self.looks = list(nodes)

    async def fetch(self, statement: str) -> list[tuple[str]]:
        """Return the next look's."""
        return [(address,) for address in self.looks.pop(0)]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look three times, at once."""
    monkeypatch.setattr(moving, "LOOK_SECONDS", 0)
    monkeypatch.setattr(moving, "LOOKS", 3)


@pytest.mark.parametrize("looks", [1, 2, 3])
async def test_nodes_that_end_are_waited_for(looks: int) -> None:
    """Nothing more is asked when the last one has gone."""
    database: Any = Database(*[["10.0.0.1"]] * (looks - 1), [], ["never asked"])
    await moving._without_nodes(database, "postgresql://db/r")
    assert database.looks == [["never asked"]]


async def test_nodes_that_stay_are_told() -> None:
    """All of the last look, in their order."""
    database: Any = Database(["10.0.0.9"], ["10.0.0.9"], ["10.0.0.2", "10.0.0.1"], [])
    told = r"postgresql://db/r is in use by nodes on 10\.0\.0\.1, 10\.0\.0\.2: stop all of them"
    with pytest.raises(StoreInUse, match=told):
        await moving._without_nodes(database, "postgresql://db/r")
    assert database.looks == [[]]
