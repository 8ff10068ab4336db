"""The latest reviews of this process, for an operator who looks on: in memory, bounded, in no log.

- `KEPT` reviews are kept; older ones go, and whoever looks on is told how many he missed.
- What was said is not kept unless an operator who may see it has asked for it in the last
  `REVEAL_SECONDS`, and is forgotten when the last of them has looked: nothing is remembered for
  somebody who does not look, and nobody sees what was said before he asked.
"""

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice

import msgspec

from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.principal import Principal
from greenroom.review.base import (
    REVEAL_SECONDS,
    Allowed,
    Content,
    Denied,
    Reviewed,
    ReviewsPage,
    Submission,
    Verdict,
)

KEPT = 500
"""Reviews that are kept: with what was said, 5 KB each at most."""

PAGE = 100
"""Reviews in one answer."""

LATEST = 10
"""Reviews that whoever begins to look is shown."""

LOOKING = 16
"""Operators who may look at what is said at once; at the bound the first one asks again."""

TIMER_SECONDS = 0.1
"""How much later than a reveal's end the timer goes off: event loops round."""


class _Reveal(msgspec.Struct, frozen=True):
    """Who may see what was said: from which review on, and until when of the monotonic clock."""

    account: str
    arn: str
    begin: int
    until: float

    def is_of(self, principal: Principal) -> bool:
        return (self.account, self.arn) == (principal.account, principal.arn)


def _call_later(seconds: float, callback: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, callback)


class RecentReviews:
    """A ReviewLog."""

    def __init__(
        self,
        clock: Clock,
        call_later: Callable[[float, Callable[[], None]], None] = _call_later,
    ) -> None:
        self._clock = clock
        self._call_later = call_later
        self._is_timed = False
        """Whether `_look_again` is to be called: one timer is set at a time."""
        self._kept: deque[Reviewed] = deque(maxlen=KEPT)
        self._number = 0
        """Of all reviews until now."""
        self._name = secrets.token_hex(4)
        self._reveals: OrderedDict[str, _Reveal] = OrderedDict()
        """By name; who began first ends first."""

    def add(
        self,
        submission: Submission,
        handler: str,
        outcome: str,
        verdict: Verdict | None,
        *,
        final: Verdict,
        seconds: float,
    ) -> None:
        """Note a review: `verdict` is the handler's, if it gave one, `final` what counted."""
        allowed = final if isinstance(final, Allowed) else None
        sent = (submission.content, submission.attributes)
        edited = allowed is not None and (allowed.content, allowed.attributes) != sent
        self._number += 1
        self._kept.append(
            Reviewed(
                time=_iso(self._clock.now() - seconds),
                room_arn=submission.room_arn,
                message_id=submission.message_id,
                user_id=submission.user_id,
                handler=handler,
                outcome=outcome,
                verdict="DENY" if allowed is None else "ALLOW",
                by_fallback=verdict is None,
                edited=edited,
                milliseconds=round(seconds * 1000, 1),
                shown=_content(submission, final) if self._is_looked_at() else None,
            )
        )

    def since(self, principal: Principal, cursor: str | None, reveal: str | None) -> ReviewsPage:
        self._end_reveals()
        first = self._number - len(self._kept)
        place = self._place(cursor)
        begin = max(first, self._number - LATEST) if place is None else max(first, place)
        found = list(islice(self._kept, begin - first, begin - first + PAGE))
        seen_from = self._seen_from(principal, reveal)
        return ReviewsPage(
            f"{self._name}:{begin + len(found)}",
            0 if place is None else max(0, first - place),
            [
                each if number >= seen_from else msgspec.structs.replace(each, shown=None)
                for number, each in enumerate(found, begin)
                if Arn.parse(each.room_arn).account == principal.account
            ],
        )

    def reveal(self, principal: Principal) -> str:
        self._end_reveals()
        # Who asks again before his time is over sees on without a gap.
        begins = (each.begin for each in self._reveals.values() if each.is_of(principal))
        begin = min(begins, default=self._number)
        name = secrets.token_urlsafe(16)
        if len(self._reveals) >= LOOKING:
            self._reveals.popitem(last=False)
        until = self._clock.monotonic() + REVEAL_SECONDS
        self._reveals[name] = _Reveal(principal.account, principal.arn, begin, until)
        if not self._is_timed:
            self._set_timer()
        return name

    def _place(self, cursor: str | None) -> int | None:
        name, _, number = (cursor or "").partition(":")
        if name != self._name or not number.isascii() or not number.isdigit():
            return None
        return min(int(number[:18]), self._number)

    def _seen_from(self, principal: Principal, reveal: str | None) -> int:
        """Return the number of the first review whose content may be seen, for none the next."""
        found = self._reveals.get(reveal or "")
        return self._number if found is None or not found.is_of(principal) else found.begin

    def _is_looked_at(self) -> bool:
        self._end_reveals()
        return bool(self._reveals)

    def _end_reveals(self) -> None:
        """End the reveals whose time is over; with the last one forget what was said."""
        now = self._clock.monotonic()
        while self._reveals and next(iter(self._reveals.values())).until <= now:
            self._reveals.popitem(last=False)
            if not self._reveals:
                without = (msgspec.structs.replace(each, shown=None) for each in self._kept)
                self._kept = deque(without, maxlen=KEPT)

    def _set_timer(self) -> None:
        """Have it end though nobody asks again and nobody says anything."""
        last = next(reversed(self._reveals.values())).until
        self._is_timed = True
        self._call_later(max(0.0, last - self._clock.monotonic()) + TIMER_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._is_timed = False
        self._end_reveals()
        if self._reveals:
            self._set_timer()


def _content(submission: Submission, final: Verdict) -> Content:
    allowed = final if isinstance(final, Allowed) else None
    return Content(
        submission.content,
        submission.attributes,
        None if allowed is None else allowed.content,
        None if allowed is None else allowed.attributes,
        final.reason if isinstance(final, Denied) else None,
    )


def _iso(seconds: float) -> str:
    found = datetime.fromtimestamp(seconds, UTC)
    return f"{found:%Y-%m-%dT%H:%M:%S}.{found.microsecond // 1000:03d}Z"
