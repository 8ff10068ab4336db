"""Which frames each view is shown, and which each user in it."""

from greenroom.bus.base import Audience, RoomEnvelope
from greenroom.protocol.wishes import View

BY_NAME = {
    Audience.SENDER: tuple(View),
    Audience.YOU: (View.EVENTS, View.MODERATORS),
    Audience.SHADOWED: tuple(View),
    Audience.SHADOWED_PLAIN: (View.PLAIN,),
    Audience.SHADOWED_EVENTS: (View.EVENTS, View.MODERATORS),
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
    Audience.SHADOWED_PLAIN: (),
    Audience.SHADOWED_EVENTS: (View.MODERATORS,),
}
"""The views that are shown a frame, whoever it is, by its audience."""

_EVERYBODY = Audience.EVERYBODY  # looked up once: in Python 3.11 a member costs 50 ns each time


def payload_for(envelope: RoomEnvelope, view: View, user_id: str | None = None) -> bytes | None:
    """Return the JSON text that a view is shown of an envelope, or a user in it; None: nothing."""
    audience = envelope.audience
    if audience is _EVERYBODY and not envelope.marked:
        return envelope.payload
    views = VIEWS[audience]
    if envelope.user_id == user_id:
        views = BY_NAME.get(audience, views)
    if view not in views:
        return None
    return envelope.marked if envelope.marked and view is View.MODERATORS else envelope.payload
