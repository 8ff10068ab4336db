"""What a message passes before it may be published, each gate with its one refusal.

A message meets them in the order of `message_gates`, and the first that refuses decides. What is
refused has changed nothing: only the last gate counts anything.
"""

from collections.abc import Callable, Sequence

from greenroom.chat.modes import Modes
from greenroom.chat.rates import Rates
from greenroom.chat.restrictions import Restrictions
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.restriction import Kind
from greenroom.model.room import Room
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import DESCRIPTIONS, MESSAGE_TOO_LONG, ActionError, ErrorCode
from greenroom.review.base import Allowed, Submission, Verdict

Gate = Callable[[Room, ChatTokenClaims, SendMessage], None]
"""Lets a message to a room pass, or raises why not."""

CheckAccount = Callable[[str], None]
"""Raises PendingVerification for an account that is suspended.

The API's pipeline asks the same before it performs an operation; here it is asked for whatever is
published, most of which comes over WebSockets and passes no pipeline."""


def message_gates(
    check_account: CheckAccount, restrictions: Restrictions | None, modes: Modes, rates: Rates
) -> Sequence[Gate]:
    """Return the gates in the order of their refusals, the dearest last.

    The room's rate is decided behind them all, when the message gets its place: see `Rates`.
    """
    who = () if restrictions is None else (restricted(restrictions),)
    return (account(check_account), length, *who, modes.passes, rates.admit_message)


def restricted(restrictions: Restrictions) -> Gate:
    """Refuse messages of banned and muted users, 403, and of those who are held, 406."""

    def passes(room: Room, sender: ChatTokenClaims, message: SendMessage) -> None:
        held = restrictions.of_sender(room, sender)
        if not held:
            return
        for kind, code, words in _REFUSED:
            found = held.get(kind)
            if found is not None:
                until = f" until {found.until()}" if found.expires else ""
                raise ActionError(code, words + until, message.request_id)

    return passes


_REFUSED = (
    (Kind.BAN, 403, "You are banned from the room"),
    (Kind.MUTE, 403, "You may not write"),
    (Kind.HOLD, 406, "Your messages need the approval of a moderator"),
)


def account(check: CheckAccount) -> Gate:
    """Refuse the messages of suspended accounts: PendingVerification."""

    def passes(room: Room, _sender: ChatTokenClaims, _message: SendMessage) -> None:
        check(room.arn.account)

    return passes


def length(room: Room, _sender: ChatTokenClaims, message: SendMessage) -> None:
    """Refuse content of more code points than the room allows: 413."""
    check_length(room, message.content, message.request_id)


def check_length(room: Room, content: str, request_id: str) -> None:
    """Do so for a content.

    Raises:
        ActionError: 413.
    """
    if len(content) > room.maximum_message_length:
        raise ActionError(413, MESSAGE_TOO_LONG, request_id)


def submitted(
    sender: ChatTokenClaims, message: SendMessage, message_id: str, ip: str
) -> Submission:
    """Return what a review is told of a message."""
    return Submission(
        room_arn=sender.room_arn,
        message_id=message_id,
        content=message.content,
        attributes=message.attributes,
        user_id=sender.user_id,
        sender_attributes=sender.attributes,
        ip=ip,
    )


def reviewed(verdict: Verdict, message: SendMessage, message_id: str) -> Allowed:
    """Return what the review lets be published; refuse the rest: 406.

    What is held is refused, too: nobody could look at it later.
    """
    if isinstance(verdict, Allowed):
        return verdict
    reason = verdict.reason or DESCRIPTIONS[ErrorCode.NOT_ACCEPTABLE]
    raise ActionError(406, reason, message.request_id, message_id)
