"""The numbered steps."""

import hashlib

from greenroom.storage.schema import steps

RELEASED: dict[int, str] = {}
"""The SHA-256 of each released step's SQL. No release has been made yet."""


def test_steps_are_numbered_without_gaps() -> None:
    """Steps count from 1, so a database's `user_version` says which ones it has seen."""
    assert [step.number for step in steps()] == list(range(1, len(steps()) + 1))


def test_released_steps_never_change() -> None:
    """A database that has seen a step never sees another one of its number."""
    digests = {step.number: hashlib.sha256(step.sql.encode()).hexdigest() for step in steps()}
    assert {number: digests[number] for number in RELEASED} == RELEASED
