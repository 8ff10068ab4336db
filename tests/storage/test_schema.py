"""The numbered steps."""

import hashlib
import re

import pytest

from greenroom.storage.schema import POSTGRES, SQLITE, steps

RELEASED: dict[str, dict[int, str]] = {SQLITE: {}, POSTGRES: {}}
"""The SHA-256 of each released step's SQL. No release has been made yet."""


@pytest.mark.parametrize("database", RELEASED)
def test_steps_are_numbered_without_gaps(database: str) -> None:
    """Steps count from 1, so a number says which ones a database has seen."""
    assert [each.number for each in steps(database)] == list(range(1, len(steps(database)) + 1))


@pytest.mark.parametrize("database", RELEASED)
def test_released_steps_never_change(database: str) -> None:
    """A database that has seen a step never sees another one of its number."""
    digests = {
        each.number: hashlib.sha256(each.sql.encode()).hexdigest() for each in steps(database)
    }
    released = RELEASED[database]
    assert {number: digests[number] for number in released} == released


def test_steps_of_a_shared_database_only_add() -> None:
    """Nodes of the version before, which know nothing of a step, read and write as they did."""
    taking = re.compile(r"\b(DROP|RENAME|TRUNCATE|ALTER COLUMN|SET NOT NULL)\b", re.IGNORECASE)
    assert [each.number for each in steps(POSTGRES) if taking.search(each.sql)] == []
