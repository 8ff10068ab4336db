"""Verdicts, fallbacks, bounds and what is said about them.

Covers: greenroom.review.base
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.identities.callers import root_principal
from greenroom.model.room import FallbackResult, MessageReviewHandler, Room
from greenroom.review.base import Allowed, Denied, Verdict
from greenroom.review.reviewer import (
    MAXIMUM_HANDLERS,
    STEADY_SECONDS,
    HandlerReviewer,
    ReviewLimits,
)
from greenroom.review.target import Failure, InvocationFailed, ReviewTarget
from greenroom.telemetry.metrics import Metrics
from tests.review.test_answers import SUBMISSION
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.stage import settle
from tests.stand_ins.values import a_room

URI = "arn:aws:lambda:us-east-1:123456789012:function:review"
ORIGINAL = Allowed(SUBMISSION.content, SUBMISSION.attributes)
EDITED = b'{"ReviewResult":"ALLOW","Content":"edited"}'

Answering = Callable[[], Awaitable[bytes]]


class HandTarget:
    """Answers as a test tells it to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cancelled = 0
        self.answer: bytes | Exception | asyncio.Event = EDITED
        self.why: str | Exception | asyncio.Event | None = None
        self.prepared = asyncio.Event()
        self.prepared.set()

    async def prepare(self, uri: str) -> None:
        await self.prepared.wait()

    async def invoke(self, uri: str, event: bytes) -> bytes:
        self.asked.append(uri)
        try:
            if isinstance(self.answer, asyncio.Event):
                await self.answer.wait()
                return EDITED
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def problem(self, uri: str) -> str | None:
        if isinstance(self.why, asyncio.Event):
            await self.why.wait()
        elif isinstance(self.why, Exception):
            raise self.why
        return None if isinstance(self.why, asyncio.Event) else self.why

    async def close(self) -> None:
        """Do nothing."""


class OneTarget:
    """Has one target for every ARN, or none."""

    def __init__(self, target: ReviewTarget | None) -> None:
        self.target = target
        self.error: Exception | None = None
        self.closed = False

    async def find(self, uri: str) -> ReviewTarget | None:
        if self.error is not None:
            raise self.error
        return self.target

    async def close(self) -> None:
        self.closed = True


