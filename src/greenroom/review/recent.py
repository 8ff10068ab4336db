"""The latest reviews of this process, for an operator who looks on: in memory, bounded, in no log.

- `KEPT` reviews are kept; older ones go, and whoever looks on is told how many he missed.
- What was said is not kept unless an operator who may see it has asked for it in the last
  `REVEAL_SECONDS`: nothing is remembered for somebody who does not look.
"""

import secrets
from collections import OrderedDict, deque
from datetime import UTC, datetime
from itertools import islice

import msgspec

from greenroom.clock import Clock
from greenroom.model.arn import Arn
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


class RecentReviews:
    """A ReviewLog."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: deque[Reviewed] = deque(maxlen=KEPT)
        self._number = 0
        """Of all reviews until now."""
        self._name = secrets.token_hex(4)
        self._reveals: OrderedDict[str, tuple[str, float]] = OrderedDict()

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

    def since(self, account: str, cursor: str | None, reveal: str | None) -> ReviewsPage:
        first = self._number - len(self._kept)
        place = self._place(cursor)
        begin = max(first, self._number - LATEST) if place is None else max(first, place)
        found = list(islice(self._kept, begin - first, begin - first + PAGE))
        may_see = self._may_see(account, reveal)
        return ReviewsPage(
            f"{self._name}:{begin + len(found)}",
            0 if place is None else max(0, first - place),
            [
                each if may_see else msgspec.structs.replace(each, shown=None)
                for each in found
                if Arn.parse(each.room_arn).account == account
            ],
        )

    def reveal(self, account: str) -> str:
        name = secrets.token_urlsafe(16)
        if len(self._reveals) >= LOOKING:
            self._reveals.popitem(last=False)
        self._reveals[name] = (account, self._clock.monotonic() + REVEAL_SECONDS)
        return name

    def _place(self, cursor: str | None) -> int | None:
        name, _, number = (cursor or "").partition(":")
        if name != self._name or not number.isascii() or not number.isdigit():
            return None
        return min(int(number[:18]), self._number)

    def _may_see(self, account: str, reveal: str | None) -> bool:
        of_account, until = self._reveals.get(reveal or "", ("", 0.0))
        return of_account == account and self._clock.monotonic() < until

    def _is_looked_at(self) -> bool:
        now = self._clock.monotonic()
        while self._reveals and next(iter(self._reveals.values()))[1] <= now:
            self._reveals.popitem(last=False)
        return bool(self._reveals)


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
