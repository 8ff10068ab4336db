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
from greenroom.chat.outcome import Post
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
    """The gate of the modes. Slow mode and repetitions: each node decides by what it knows."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.now
        self.recent = Recent()

    def passes(
        self, _room: Room, sender: ChatTokenClaims, message: SendMessage, post: Post
    ) -> None:
        """Refuse what the room's settings refuse: 403, 429 or 406."""
        settings = post.settings
        if settings is DEFAULTS:
            return
        given = sender.capabilities
        if MODERATE in given or BYPASS in given:
            return
        refused = None
        # Asked here, as is all that most rooms with a mode have not: each call costs as much.
        if (
            settings.writers
            or settings.emoji_only
            or settings.frozen
            or settings.follower_minutes
            or settings.account_minutes
        ):
            refused = refusal(settings, sender, message.content, self._now)
            if refused is not None and refused.code is ErrorCode.FORBIDDEN:
                raise ActionError(refused.code, refused.message, message.request_id)
        if settings.slow_mode_seconds or settings.duplicate_seconds:
            self._passes_pace(sender, message, post, refused)
        elif refused is not None:
            raise ActionError(refused.code, refused.message, message.request_id)

    def _passes_pace(
        self, sender: ChatTokenClaims, message: SendMessage, post: Post, refused: Refused | None
    ) -> None:
        """Refuse what comes too early, then what is refused anyway, then what is repeated."""
        recent, settings = self.recent, post.settings
        remember(post, sender, message.content)
        # As `Recent.wait` does, whose call costs as much as all it does.
        late, before, now = recent.late, recent.before, post.now
        if post.user:
            last = late.get(post.user) or before.get(post.user)
            if last is not None and (wait := last[0] + settings.slow_mode_seconds - now) > 0:
                raise _too_early(wait, message.request_id)
        if refused is not None:
            raise ActionError(refused.code, refused.message, message.request_id)
        if post.text:
            last = late.get(post.text) or before.get(post.text)
            if last is not None and last[0] + settings.duplicate_seconds > now:
                raise ActionError(ErrorCode.NOT_ACCEPTABLE, REPEATED, message.request_id)
        post.passed = recent.noted

    def place(self, post: Post, request_id: str, now: float) -> None:
        """Refuse a message that comes too early, or is repeated; or note it.

        Raises:
            ActionError: 429 or 406.
        """
        recent, message_id = self.recent, post.message_id
        # As long as no other one was noted since it passed, it need not be looked for again.
        if post.passed != recent.noted:
            self._check_again(post, request_id, now)
        if post.user:
            recent.note(post.user, message_id, now)
        if post.text:
            recent.note(post.text, message_id, now)

    def _check_again(self, post: Post, request_id: str, now: float) -> None:
        recent, settings, message_id = self.recent, post.settings, post.message_id
        if post.user:
            wait = recent.wait(post.user, settings.slow_mode_seconds, message_id, now)
            if wait:
                raise _too_early(wait, request_id)
        if post.text and recent.wait(post.text, settings.duplicate_seconds, message_id, now):
            raise ActionError(ErrorCode.NOT_ACCEPTABLE, REPEATED, request_id)


def remember(post: Post, sender: ChatTokenClaims, content: str) -> None:
    """Have a message remembered as its settings ask for, when it has its place."""
    settings, arn, user = post.settings, sender.room_arn, sender.user_id
    if settings.slow_mode_seconds:
        post.user = hash((arn, user))
    if settings.duplicate_seconds:
        post.text = hash((arn, user, normalised(content)))


def remember_anew(
    post: Post, settings: RoomSettings, sender: ChatTokenClaims, content: str
) -> None:
    """Do so by the settings that hold now; nothing of who meets no mode is remembered."""
    post.settings, post.user, post.text = settings, 0, 0
    if not is_exempt(sender):
        remember(post, sender, content)


def _too_early(wait: float, request_id: str) -> ActionError:
    """Return the refusal of what comes before so many seconds are over: it tells them."""
    you = {"RetryAfter": str(math.ceil(wait))}
    return ActionError(429, RATE_LIMIT_EXCEEDED, request_id, you=you)


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
