"""Which frames each view is shown, and which each user in it."""

from greenroom.bus.base import Audience, RoomEnvelope
from greenroom.protocol.actions import DeleteMessage
from greenroom.protocol.own_actions import DeleteUserMessages
from greenroom.protocol.wishes import View

BY_NAME = {
    Audience.SENDER: tuple(View),
    Audience.YOU: (View.EVENTS, View.MODERATORS),
    Audience.SHADOWED: tuple(View),
}
"""The views of the user's own connections that are shown a frame, where its audience is by name."""

VIEWS = {
    Audience.EVERYBODY: tuple(View),
    Audience.PLAIN: (View.PLAIN,),
    Audience.EVENTS: (View.EVENTS, View.MODERATORS),
    Audience.MODERATORS: (View.MODERATORS,),
    Audience.SENDER: (),
    Audience.YOU: (),
    Audience.SHADOWED: (View.MODERATORS,),
}
"""The views that are shown a frame, whoever it is, by its audience."""

_DELETIONS = {
    DeleteMessage.operation: (View.PLAIN,),
    DeleteUserMessages.operation: (View.EVENTS, View.MODERATORS),
}
"""The views that are told by each action of what a shadowed user wrote and is deleted.

Not by audiences of their own, which nodes of 0.2.0 would not know.
"""

_EVERYBODY = Audience.EVERYBODY  # looked up once: in Python 3.11 a member costs 50 ns each time


def payload_for(envelope: RoomEnvelope, view: View, user_id: str | None = None) -> bytes | None:
    """Return the JSON text that a view is shown of an envelope, or a user in it; None: nothing."""
    audience = envelope.audience
    if audience is _EVERYBODY and not envelope.marked:
        return envelope.payload
    is_named = envelope.user_id == user_id
    if view not in views_of(envelope, by_name=is_named):
        return None
    sees_all = view is View.MODERATORS or (is_named and audience is Audience.EVENTS)
    return envelope.marked if envelope.marked and sees_all else envelope.payload


def views_of(envelope: RoomEnvelope, *, by_name: bool = False) -> tuple[View, ...]:
    """Return the views that are shown a frame, whoever it is, or by the name of its user."""
    audience = envelope.audience
    views = BY_NAME.get(audience, VIEWS[audience]) if by_name else VIEWS[audience]
    if audience is not Audience.SHADOWED or envelope.action not in _DELETIONS:
        return views
    return tuple(each for each in _DELETIONS[envelope.action] if each in views)


def is_by_name(envelope: RoomEnvelope) -> bool:
    """Return whether a user is shown what others in his view are not."""
    audience = envelope.audience
    return audience in BY_NAME or (audience is Audience.EVENTS and envelope.user_id != "")
