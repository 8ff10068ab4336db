"""The modes of rooms: which messages their settings refuse, and with which words.

A message meets who may write first (403), then slow mode (429), then what may be written (406), and
the first that refuses it is told. Who may
moderate meets none of them, nor do bots whose token has BYPASS.
"""

import math
import unicodedata
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

import msgspec

from greenroom.chat.emoji import is_emoji
from greenroom.chat.in_force import SettingsInForce
from greenroom.chat.recent import Recent
from greenroom.clock import Clock
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.room import Room
from greenroom.model.room_settings import DEFAULTS, RoomSettings
from greenroom.model.token_attributes import listed
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import RATE_LIMIT_EXCEEDED, ActionError, ErrorCode

FROZEN = "Nobody may write now"
EMOJI_ONLY = "Only emoji may be written now"
REPEATED = "You have just written that"

MODERATE, BYPASS = Capability.MODERATE, Capability.BYPASS
# Looked up once: in Python 3.11 a member costs 50 ns each time.


class Refused(msgspec.Struct, frozen=True):
    """Why a message is refused: the code of the ERROR and what it says to people."""

    code: ErrorCode
    message: str


class Modes:
    """The gate of the modes."""

    def __init__(self, settings: SettingsInForce, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.recent = Recent()
        self._latest: _Asked | None = None

    def passes(self, room: Room, sender: ChatTokenClaims, message: SendMessage) -> None:
        """Refuse what the room's settings refuse: 403, 429 or 406."""
        settings = self._settings.of(sender.room_arn, room)
        if settings is DEFAULTS or is_exempt(sender):
            return
        refused = refusal(settings, sender, message.content, self._clock.now)
        if refused is not None and refused.code is ErrorCode.FORBIDDEN:
            raise ActionError(refused.code, refused.message, message.request_id)
        pace, now = self._pace(settings, sender, message.content), self._clock.monotonic()
        if pace is not None:
            pace.check_slow_mode(message.request_id, "", now)
        if refused is not None:
            raise ActionError(refused.code, refused.message, message.request_id)
        if pace is not None:
            pace.check_repetition(message.request_id, "", now)

    def pace(self, room: Room, sender: ChatTokenClaims, content: str) -> "Pace | None":
        """Return what is decided when a message gets its place; None: nothing more."""
        settings = self._settings.of(sender.room_arn, room)
        if settings is DEFAULTS or is_exempt(sender):
            return None
        return self._pace(settings, sender, content)

    def _pace(self, settings: RoomSettings, sender: ChatTokenClaims, content: str) -> "Pace | None":
        if not settings.slow_mode_seconds and not settings.duplicate_seconds:
            return None
        # A message asks before it is reviewed, and again, most often at once, for its place.
        latest = self._latest
        if (
            latest is not None
            and latest.content is content
            and latest.sender is sender
            and latest.settings is settings
        ):
            return latest.pace
        pace = Pace(self.recent, settings, sender, content)
        self._latest = _Asked(settings, sender, content, pace)
        return pace


class Pace:
    """Slow mode and repetitions, for one message: each node decides by what it knows."""

    __slots__ = ("_recent", "_repeated", "_slow", "_text", "_user")

    def __init__(
        self, recent: Recent, settings: RoomSettings, sender: ChatTokenClaims, content: str
    ) -> None:
        self._recent = recent
        self._slow = settings.slow_mode_seconds
        self._repeated = settings.duplicate_seconds
        self._user = (sender.room_arn, sender.user_id)
        # 64 bits of a keyed hash: no text is long in memory, and nobody finds one like another's.
        self._text = hash((*self._user, normalised(content))) if self._repeated else 0

    def place(self, request_id: str, message_id: str, now: float) -> None:
        """Refuse a message that comes too early, or note it.

        Raises:
            ActionError: 429 or 406.
        """
        self.check_slow_mode(request_id, message_id, now)
        self.check_repetition(request_id, message_id, now)
        if self._slow:
            self._recent.note(self._user, message_id, now)
        if self._repeated:
            self._recent.note(self._text, message_id, now)

    def check_slow_mode(self, request_id: str, message_id: str, now: float) -> None:
        """Refuse what comes before so many seconds are over: 429, with the rest of them."""
        wait = self._recent.wait(self._user, self._slow, message_id, now) if self._slow else 0.0
        if wait:
            you = {"RetryAfter": str(math.ceil(wait))}
            raise ActionError(429, RATE_LIMIT_EXCEEDED, request_id, you=you)

    def check_repetition(self, request_id: str, message_id: str, now: float) -> None:
        """Refuse what was said just before: 406."""
        seconds = self._repeated
        if seconds and self._recent.wait(self._text, seconds, message_id, now):
            raise ActionError(ErrorCode.NOT_ACCEPTABLE, REPEATED, request_id)


class _Asked(msgspec.Struct, frozen=True, gc=False):
    """What a pace was prepared of."""

    settings: RoomSettings
    sender: ChatTokenClaims
    content: str
    pace: Pace


def normalised(content: str) -> str:
    """Return a text without what makes no difference: case, forms of characters, spaces."""
    return "".join(unicodedata.normalize("NFKC", content).casefold().split())


def is_exempt(sender: ChatTokenClaims) -> bool:
    """Return whether no mode holds for a sender."""
    given = sender.capabilities
    return MODERATE in given or BYPASS in given


def refusal(
    settings: RoomSettings, sender: ChatTokenClaims, content: str, now: Callable[[], float]
) -> Refused | None:
    """Return why settings refuse a message, or None; `now` gives seconds since the epoch."""
    if settings.frozen:
        return Refused(ErrorCode.FORBIDDEN, FROZEN)
    why = _who(settings, sender.own, now)
    if why is not None:
        return Refused(ErrorCode.FORBIDDEN, why)
    if settings.emoji_only and not is_emoji(content):
        return Refused(ErrorCode.NOT_ACCEPTABLE, EMOJI_ONLY)
    return None


def _who(settings: RoomSettings, own: dict[str, str], now: Callable[[], float]) -> str | None:
    """Return why somebody whose token has these attributes may not write, or None."""
    writers = settings.writers
    if writers and _roles(own.get("roles", "")).isdisjoint(writers):
        return f"Only these may write now: {', '.join(settings.writers)}"
    minutes = settings.follower_minutes
    if minutes and not _is_older(own.get("following-since"), minutes, now):
        return f"Only who has followed for {_minutes(minutes)} may write now"
    minutes = settings.account_minutes
    if minutes and not _is_older(own.get("account-since"), minutes, now):
        return f"Only who has had an account for {_minutes(minutes)} may write now"
    return None


def _is_older(since: str | None, minutes: int, now: Callable[[], float]) -> bool:
    return since is not None and now() - _seconds(since) >= minutes * 60


# What tokens say of their users, once for many messages.
@lru_cache(maxsize=1024)
def _roles(text: str) -> frozenset[str]:
    return frozenset(listed(text))


@lru_cache(maxsize=1024)
def _seconds(time: str) -> float:
    """Return a time as seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()


def _minutes(number: int) -> str:
    return "1 minute" if number == 1 else f"{number} minutes"
