"""From the settings to the targets: which one runs the function of an ARN.

`review_handlers` maps patterns of ARNs, in which `*` stands for any text and `?` for one character,
to targets; the first pattern that matches counts. What none matches goes to `lambda`.
"""

import asyncio
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from greenroom.aws_access.clients import AwsAccess
from greenroom.clock import Clock
from greenroom.model.quotas import Quotas
from greenroom.policies.wildcards import glob, tokens
from greenroom.review.addresses import Network, is_permitted
from greenroom.review.function import FunctionMissing, FunctionTarget
from greenroom.review.reviewer import HandlerReviewer, ReviewLimits, Targets
from greenroom.review.target import ReviewTarget
from greenroom.settings.values import Settings, SettingsRefused
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.metrics import Metrics

FORMS = "lambda, none, python:MODULE:FUNCTION, or a URL with http:// or https://"

_PYTHON = re.compile(r"python:((?:[^\W\d]\w*\.)*[^\W\d]\w*:(?:[^\W\d]\w*\.)*[^\W\d]\w*)")


async def open_reviewer(
    settings: Settings,
    quotas: Quotas,
    metrics: Metrics,
    clock: Clock,
    access: AwsAccess,
    lines: BoundedLog | None = None,
    targets: Targets | None = None,
) -> HandlerReviewer:
    """Return the reviewer that the settings describe, with other targets if some are given.

    Raises:
        SettingsRefused: a target cannot be used.
    """
    allowed = settings.networks("review_http_allowed_networks")
    milliseconds = quotas["message_review_milliseconds"]
    seconds = milliseconds / 1000 if milliseconds else None
    build = _Builder(
        clock=clock,
        secret=settings.optional_text("review_http_secret"),
        allowed=allowed,
        access=access,
        seconds=seconds,
    )
    limits = ReviewLimits(
        seconds=seconds,
        concurrency=settings.number("review_concurrency"),
        circuit_failures=settings.number("review_circuit_failures"),
        circuit_seconds=settings.number("review_circuit_seconds"),
    )
    if targets is None:
        # In a thread: the operator's own modules may take their time to load.
        targets = await asyncio.to_thread(PatternTargets, settings.table("review_handlers"), build)
    return HandlerReviewer(targets, limits, metrics, clock, lines)


class PatternTargets:
    """The targets by pattern, in order."""

    def __init__(self, table: Mapping[str, str], build: Callable[[str], "Late | None"]) -> None:
        """Build every target; `build` makes one from its text.

        Raises:
            SettingsRefused: a target cannot be used.
        """
        texts = {*table.values(), "lambda"}
        self._built = {text: build(text) for text in sorted(texts)}
        self._patterns = [(glob(tokens(pattern)), text) for pattern, text in table.items()]

    async def find(self, uri: str) -> ReviewTarget | None:
        text = next((text for matches, text in self._patterns if matches(uri)), "lambda")
        late = self._built[text]
        return None if late is None else await late.target()

    async def close(self) -> None:
        for late in self._built.values():
            if late is not None:
                await late.close()


class Late:
    """A target that is made when it is first needed, in a thread: its imports take long."""

    def __init__(self, make: Callable[[], ReviewTarget]) -> None:
        self._make = make
        self._made: ReviewTarget | None = None
        self._lock = asyncio.Lock()

    async def target(self) -> ReviewTarget:
        """Return the target."""
        if self._made is None:
            async with self._lock:
                if self._made is None:
                    self._made = await asyncio.to_thread(self._make)
        return self._made

    async def close(self) -> None:
        """Close the target, if it was made."""
        if self._made is not None:
            await self._made.close()


class _Builder(msgspec.Struct, frozen=True, kw_only=True):
    """Makes targets from their texts in the settings."""

    clock: Clock
    secret: str | None
    allowed: Sequence[Network]
    access: AwsAccess
    seconds: float | None
    """The time limit of reviews."""

    def __call__(self, text: str) -> Late | None:
        if text == "none":
            return None
        if text == "lambda":
            return Late(self._lambda)
        if match := _PYTHON.fullmatch(text):
            return _function(match[1], self.seconds)
        if text.startswith(("http://", "https://")):
            return self._http(text)
        # No more than its beginning: it may be a URL with a secret in it.
        kind = text.partition(":")[0]
        raise SettingsRefused(f"review_handlers: {kind!r} is no target; it must be {FORMS}")

    def _lambda(self) -> ReviewTarget:
        from greenroom.review.aws_lambda import LambdaTarget

        return LambdaTarget(self.clock, self.access)

    def _http(self, url: str) -> Late:
        problem = _url_problem(url, self.allowed)
        if problem is not None:
            raise SettingsRefused(f"review_handlers: the URL of a target {problem}")
        if self.secret is None:
            raise SettingsRefused(
                "review_http_secret must be given when a review handler is an HTTP endpoint"
            )
        secret, allowed, clock = self.secret, self.allowed, self.clock

        def make() -> ReviewTarget:
            from greenroom.review.http import HttpTarget

            return HttpTarget(url, secret, allowed, clock)

        return Late(make)


def _function(name: str, seconds: float | None) -> Late:
    try:
        target = FunctionTarget(name, seconds)
    except FunctionMissing as missing:
        raise SettingsRefused(f"review_handlers: python:{name}: {missing}") from None
    return Late(lambda: target)


def _url_problem(url: str, allowed: Sequence[Network]) -> str | None:
    """Return what is wrong with an endpoint's URL, or None; it may hold a secret, so no quoting."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return "is not valid"
    if not parts.hostname or not has_port or not url.isascii() or not url.isprintable():
        return "is not valid"
    if " " in url or parts.fragment or parts.username is not None or parts.password is not None:
        return "must have no blanks, no user, no password and no fragment"
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return None
    if not is_permitted(address, allowed):
        return (
            f"has the address {address}, which is not public: list its network in"
            " review_http_allowed_networks"
        )
    return None
