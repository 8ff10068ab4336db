"""What a name that nobody knows may have been meant for."""

import difflib
from collections.abc import Iterable


def alike(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like this one, None where none does."""
    return next(iter(difflib.get_close_matches(name.lower(), list(known))), None)
