"""Room settings as callers in Python name and give them."""

import re
from collections.abc import Sequence

SettingValue = bool | int | str | Sequence[str]


def camel(name: str) -> str:
    """Return a name in snake case as the service has it; one of the service's as it is."""
    return re.sub(r"_([a-z])", lambda letter: letter[1].upper(), name)
