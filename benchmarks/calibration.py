"""The machine's speed beside what is measured: a fixed piece of Python work, before and after.

A neighbour on the same host makes everything slower, and not everything by the same factor. So each
turn of a comparison stands between two looks at the speed. Turns whose looks differ by more than
`MOVED` are taken again; what never found a steady moment is published, and marked.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from benchmarks.processes import SERVER_CORE, on_core
from benchmarks.series import Series, progress

MOVED = 1.15
"""The slowest look of a case over its quickest: above it, the turns are taken again."""

ATTEMPTS = 3
PASSES = 5
OBJECTS = 50_000
"""Several megabytes of small objects: what a neighbour takes first is the cache."""

T = TypeVar("T")


def workload() -> float:
    """Do the fixed work on the servers' core; return the CPU it took, in milliseconds."""
    with on_core(SERVER_CORE):
        return min(_pass() for _ in range(PASSES))


def _pass() -> float:
    began, total = time.thread_time(), 0
    for number in _ORDER:
        name, value = _KEPT[number]
        total += len(name) + value
        if number % 50 == 0:
            total += len(json.dumps([name, value]))
    return (time.thread_time() - began) * 1e3


_KEPT = {number: (f"object-{number}", number) for number in range(OBJECTS)}
_ORDER = random.Random(1).sample(range(OBJECTS), OBJECTS)  # noqa: S311 - the same every time


class Calibration:
    """Takes the turns of a table's cases between looks at the machine's speed."""

    def __init__(self, attempts: int = ATTEMPTS, look: Callable[[], float] = workload) -> None:
        self._attempts = attempts
        self._look = look
        self._looks: list[float] = []
        self._rounds: Counter[str] = Counter()
        self._disturbed: Counter[str] = Counter()

    def turns(self, case: str, turns: Sequence[Callable[[], T]]) -> list[T]:
        """Return what each turn gave, from one steady stretch if there is one."""
        results: list[T] = []
        for _ in range(self._attempts):
            looks, results = [self._look()], []
            for turn in turns:
                results.append(turn())
                looks.append(self._look())
            self._looks += looks
            if max(looks) <= MOVED * min(looks):
                break
            progress(f"{case}: the machine's speed moved by {_percent(looks)} %")
        else:
            self._disturbed[case] += 1
        self._rounds[case] += 1
        return results

    def is_disturbed(self, case: str) -> bool:
        """Return whether more than half of a case's rounds found no steady stretch."""
        return 2 * self._disturbed[case] > self._rounds[case]

    def shown(self, case: str) -> str:
        """Return a case's name, marked when some of its rounds were disturbed."""
        disturbed, rounds = self._disturbed[case], self._rounds[case]
        return f"{case} (disturbed: {disturbed} of {rounds})" if disturbed else case

    def note(self) -> str:
        """Return the sentence below a table: how fast the machine was, and how steady."""
        looks = Series(self._looks).text(1) if self._looks else "none"
        marked = sum(self._disturbed.values())
        return (
            f"Calibration: {len(self._looks)} looks, {looks} ms of CPU for the fixed Python work; "
            f"{marked} of {sum(self._rounds.values())} rounds of cases disturbed, which is that it "
            f"moved by more than {MOVED - 1:.0%} in {self._attempts} attempts."
        )

    def raw(self) -> Mapping[str, object]:
        """Return everything, for the JSON file."""
        return {"looks_ms": self._looks, "disturbed": dict(self._disturbed)}


def _percent(looks: Sequence[float]) -> int:
    return round(100 * (max(looks) / min(looks) - 1))
