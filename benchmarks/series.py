"""One figure in every round, and what is said of it; what was done, for who waits."""

import statistics
import sys
from collections.abc import Callable, Iterable
from typing import Self

import msgspec

from benchmarks.client import Outcome


class Series(msgspec.Struct, frozen=True):
    """One figure in every round."""

    values: list[float]

    @classmethod
    def of(cls, outcomes: Iterable[Outcome], figure: Callable[[Outcome], float]) -> Self:
        """Return a figure of each outcome."""
        return cls([figure(outcome) for outcome in outcomes])

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        """The smallest one."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest one."""
        return max(self.values)

    def over(self, base: Self) -> Self:
        """Return the ratios to another series, round by round."""
        return type(self)([a / b for a, b in zip(self.values, base.values, strict=True)])

    def minus(self, base: Self) -> Self:
        """Return the differences to another series, round by round."""
        return type(self)([a - b for a, b in zip(self.values, base.values, strict=True)])

    def text(self, digits: int = 2) -> str:
        """Return the median with the range."""
        median, least, most = (
            f"{value:,.{digits}f}" for value in (self.median, self.least, self.most)
        )
        return f"{median} ({least}-{most})"


def progress(text: str) -> None:
    """Tell who waits what was done, on standard error."""
    sys.stderr.write(f"  {text}\n")
