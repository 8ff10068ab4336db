"""How much is tried: a few seconds in CI, always the same; as much as is asked for by command."""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = os.environ.get("FUZZ_EXAMPLES")
"""How many examples each test tries, at random; without it, a fixed choice of a few."""

SECONDS = 0 if EXAMPLES else 120
"""What one test may take; a long run ends when it is done."""


def profile(examples: int) -> settings:
    """Return the settings of a test that tries so many examples in CI."""
    return settings(
        max_examples=int(EXAMPLES or examples),
        derandomize=EXAMPLES is None,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
