"""What a message passes before it may be published, each gate with its one refusal.

A message meets them in the order of `message_gates`, and the first that refuses decides. What is
refused has changed nothing: only the last gate counts anything.
"""

from collections.abc import Callable, Sequence

from greenroom.bus.base import Arrival, Disconnect, Stage
from greenroom.chat.kicks import Kicks
from greenroom.chat.modes import Modes, key_of
from greenroom.chat.outcome import Post
from greenroom.chat.rates import Rates
from greenroom.chat.recent import Recent
from greenroom.chat.restrictions import Restrictions
from greenroom.clock import Clock
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.restriction import Kind
from greenroom.model.room import Room
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import DESCRIPTIONS, MESSAGE_TOO_LONG, ActionError, ErrorCode
from greenroom.review.base import Allowed, Submission, Verdict

RELEASED = Stage.RELEASED  # looked up once: in Python 3.11 a member costs 50 ns each time

Gate = Callable[[Room, ChatTokenClaims, SendMessage, Post], None]
"""Lets a message to a room pass, or raises why not.

What several of them ask for is in its `Post`: the time alone costs as much as a gate."""

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

    def passes(room: Room, sender: ChatTokenClaims, message: SendMessage, _post: Post) -> None:
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

    def passes(room: Room, _sender: ChatTokenClaims, _message: SendMessage, _post: Post) -> None:
        check(room.arn.account)

    return passes


def length(room: Room, _sender: ChatTokenClaims, message: SendMessage, _post: Post) -> None:
    """Refuse content of more code points than the room allows: 413."""
    if len(message.content) > room.maximum_message_length:
        raise ActionError(413, MESSAGE_TOO_LONG, message.request_id)


def check_length(room: Room, content: str, request_id: str) -> None:
    """Do so for a content.

    Raises:
        ActionError: 413.
    """
    if len(content) > room.maximum_message_length:
        raise ActionError(413, MESSAGE_TOO_LONG, request_id)


def noting(kicks: Kicks, recent: Recent, clock: Clock) -> Callable[[Arrival], None]:
    """Return what notes who was disconnected, and who has sent something in rooms with slow mode.

    On whichever node.
    """

    def note(arrival: Arrival) -> None:
        for envelope in arrival.envelopes:
            # Of hardly any message it is told whose it is; what got its place here was noted then.
            if not envelope.user_id or envelope.id == recent.latest:
                continue
            if isinstance(envelope, Disconnect):
                kicks.note(arrival.room, envelope.user_id)
            elif envelope.action == SendMessage.operation and envelope.stage is not RELEASED:
                # What is released counted when it was accepted.
                user = key_of(arrival.room, envelope.user_id)
                recent.note(user, envelope.id, clock.monotonic())

    return note


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
