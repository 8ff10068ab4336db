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


class Pace(msgspec.Struct, gc=False):
    """What slow mode and repetitions of a message are about; 0: that is off.

    `passed` is how many messages had been noted when it was let pass: as long as there is no other
    one, it need not be looked for again.
    """

    settings: RoomSettings
    sender: ChatTokenClaims
    content: str
    user: int
    text: int
    passed: int = -1


class Modes:
    """The gate of the modes. Slow mode and repetitions: each node decides by what it knows."""

    def __init__(self, settings: SettingsInForce, clock: Clock) -> None:
        self._settings = settings
        self._now = clock.now
        self.recent = Recent()
        self._latest: Pace | None = None

    def passes(self, room: Room, sender: ChatTokenClaims, message: SendMessage, now: float) -> None:
        """Refuse what the room's settings refuse: 403, 429 or 406."""
        settings = self._settings.of(sender.room_arn, room)
        if settings is DEFAULTS or is_exempt(sender):
            return
        refused = refusal(settings, sender, message.content, self._now)
        if refused is not None and refused.code is ErrorCode.FORBIDDEN:
            raise ActionError(refused.code, refused.message, message.request_id)
        pace = None
        if settings.slow_mode_seconds or settings.duplicate_seconds:
            self._latest = pace = pace_of(settings, sender, message.content)
            self._check_slow_mode(pace, message.request_id, "", now)
        if refused is not None:
            raise ActionError(refused.code, refused.message, message.request_id)
        if pace is not None:
            self._check_repetition(pace, message.request_id, "", now)
            pace.passed = self.recent.noted

    def pace(self, settings: RoomSettings, sender: ChatTokenClaims, content: str) -> Pace | None:
        """Return what `place` decides when a message gets its place; None: nothing more."""
        # It was prepared when the message was asked about, most often just before.
        latest = self._latest
        if (
            latest is not None
            and latest.content is content
            and latest.sender is sender
            and latest.settings is settings
        ):
            return latest
        if not settings.slow_mode_seconds and not settings.duplicate_seconds:
            return None
        return None if is_exempt(sender) else pace_of(settings, sender, content)

    def place(self, pace: Pace, request_id: str, message_id: str, now: float) -> None:
        """Refuse a message that comes too early, or note it.

        Raises:
            ActionError: 429 or 406.
        """
        recent = self.recent
        if pace.passed != recent.noted:
            self._check_slow_mode(pace, request_id, message_id, now)
            self._check_repetition(pace, request_id, message_id, now)
        if pace.user:
            recent.note(pace.user, message_id, now)
        if pace.text:
            recent.note(pace.text, message_id, now)

    def _check_slow_mode(self, pace: Pace, request_id: str, message_id: str, now: float) -> None:
        """Refuse what comes before so many seconds are over: 429, with the rest of them."""
        if not pace.user:
            return
        wait = self.recent.wait(pace.user, pace.settings.slow_mode_seconds, message_id, now)
        if wait:
            you = {"RetryAfter": str(math.ceil(wait))}
            raise ActionError(429, RATE_LIMIT_EXCEEDED, request_id, you=you)

    def _check_repetition(self, pace: Pace, request_id: str, message_id: str, now: float) -> None:
        """Refuse what was said just before: 406."""
        if pace.text and self.recent.wait(
            pace.text, pace.settings.duplicate_seconds, message_id, now
        ):
            raise ActionError(ErrorCode.NOT_ACCEPTABLE, REPEATED, request_id)


def pace_of(settings: RoomSettings, sender: ChatTokenClaims, content: str) -> Pace:
    """Return the pace of a message in a room with these settings."""
    arn, user = sender.room_arn, sender.user_id
    return Pace(
        settings,
        sender,
        content,
        hash((arn, user)) if settings.slow_mode_seconds else 0,
        hash((arn, user, normalised(content))) if settings.duplicate_seconds else 0,
    )


def key_of(room_arn: str, user_id: str) -> int:
    """Return by which number a user's last message in a room is remembered."""
    return hash((room_arn, user_id))


_SMALL = bytes(range(256)).lower()
_SPACES = bytes(number for number in range(128) if chr(number).isspace())


def normalised(content: str) -> bytes:
    """Return a text without what makes no difference: case, forms of characters, spaces."""
    if content.isascii():
        return content.encode().translate(_SMALL, _SPACES)
    text = "".join(unicodedata.normalize("NFKC", content).casefold().split())
    return text.encode("utf-8", "surrogatepass")


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
    if settings.writers or settings.follower_minutes or settings.account_minutes:
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
