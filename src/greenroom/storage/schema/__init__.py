"""The numbered steps that build the database; append-only: a released step never changes."""

import re
from importlib import resources

import msgspec

_STEP = re.compile(r"(?P<number>[0-9]{4})_[a-z0-9_]+\.sql")


class Step(msgspec.Struct, frozen=True):
    """One step: its number, which becomes the database's `user_version`, and its SQL."""

    number: int
    sql: str


def steps() -> tuple[Step, ...]:
    """Return every step, in order."""
    found = [
        Step(int(match["number"]), file.read_text("utf-8"))
        for file in resources.files(__name__).iterdir()
        if (match := _STEP.fullmatch(file.name))
    ]
    return tuple(sorted(found, key=lambda step: step.number))
