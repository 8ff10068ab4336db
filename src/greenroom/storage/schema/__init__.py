"""The numbered steps that build each database; append-only: a released step never changes.

Before the first release a step may be changed in place, where its tables serve as well in the form
they had: a database that was made before keeps that form, under the same number.

A step of PostgreSQL only adds: nodes of the version before go on with the database meanwhile.
"""

import re
from importlib import resources

import msgspec

SQLITE = "sqlite"
POSTGRES = "postgres"

_STEP = re.compile(r"(?P<number>[0-9]{4})_[a-z0-9_]+\.sql")


class Step(msgspec.Struct, frozen=True):
    """One step: its number, by which the database knows that it has seen it, and its SQL."""

    number: int
    sql: str


def steps(database: str) -> tuple[Step, ...]:
    """Return every step of a kind of database, in order."""
    found = [
        Step(int(match["number"]), file.read_text("utf-8"))
        for file in resources.files(__name__).joinpath(database).iterdir()
        if (match := _STEP.fullmatch(file.name))
    ]
    return tuple(sorted(found, key=lambda step: step.number))
