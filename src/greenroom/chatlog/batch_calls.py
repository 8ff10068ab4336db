"""The calls that a batch takes: several at a time, and none again that was successful.

A batch of many rooms is many calls. One that fails, or takes too long, goes on where it stopped
when it comes again: else a batch of too many rooms would never end.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from greenroom.chatlog.base import Record, Target
from greenroom.model.arn import Arn

CALLS_AT_A_TIME = 8
"""Calls of one batch that are under way at a time, after the first."""

MAXIMUM_BATCHES = 1000
"""Batches whose calls are remembered, one per configuration; of the oldest all are made again."""

T = TypeVar("T")

_Batch = tuple[Target, int, int, int]


class Progress(Generic[T]):
    """What the calls of each configuration's batch have returned so far, by their places."""

    def __init__(self) -> None:
        self._batches: dict[Arn, tuple[_Batch, dict[int, T]]] = {}

    def of(self, target: Target, records: Sequence[Record]) -> dict[int, T]:
        """Return what the batch's calls have returned; empty for another batch than the last."""
        batch = (target, records[0].sequence, records[-1].sequence, len(records))
        known = self._batches.pop(target.configuration, None)
        if known is None or known[0] != batch:
            known = (batch, {})
        self._batches[target.configuration] = known
        if len(self._batches) > MAXIMUM_BATCHES:
            del self._batches[next(iter(self._batches))]
        return known[1]

    def end(self, target: Target) -> None:
        """Forget the batch: all of its calls are made."""
        self._batches.pop(target.configuration, None)


async def make_calls(calls: Sequence[Callable[[], Awaitable[T]]], done: dict[int, T]) -> None:
    """Make the calls that are not done; raise the first failure once none is under way any more.

    The first is made alone: a destination that takes nothing is to hold up one thread, not several.
    """
    waiting = iter([place for place in range(len(calls)) if place not in done])
    size = 1
    while some := list(itertools.islice(waiting, size)):
        outcomes = await asyncio.gather(*(calls[each]() for each in some), return_exceptions=True)
        failures = []
        for place, outcome in zip(some, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                failures.append(outcome)
            else:
                done[place] = outcome
        if failures:
            raise failures[0]
        size = CALLS_AT_A_TIME