class Scene:
    """A reviewer whose target, clock and metrics a test holds."""

    def __init__(self, limits: ReviewLimits | None = None, *, is_asked: bool = True) -> None:
        self.time, self.metrics, self.target = HandClock(), Metrics(), HandTarget()
        self.targets = OneTarget(self.target if is_asked else None)
        self.reviewer = HandlerReviewer(
            self.targets, limits or ReviewLimits(seconds=None), self.metrics, self.time.clock
        )

    async def ask(
        self, fallback: FallbackResult = FallbackResult.ALLOW, uri: str = URI, length: int = 500
    ) -> Verdict:
        return await self.reviewer.review(room_of(fallback, uri, length), SUBMISSION)

    def count(self, name: str, **labels: str) -> float:
        """Return the value of a sample, 0 when there is none."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def errors(self) -> tuple[float, float]:
        """Return how often the handler could not be invoked, and answered wrongly."""
        return (
            self.count("ivschat_invocation_errors_total", uri=URI),
            self.count("ivschat_response_validation_errors_total", uri=URI),
        )

    def reviews(self, outcome: str) -> float:
        """Return how many reviews ended so."""
        return self.count("greenroom_review_seconds_count", outcome=outcome)


def room_of(fallback: FallbackResult, uri: str = URI, length: int = 500) -> Room:
    """Return a room with a handler."""
    handler = MessageReviewHandler(uri, fallback)
    return msgspec.structs.replace(
        a_room(), message_review_handler=handler, maximum_message_length=length
    )


async def test_verdicts() -> None:
    """What the handler says counts, whatever the fallback, and no error is counted."""
    scene = Scene()
    for fallback in FallbackResult:
        scene.target.answer = EDITED
        assert await scene.ask(fallback) == Allowed("edited", None)
        scene.target.answer = b'{"ReviewResult":"DENY","Attributes":{"Reason":"rude"}}'
        assert await scene.ask(fallback) == Denied("rude")
    assert scene.errors() == (0, 0)
    assert (scene.reviews("allowed"), scene.reviews("denied")) == (2, 2)
    assert scene.target.asked == [URI] * 4


@pytest.mark.parametrize("failure", Failure)
async def test_failures_fall_back(failure: Failure) -> None:
    """A handler that cannot be invoked counts as an invocation error; the fallback decides."""
    scene = Scene()
    scene.target.answer = InvocationFailed(failure, "because")
    assert await scene.ask(FallbackResult.ALLOW) == ORIGINAL
    assert await scene.ask(FallbackResult.DENY) == Denied(None)
    assert scene.errors() == (2, 0)
    assert scene.reviews("timed_out" if failure is Failure.TIMED_OUT else "failed") == 2


@pytest.mark.parametrize("answer", [b"null", b'{"ReviewResult":"ALLOW","Content":"too long"}'])
async def test_invalid_answers_fall_back(answer: bytes) -> None:
    """An answer that breaks the contract counts as a validation error; the fallback decides."""
    scene = Scene()
    scene.target.answer = answer
    assert await scene.ask(FallbackResult.ALLOW, length=7) == ORIGINAL
    assert await scene.ask(FallbackResult.DENY, length=7) == Denied(None)
    assert scene.errors() == (0, 2)
    assert scene.reviews("invalid") == 2


async def test_faults_of_ours_fall_back() -> None:
    """Whatever a target or the finding of it raises, there is a verdict, and a trace in the log."""
    scene = Scene()
    with capture_logs() as logs:
        scene.target.answer = RuntimeError("secret")
        assert await scene.ask(FallbackResult.DENY) == Denied(None)
        scene.targets.error = RuntimeError("secret")
        assert await scene.ask(FallbackResult.ALLOW) == ORIGINAL
    assert scene.errors() == (2, 0)
    assert [line["event"] for line in logs] == [
        "review target crashed",
        "review handler fails",
        "review crashed",
    ]


async def test_time_limit() -> None:
    """An invocation that outlives the limit is cancelled, and the fallback decides."""
    scene = Scene(ReviewLimits(seconds=0.01))
    scene.target.answer = asyncio.Event()
    assert await scene.ask(FallbackResult.ALLOW) == ORIGINAL
    assert await scene.ask(FallbackResult.DENY) == Denied(None)
    assert scene.target.cancelled == 2
    assert scene.errors() == (2, 0)
    assert scene.reviews("timed_out") == 2


async def test_a_handler_that_is_never_asked() -> None:
    """Without a target the fallback decides, and that is no error."""
    scene = Scene(is_asked=False)
    assert await scene.ask(FallbackResult.ALLOW) == ORIGINAL
    assert await scene.ask(FallbackResult.DENY) == Denied(None)
    assert scene.errors() == (0, 0)
    assert scene.reviews("not_asked") == 2


async def test_concurrency_is_bounded_for_each_handler() -> None:
    """A message that finds no place falls back at once; another handler has its own places."""
    scene = Scene(ReviewLimits(seconds=None, concurrency=2))
    gate = scene.target.answer = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(scene.ask(FallbackResult.DENY)) for _ in range(2)]
        await settle()
        assert scene.count("greenroom_reviews_waiting") == 2
        assert await scene.ask(FallbackResult.ALLOW) == ORIGINAL
        assert scene.errors() == (1, 0)
        other = tasks.create_task(scene.ask(uri=URI + ":other"))
        await settle()
        assert scene.target.asked == [URI, URI, URI + ":other"]
        gate.set()
    assert {(await each) for each in (*waiting, other)} == {Allowed("edited", None)}
    assert scene.count("greenroom_reviews_waiting") == 0
    assert await scene.ask() == Allowed("edited", None)


async def test_circuit() -> None:
    """Failures in a row open it, nobody waits meanwhile, and one probe finds the handler again."""
    scene = Scene(ReviewLimits(seconds=None, circuit_failures=3, circuit_seconds=5))
    scene.target.answer = InvocationFailed(Failure.UNREACHABLE)
    for _ in range(50):
        assert await scene.ask() == ORIGINAL
    assert len(scene.target.asked) == 3
    assert scene.errors() == (50, 0)
    assert scene.count("greenroom_review_circuits_open") == 1
    assert await scene.ask(uri=URI + ":other") == ORIGINAL
    assert len(scene.target.asked) == 4
    scene.time.advance(5)
    gate = scene.target.answer = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        probe = tasks.create_task(scene.ask())
        await settle()
        assert await scene.ask() == ORIGINAL
        gate.set()
    assert await probe == Allowed("edited", None)
    assert await scene.ask() == Allowed("edited", None)
    assert scene.count("greenroom_review_circuits_open") == 0


async def test_a_failing_function_closes_the_circuit() -> None:
    """A probe that reached the function has found it, whatever it made of the message."""
    scene = Scene(ReviewLimits(seconds=None, circuit_failures=2, circuit_seconds=5))
    scene.target.answer = InvocationFailed(Failure.UNREACHABLE)
    for _ in range(2):
        await scene.ask()
    assert scene.count("greenroom_review_circuits_open") == 1
    scene.time.advance(5)
    scene.target.answer = InvocationFailed(Failure.HANDLER_ERROR)
    for _ in range(3):
        await scene.ask()
    assert scene.count("greenroom_review_circuits_open") == 0
    assert len(scene.target.asked) == 5


async def test_an_open_circuit_that_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no longer among those that are open."""
    monkeypatch.setattr("greenroom.review.reviewer.MAXIMUM_HANDLERS", 2)
    scene = Scene(ReviewLimits(seconds=None, circuit_failures=1))
    scene.target.answer = InvocationFailed(Failure.UNREACHABLE)
    for number in range(2):
        await scene.ask(uri=f"{URI}{number}")
    assert scene.count("greenroom_review_circuits_open") == 2
    scene.target.answer = EDITED
    await scene.ask(uri=URI)
    assert scene.count("greenroom_review_circuits_open") == 1


