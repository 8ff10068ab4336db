"""The machine's speed beside what is measured: a fixed piece of Python work, all the time.

A neighbour on the same host makes everything slower, and not everything by the same factor. So
while a turn of a comparison lasts, a thread on the servers' core does a little of the fixed work
every now and then, and notes the CPU that it took. The medians of both halves of a turn are two
looks at the machine's speed. Turns whose looks differ by more than `MOVED` are taken again; what
never found a steady stretch is published, and marked.

A look is of the machine, not of itself or of what is measured. CPU counts, not time, so that who
else has the core costs nothing. Each piece of the work walks to objects that were not touched for
a hundred pieces: they are in no core's own cache, whichever server had it meanwhile. A piece takes
half a millisecond: the server is left 99 % of its core.
"""

import contextlib
import itertools
import json
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from benchmarks.processes import SERVER_CORE, on_core
from benchmarks.series import Series, progress

MOVED = 1.15
"""The slowest look of a case over its quickest: above it, the turns are taken again."""

ATTEMPTS = 3
OBJECTS = 50_000
"""Several megabytes of small objects: what a neighbour takes first is the cache."""

PIECE = 500
"""Objects of one piece of work."""

PAUSE_SECONDS = 0.04
"""Between two pieces."""

LEAST = 6
"""Pieces of the shortest turn."""

T = TypeVar("T")


class Work:
    """The fixed work: a walk over many objects, again and again, a piece at a time."""

    def __init__(self) -> None:
        self._kept = {number: (f"object-{number}", number) for number in range(OBJECTS)}
        order = random.Random(1).sample(range(OBJECTS), OBJECTS)  # noqa: S311 - the same every time
        self._pieces = itertools.cycle(
            [order[start : start + PIECE] for start in range(0, OBJECTS, PIECE)]
        )

    def piece(self) -> float:
        """Do a piece; return the CPU that it took, in microseconds."""
        piece, total = next(self._pieces), 0
        began = time.thread_time()
        for number in piece:
            name, value = self._kept[number]
            total += len(name) + value
            if number % 50 == 0:
                total += len(json.dumps([name, value]))
        return (time.thread_time() - began) * 1e6


_work = Work()


@contextlib.contextmanager
def watching(piece: Callable[[], float] = _work.piece) -> Iterator[list[float]]:
    """Do pieces of the work on the servers' core during a `with` block; give what each took."""
    taken, over = list[float](), threading.Event()

    def watch() -> None:
        with on_core(SERVER_CORE):
            while not over.wait(PAUSE_SECONDS) or len(taken) < LEAST:
                taken.append(piece())

    thread = threading.Thread(target=watch, name="calibration")
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


class Calibration:
    """Takes the turns of a table's cases, and looks at the machine's speed meanwhile."""

    def __init__(self, attempts: int = ATTEMPTS, piece: Callable[[], float] = _work.piece) -> None:
        self._attempts = attempts
        self._piece = piece
        self._looks: list[float] = []
        self._rounds: Counter[str] = Counter()
        self._disturbed: Counter[str] = Counter()

    def turns(self, case: str, turns: Sequence[Callable[[], T]]) -> list[T]:
        """Return what each turn gave, from one steady stretch if there is one."""
        results: list[T] = []
        for _ in range(self._attempts):
            looks, results = list[float](), []
            for turn in turns:
                with watching(self._piece) as taken:
                    results.append(turn())
                looks += _halves(taken)
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
        looks = Series(self._looks).text(0) if self._looks else "none"
        marked = sum(self._disturbed.values())
        return (
            f"Calibration: {len(self._looks)} looks, {looks} µs of CPU for the fixed Python work; "
            f"{marked} of {sum(self._rounds.values())} rounds of cases disturbed, which is that it "
            f"moved by more than {MOVED - 1:.0%} in {self._attempts} attempts."
        )

    def raw(self) -> Mapping[str, object]:
        """Return everything, for the JSON file."""
        return {"looks_us": self._looks, "disturbed": dict(self._disturbed)}


def _halves(taken: Sequence[float]) -> list[float]:
    """Return the median piece of each half: what a single one met does not count."""
    middle = len(taken) // 2
    return [statistics.median(taken[:middle]), statistics.median(taken[middle:])]


def _percent(looks: Sequence[float]) -> int:
    return round(100 * (max(looks) / min(looks) - 1))
