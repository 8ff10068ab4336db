"""The modes of rooms: which messages their settings refuse, and with which words.

A message meets the rules in the order of `refusal`, and the first that refuses it is told. Who may
moderate meets none of them, nor do bots whose token has BYPASS.
"""

from datetime import datetime

import msgspec

from greenroom.chat.emoji import is_emoji
from greenroom.chat.in_force import SettingsInForce
from greenroom.clock import Clock
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.room import Room
from greenroom.model.room_settings import DEFAULTS, RoomSettings
from greenroom.model.token_attributes import listed
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import ActionError, ErrorCode

FROZEN = "Nobody may write now"
EMOJI_ONLY = "Only emoji may be written now"


class Refused(msgspec.Struct, frozen=True):
    """Why a message is refused: the code of the ERROR and what it says to people."""

    code: ErrorCode
    message: str


class Modes:
    """The gate of the modes."""

    def __init__(self, settings: SettingsInForce, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def passes(self, room: Room, sender: ChatTokenClaims, message: SendMessage) -> None:
        """Refuse what the room's settings refuse: 403 or 406."""
        settings = self._settings.of(sender.room_arn, room)
        if settings is DEFAULTS or is_exempt(sender):
            return
        refused = refusal(settings, sender, message.content, self._clock.now())
        if refused is not None:
            raise ActionError(refused.code, refused.message, message.request_id)


def is_exempt(sender: ChatTokenClaims) -> bool:
    """Return whether no mode holds for a sender."""
    given = sender.capabilities
    return Capability.MODERATE in given or Capability.BYPASS in given


def refusal(
    settings: RoomSettings, sender: ChatTokenClaims, content: str, now: float
) -> Refused | None:
    """Return why settings refuse a message at a time in seconds since the epoch, or None."""
    if settings.frozen:
        return Refused(ErrorCode.FORBIDDEN, FROZEN)
    why = _who(settings, sender.own, now)
    if why is not None:
        return Refused(ErrorCode.FORBIDDEN, why)
    if settings.emoji_only and not is_emoji(content):
        return Refused(ErrorCode.NOT_ACCEPTABLE, EMOJI_ONLY)
    return None


def _who(settings: RoomSettings, own: dict[str, str], now: float) -> str | None:
    """Return why somebody whose token has these attributes may not write, or None."""
    if settings.writers and not set(settings.writers) & set(listed(own.get("roles", ""))):
        return f"Only these may write now: {', '.join(settings.writers)}"
    minutes = settings.follower_minutes
    if minutes and not _is_older(own.get("following-since"), minutes, now):
        return f"Only who has followed for {_minutes(minutes)} may write now"
    minutes = settings.account_minutes
    if minutes and not _is_older(own.get("account-since"), minutes, now):
        return f"Only who has had an account for {_minutes(minutes)} may write now"
    return None


def _is_older(since: str | None, minutes: int, now: float) -> bool:
    return since is not None and now - datetime.fromisoformat(since).timestamp() >= minutes * 60


def _minutes(number: int) -> str:
    return "1 minute" if number == 1 else f"{number} minutes"
