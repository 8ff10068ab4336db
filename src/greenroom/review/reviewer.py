"""Asks the handlers of rooms, and lets the fallback decide where a handler does not.

- The time limit runs from dispatch, which credentials that are found for the first time delay by
  `PREPARE_SECONDS` at most. An invocation that outlives it is cancelled.
- Of one handler only so many invocations are under way; a message beyond them is not kept waiting,
  it falls back at once. So does every message while the handler's circuit is open.
- What is known of handlers is bounded: at the bound the one that was asked least recently goes.
- The log has one line when a handler begins to fail, and one when it has answered again for
  `STEADY_SECONDS`, however many messages that concerns.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Protocol

import msgspec
import structlog

from greenroom.clock import Clock
from greenroom.model.room import FallbackResult, MessageReviewHandler, Room
from greenroom.review.answers import AnswerInvalid, decode_answer, encode_event
from greenroom.review.base import Allowed, Denied, Submission, Verdict
from greenroom.review.circuit import Circuit
from greenroom.review.recent import RecentReviews
from greenroom.review.target import Failure, InvocationFailed, ReviewTarget
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.metrics import Metrics

MAXIMUM_HANDLERS = 1_000
"""Handlers that are known at once: some hundred bytes each."""

STEADY_SECONDS = 10.0
"""How long a handler must answer before it counts as well again."""

PREPARE_SECONDS = 2.0
"""How long finding credentials may take, once: a start must not let messages pass unreviewed."""

PROBLEM_SECONDS = 5.0
"""How long the check of a function may take when a room is created or updated: finding out that a
machine has no AWS credentials takes two."""

log = structlog.get_logger()


class Outcome(StrEnum):
    """How reviews end, as the metric names it."""

    ALLOWED = "allowed"
    DENIED = "denied"
    INVALID = "invalid"
    TIMED_OUT = "timed_out"
    FAILED = "failed"
    NOT_ASKED = "not_asked"


class ReviewLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of reviews; a limit of None seconds is none, 0 failures never open a circuit."""

    seconds: float | None = 0.2
    concurrency: int = 100
    circuit_failures: int = 10
    circuit_seconds: float = 5.0


class Targets(Protocol):
    """Knows what runs each handler."""

    async def find(self, uri: str) -> ReviewTarget | None:
        """Return the target of a handler, or None for one that is never asked."""

    async def close(self) -> None:
        """Close all targets."""