async def test_places_are_given_back() -> None:
    """As many invocations are under way at a time after others have ended as before."""
    scene = Scene(ReviewLimits(seconds=None, concurrency=2))
    for _ in range(3):
        gate = scene.target.answer = asyncio.Event()
        scene.target.asked.clear()
        waiting = [asyncio.create_task(scene.ask()) for _ in range(6)]
        await settle()
        assert len(scene.target.asked) == 2
        gate.set()
        await asyncio.gather(*waiting)


async def test_what_an_operator_who_looks_on_sees() -> None:
    """Each review, with the handler, how it ended and what counted."""
    scene = Scene()
    await scene.ask()
    scene.target.answer = InvocationFailed(Failure.UNREACHABLE)
    scene.time.advance(0.5)
    await scene.ask(FallbackResult.DENY)
    page = scene.reviewer.recent.since(
        root_principal(SUBMISSION.room_arn.split(":")[4]), None, None
    )
    seen = [(each.handler, each.outcome, each.verdict, each.edited) for each in page.reviews]
    assert seen == [(URI, "allowed", "ALLOW", True), (URI, "failed", "DENY", False)]
    assert [each.by_fallback for each in page.reviews] == [False, True]


async def test_how_long_reviews_take_is_measured() -> None:
    """From the message to the verdict, by its outcome."""
    scene = Scene()
    gate = scene.target.answer = asyncio.Event()
    waiting = asyncio.create_task(scene.ask())
    await settle()
    scene.time.advance(0.25)
    gate.set()
    await waiting
    assert scene.count("greenroom_review_seconds_sum", outcome="allowed") == 0.25


async def test_a_failing_function_is_still_asked() -> None:
    """A function that raises at messages was invoked: one user cannot switch it off for all."""
    scene = Scene(ReviewLimits(seconds=None, circuit_failures=3))
    for answer in (InvocationFailed(Failure.HANDLER_ERROR), b"null"):
        scene.target.answer = answer
        for _ in range(20):
            assert await scene.ask(FallbackResult.DENY) == Denied(None)
    assert len(scene.target.asked) == 40


async def test_a_cancelled_probe_is_no_answer() -> None:
    """When the probe goes away, the next message tries."""
    scene = Scene(ReviewLimits(seconds=None, circuit_failures=1, circuit_seconds=5))
    scene.target.answer = InvocationFailed(Failure.UNREACHABLE)
    await scene.ask()
    scene.time.advance(5)
    scene.target.answer = asyncio.Event()
    probe = asyncio.create_task(scene.ask())
    await settle()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    scene.target.answer = EDITED
    assert await scene.ask() == Allowed("edited", None)
    assert scene.count("greenroom_reviews_waiting") == 0


async def test_what_is_known_of_handlers_is_bounded() -> None:
    """Beyond the bound the handler that was asked least recently is forgotten."""
    scene = Scene(ReviewLimits(seconds=None, circuit_failures=1))
    scene.target.answer = InvocationFailed(Failure.UNREACHABLE)
    for number in range(MAXIMUM_HANDLERS + 10):
        await scene.ask(uri=f"{URI}{number}")
        await scene.ask(uri=f"{URI}0")
    assert len(scene.reviewer._handlers) == MAXIMUM_HANDLERS
    assert scene.target.asked.count(f"{URI}0") == 1
    assert scene.count("greenroom_review_circuits_open") == MAXIMUM_HANDLERS
    await scene.ask(uri=f"{URI}1")
    assert scene.target.asked.count(f"{URI}1") == 2


async def test_log_lines() -> None:
    """One line when a handler begins to fail, one when it is well again, nothing of messages."""
    scene = Scene(ReviewLimits(seconds=None, circuit_failures=0))
    failing = InvocationFailed(Failure.BAD_STATUS, "500")
    with capture_logs() as logs:
        for _ in range(5):
            scene.target.answer = failing
            await scene.ask()
            scene.target.answer = EDITED
            await scene.ask()
        scene.time.advance(STEADY_SECONDS)
        await scene.ask()
        await scene.ask()
        scene.target.answer = b"null"
        await scene.ask()
    assert logs == [
        {
            "event": "review handler fails",
            "log_level": "warning",
            "uri": URI,
            "failure": "bad_status",
            "why": "500",
        },
        {"event": "review handler answers again", "log_level": "info", "uri": URI},
        {
            "event": "review handler fails",
            "log_level": "warning",
            "uri": URI,
            "failure": "invalid_answer",
            "why": "Expected `object`, got `null`",
        },
    ]


