"""`python -m benchmarks.uncounted serve`: the service with a fan-out that counts nothing.

`metrics.py` compares the service with it. What is left of the counting are two calls of each flush
that do nothing, and one addition for each message.
"""

from greenroom.cli.main import main
from greenroom.messaging.fanout import Fanout
from greenroom.server import node


class UncountedFanout(Fanout):
    """A fan-out whose numbers stay zero."""

    def _count(self, *_: object) -> None:
        """Count nothing."""

    def _measure(self, *_: object) -> None:
        """Measure nothing."""


if __name__ == "__main__":
    node.Fanout = UncountedFanout  # type: ignore[misc]
    main()
