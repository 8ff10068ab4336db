"""What is made of the message of a restricted user that may be sent.

- SHADOW: it is shown to himself and to moderators, is in no chat log, and all else is as with any
  message: its place, its rate, its answer and its time.
- SHADOW and MONITOR: moderators see a mark, an attribute of their frame alone.
"""

import msgspec

from greenroom.bus.base import Audience, Deliver
from greenroom.chat.addressed import Held
from greenroom.model.restriction import Kind
from greenroom.protocol import events

MARK = "greenroom:mark"
"""The attribute that only moderators see: what holds of the sender."""

_MARKED = (Kind.SHADOW, Kind.MONITOR)


def marked(message: Deliver, held: Held, user_id: str) -> Deliver:
    """Return the message for those who may see it."""
    marks = [str(kind) for kind in _MARKED if kind in held]
    if not marks:
        return message
    payload = events.with_attribute(message.payload, MARK, ",".join(marks))
    if Kind.SHADOW not in held:
        return msgspec.structs.replace(message, marked=payload)
    return msgspec.structs.replace(
        message, audience=Audience.SHADOWED, user_id=user_id, configurations=(), marked=payload
    )