async def test_problem() -> None:
    """What the target knows is told; what cannot be found out in time is no problem."""
    scene = Scene()
    assert await scene.reviewer.problem(URI) is None
    scene.target.why = "invalid lambda permission"
    assert await scene.reviewer.problem(URI) == "invalid lambda permission"
    scene.target.why = RuntimeError("x")
    with capture_logs() as logs:
        assert await scene.reviewer.problem(URI) is None
    assert [line["event"] for line in logs] == ["check of a review handler crashed"]
    with capture_logs() as logs:
        assert await Scene(is_asked=False).reviewer.problem(URI) is None
    (line,) = logs
    assert line["event"] == "review handler is never asked: fallbackResult decides"


async def test_problem_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that hangs does not hold up the API."""
    monkeypatch.setattr("greenroom.review.reviewer.PROBLEM_SECONDS", 0.01)
    scene = Scene()
    scene.target.why = asyncio.Event()
    assert await scene.reviewer.problem(URI) is None


async def test_drain() -> None:
    """A stop waits for what is under way, which ends soon, also without a limit of its own."""
    scene = Scene(ReviewLimits(seconds=None))
    scene.target.answer = asyncio.Event()
    waiting = asyncio.create_task(scene.ask(FallbackResult.DENY))
    await settle()
    await scene.reviewer.drain(0.01)
    assert waiting.result() == Denied(None)
    assert scene.reviews("timed_out") == 1
    assert scene.reviewer._timeouts == set()
    limited = Scene(ReviewLimits(seconds=0.01))
    limited.target.answer = asyncio.Event()
    waiting = asyncio.create_task(limited.ask(FallbackResult.DENY))
    await settle()
    await limited.reviewer.drain(3600)
    assert waiting.result() == Denied(None)
    await limited.reviewer.drain(3600)


@pytest.mark.parametrize("seconds", [None, 30.0])
async def test_a_drain_leaves_time(seconds: float | None) -> None:
    """A review that ends within the drain's time has its verdict; a drain begins no second one."""
    scene = Scene(ReviewLimits(seconds=seconds))
    assert await scene.ask() == Allowed("edited", None)
    gate = scene.target.answer = asyncio.Event()
    waiting = [asyncio.create_task(scene.ask(FallbackResult.DENY)) for _ in range(2)]
    await settle()
    draining = asyncio.create_task(scene.reviewer.drain(20))
    await settle(50)
    assert not any(each.done() for each in (*waiting, draining))
    gate.set()
    await draining
    assert [each.result() for each in waiting] == [Allowed("edited", None)] * 2
    assert scene.target.cancelled == 0


async def test_a_drain_gives_nobody_more_time() -> None:
    """The limit of each review still holds while the service stops."""
    scene = Scene(ReviewLimits(seconds=3600))
    scene.target.answer = asyncio.Event()
    waiting = asyncio.create_task(scene.ask(FallbackResult.DENY))
    await settle()
    (timeout,) = scene.reviewer._timeouts
    limit = timeout.when()
    draining = asyncio.create_task(scene.reviewer.drain(7200))
    await settle()
    assert timeout.when() == limit
    again = asyncio.create_task(scene.reviewer.drain(0))
    await asyncio.gather(draining, again)
    assert waiting.result() == Denied(None)


async def test_credentials_take_nothing_of_the_limit() -> None:
    """What is found for the first time delays a message, and does not let it pass unreviewed."""
    scene = Scene(ReviewLimits(seconds=0.2))
    scene.target.prepared.clear()
    asyncio.get_running_loop().call_later(0.3, scene.target.prepared.set)
    assert await scene.ask() == Allowed("edited", None)


async def test_credentials_are_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that hangs is a handler that cannot be invoked."""
    monkeypatch.setattr("greenroom.review.reviewer.PREPARE_SECONDS", 0.01)
    scene = Scene()
    scene.target.prepared.clear()
    assert await scene.ask(FallbackResult.DENY) == Denied(None)
    assert scene.errors() == (1, 0)
    assert scene.target.asked == []


async def test_close() -> None:
    """Closing the reviewer closes the targets."""
    scene = Scene()
    await scene.reviewer.close()
    assert scene.targets.closed


def test_limits_are_those_of_the_real_service() -> None:
    """Without settings a handler has 200 milliseconds."""
    assert msgspec.to_builtins(ReviewLimits())["seconds"] == 0.2
