"""Single attempts, and what a row of them has shown."""

import asyncio
from collections.abc import Sequence

import pytest
import structlog.testing

from greenroom.chatlog import attempts
from greenroom.chatlog.attempts import LASTING_ATTEMPTS, Trouble, attempt
from greenroom.chatlog.base import DestinationFailed, FailureKind, Record, Target
from greenroom.chatlog.waiting import Backoff
from greenroom.model.logging_configuration import DestinationKind
from tests.stand_ins.batches import a_batch, a_target
from tests.stand_ins.scene import Kept

TARGET = a_target(DestinationKind.S3, "bucket")
MISSING, DENIED, OTHER = FailureKind.NOT_FOUND, FailureKind.ACCESS_DENIED, FailureKind.OTHER


class Failing(Kept):
    """A destination that raises what a test says, or nothing."""

    error: Exception | None = None

    async def deliver(self, target: Target, records: Sequence[Record]) -> int:
        if self.error is not None:
            raise self.error
        return 3


async def outcome(error: Exception | None) -> tuple[FailureKind | None, str, int]:
    """Return how an attempt ends: its failure's kind and words, and what was refused."""
    destination = Failing()
    destination.error = error
    failure, refused = await attempt(destination, TARGET, a_batch())
    return (None, "", refused) if failure is None else (failure.kind, failure.why, refused)


async def test_outcomes() -> None:
    """What the destination says counts; what it did not mean to say is another failure."""
    with structlog.testing.capture_logs() as lines:
        assert await outcome(None) == (None, "", 3)
        assert await outcome(DestinationFailed(MISSING, "gone")) == (MISSING, "gone", 0)
        assert await outcome(TimeoutError()) == (OTHER, "no answer within 300 seconds", 0)
        assert lines == []
        assert await outcome(ZeroDivisionError()) == (OTHER, "its adapter crashed", 0)
    assert [(each["event"], each["error"]) for each in lines] == [
        ("chat log destination crashed", "ZeroDivisionError")
    ]


async def test_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that takes too long has failed."""
    monkeypatch.setattr(attempts, "ATTEMPT_SECONDS", 0.01)
    destination = Kept()
    destination.gate.clear()
    async with asyncio.timeout(5):
        failure, _ = await attempt(destination, TARGET, a_batch())
    assert failure is not None
    assert failure.kind is OTHER


def trouble_of(*kinds: FailureKind) -> Trouble:
    """Return what so many failures have shown."""
    trouble = Trouble(Backoff(lambda: 1.0))
    for kind in kinds:
        trouble.note(kind, 100.0)
    return trouble


@pytest.mark.parametrize(
    ("kinds", "lasts"),
    [
        ((), False),
        ((MISSING,) * (LASTING_ATTEMPTS - 1), False),
        ((MISSING,) * LASTING_ATTEMPTS, True),
        ((DENIED, MISSING, DENIED), True),
        ((MISSING, MISSING, OTHER), False),
        ((OTHER, MISSING, MISSING), False),
        ((MISSING, MISSING, OTHER, MISSING, MISSING), False),
        ((MISSING, MISSING, OTHER, MISSING, MISSING, MISSING), True),
        ((OTHER,) * 10, False),
    ],
)
def test_what_lasts(kinds: tuple[FailureKind, ...], lasts: bool) -> None:
    """Missing or forbidden so many times in a row, with nothing else between."""
    assert trouble_of(*kinds).lasts is lasts


def test_a_failure_takes_a_success_back() -> None:
    """It works after a success only, and not before the first attempt."""
    trouble = trouble_of()
    assert (trouble.works, trouble.kind, trouble.retry_at) == (False, None, 0.0)
    trouble.end()
    assert (trouble.works, trouble.kind) == (True, None)
    trouble.note(OTHER, 100.0)
    assert (trouble.works, trouble.kind, trouble.retry_at) == (False, OTHER, 101.0)
    trouble.note(MISSING, 200.0)
    assert (trouble.kind, trouble.retry_at) == (MISSING, 202.0)
    trouble.end()
    trouble.doubt()
    assert (trouble.works, trouble.kind, trouble.retry_at) == (False, None, 0.0)


def test_forgiven() -> None:
    """Attempts count anew, with short pauses, and the last failure is still known."""
    trouble = trouble_of(*[MISSING] * 5)
    trouble.forgive()
    assert (trouble.lasts, trouble.retry_at, trouble.kind) == (False, 0.0, MISSING)
    trouble.note(MISSING, 100.0)
    assert (trouble.lasts, trouble.retry_at) == (False, 101.0)