class HandlerReviewer:
    """A Reviewer that asks the targets of the configuration."""

    def __init__(
        self,
        targets: Targets,
        limits: ReviewLimits,
        metrics: Metrics,
        clock: Clock | None = None,
        lines: BoundedLog | None = None,
    ) -> None:
        self._targets = targets
        self._limits = limits
        self._metrics = metrics
        self._clock = clock or Clock()
        self._logger = lines or BoundedLog()
        self.recent = RecentReviews(self._clock)
        self._handlers: OrderedDict[str, _Handler] = OrderedDict()
        self._timeouts: set[asyncio.Timeout] = set()
        self._under_way = 0
        self._idle = asyncio.Event()

    async def review(self, room: Room, submission: Submission) -> Verdict:
        association = room.message_review_handler or MessageReviewHandler()
        handler = self._handler(association.uri)
        started = self._clock.monotonic()
        self._metrics.reviews_waiting.inc()
        self._under_way += 1
        try:
            outcome, verdict = await self._decide(handler, room, submission)
        finally:
            self._metrics.reviews_waiting.dec()
            self._under_way -= 1
            self._idle.set()
        elapsed = self._clock.monotonic() - started
        self._metrics.review_seconds.labels(outcome.value).observe(elapsed)
        final = verdict or _fallback(association.fallback_result, submission)
        self.recent.add(
            submission, association.uri, outcome.value, verdict, final=final, seconds=elapsed
        )
        return final

    async def problem(self, uri: str) -> str | None:
        try:
            async with asyncio.timeout(PROBLEM_SECONDS):
                target = await self._targets.find(uri)
                if target is None:
                    log.info("review handler is never asked: fallbackResult decides", uri=uri)
                    return None
                return await target.problem(uri)
        except TimeoutError:
            log.warning(
                "review handler not checked: while it fails, fallbackResult decides",
                uri=uri,
                failure=Failure.TIMED_OUT.value,
            )
            return None
        except Exception as error:
            log.exception("check of a review handler crashed", error=type(error).__name__)
            return None

    async def drain(self, seconds: float) -> None:
        """Return when the reviews that are under way have ended: within so many seconds."""
        end = asyncio.get_running_loop().time() + seconds
        for timeout in self._timeouts:
            timeout.reschedule(min(timeout.when() or end, end))
        while self._under_way:
            self._idle.clear()
            await self._idle.wait()

    async def close(self) -> None:
        """Let go of connections and threads."""
        await self._targets.close()

    def _handler(self, uri: str) -> "_Handler":
        handler = self._handlers.get(uri)
        if handler is None:
            if len(self._handlers) >= MAXIMUM_HANDLERS:
                self._handlers.popitem(last=False)
                self._count_circuits()
            circuit = Circuit(self._limits.circuit_failures, self._limits.circuit_seconds)
            handler = self._handlers[uri] = _Handler(uri, circuit)
        else:
            self._handlers.move_to_end(uri)
        return handler

    async def _decide(
        self, handler: "_Handler", room: Room, submission: Submission
    ) -> tuple[Outcome, Verdict | None]:
        """Return the handler's verdict, or None where the fallback must decide."""
        label = self._metrics.uris(handler.uri)
        try:
            answer = await self._ask(handler, submission)
            if answer is None:
                return Outcome.NOT_ASKED, None
            verdict = decode_answer(answer, room.maximum_message_length)
        except InvocationFailed as failed:
            self._metrics.invocation_errors.labels(label).inc()
            self._note_failure(handler, failed.failure.value, failed.why)
            timed_out = failed.failure is Failure.TIMED_OUT
            return Outcome.TIMED_OUT if timed_out else Outcome.FAILED, None
        except AnswerInvalid as invalid:
            self._metrics.response_validation_errors.labels(label).inc()
            self._note_failure(handler, "invalid_answer", str(invalid))
            return Outcome.INVALID, None
        except Exception:
            self._logger.exception("review crashed", uri=handler.uri)
            self._metrics.invocation_errors.labels(label).inc()
            return Outcome.FAILED, None
        self._note_success(handler)
        return Outcome.ALLOWED if isinstance(verdict, Allowed) else Outcome.DENIED, verdict

    async def _ask(self, handler: "_Handler", submission: Submission) -> bytes | None:
        """Return the handler's answer, or None if it is never asked.

        Raises:
            InvocationFailed: there is none.
        """
        target = await self._targets.find(handler.uri)
        if target is None:
            return None
        if handler.under_way >= self._limits.concurrency:
            raise InvocationFailed(Failure.TOO_MANY_WAITING)
        if not handler.circuit.admits(self._clock.monotonic()):
            raise InvocationFailed(Failure.CIRCUIT_OPEN)
        handler.under_way += 1
        was_open = handler.circuit.is_open
        try:
            answer = await self._invoke(target, handler.uri, encode_event(submission))
        except InvocationFailed as failed:
            if failed.failure is Failure.HANDLER_ERROR:
                # It was invoked, and failed at this message: another one may pass.
                handler.circuit.succeeded()
            else:
                handler.circuit.failed(self._clock.monotonic())
            raise
        except BaseException:
            handler.circuit.abandoned()
            raise
        else:
            handler.circuit.succeeded()
            return answer
        finally:
            handler.under_way -= 1
            if handler.circuit.is_open is not was_open:
                self._count_circuits()

    async def _invoke(self, target: ReviewTarget, uri: str, event: bytes) -> bytes:
        try:
            async with self._limited(PREPARE_SECONDS):
                await target.prepare(uri)
            async with self._limited(self._limits.seconds):
                return await target.invoke(uri, event)
        except TimeoutError:
            raise InvocationFailed(Failure.TIMED_OUT) from None
        except InvocationFailed:
            raise
        except Exception as error:
            # Also what nobody thought of opens the circuit: the sender must not pay for it.
            self._logger.exception("review target crashed", uri=uri)
            raise InvocationFailed(Failure.CRASHED, type(error).__name__) from None

    @asynccontextmanager
    async def _limited(self, seconds: float | None) -> AsyncIterator[None]:
        """Raise TimeoutError after so many seconds, or when a drain says so."""
        async with asyncio.timeout(seconds) as timeout:
            self._timeouts.add(timeout)
            try:
                yield
            finally:
                self._timeouts.discard(timeout)

    def _count_circuits(self) -> None:
        open_ones = sum(each.circuit.is_open for each in self._handlers.values())
        self._metrics.review_circuits_open.set(open_ones)

    def _note_failure(self, handler: "_Handler", failure: str, why: str) -> None:
        handler.failed_at = self._clock.monotonic()
        if not handler.is_failing:
            handler.is_failing = True
            log.warning(
                "review handler fails",
                uri=handler.uri,
                failure=failure,
                **({"why": why} if why else {}),
            )

    def _note_success(self, handler: "_Handler") -> None:
        if handler.is_failing and self._clock.monotonic() >= handler.failed_at + STEADY_SECONDS:
            handler.is_failing = False
            log.info("review handler answers again", uri=handler.uri)


class _Handler(msgspec.Struct):
    """What is known of one handler."""

    uri: str
    circuit: Circuit
    under_way: int = 0
    is_failing: bool = False
    failed_at: float = 0.0


def _fallback(result: FallbackResult, submission: Submission) -> Verdict:
    """Return the room's own verdict: ALLOW delivers what was sent."""
    if result is FallbackResult.DENY:
        return Denied()
    return Allowed(submission.content, submission.attributes)
