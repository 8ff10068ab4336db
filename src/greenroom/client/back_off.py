"""How long to wait before the next attempt."""

import random

FIRST_SECONDS = 0.25
LONGEST_SECONDS = 15.0


def delay(attempt: int) -> float:
    """Return the seconds before an attempt, the first of which is 1.

    They double, and a random part is taken off: clients that lost one server at one moment should
    not all come back at one moment.
    """
    most = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempt, 30))
    return most * random.uniform(0.25, 1)  # noqa: S311 - spreads clients, protects nothing
