"""What somebody in a room is told when he asks for its messages: a page of those that it keeps.

It comes out of memory, which has the newest `bus.base.MOST_KEPT` frames and is filled once for
each room. Nobody sees more than he would have been shown then. No answer is kept: a page costs what
is in it, and not what the room keeps, so that nobody can empty for others what they share.
"""

import msgspec

from greenroom.bus.base import RoomEnvelope
from greenroom.chat.chat import Chat
from greenroom.chat.history import Found, History, Wanted
from greenroom.chat.listings import Listings
from greenroom.chat.originals import UNREAD
from greenroom.chat.settings import Settings
from greenroom.messaging.views import payload_for
from greenroom.model.arn import Arn
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.errors import ServiceUnavailableException
from greenroom.protocol.wishes import View

MOST_BYTES = 28_000
"""Frames of one answer: spelt as JSON in JSON they are below the 64 KB of an event."""

_NOTHING = Found((), more=False)


class RoomMessages:
    """Lists messages."""

    def __init__(
        self, chat: Chat, history: History, listings: Listings, settings: Settings
    ) -> None:
        self._chat = chat
        self._history = history
        self._listings = listings
        self._settings = settings

    async def page(self, who: ChatTokenClaims, before: str, limit: int) -> Found:
        """Return so many messages before an id, or the newest, oldest first.

        Raises:
            ResourceNotFoundException: the room is gone.
            ServiceUnavailableException: what the room keeps cannot be read now.
        """
        room_arn = who.room_arn
        settings = self._settings.in_force(await self._chat.room(Arn.parse(room_arn)))
        if not settings.history_messages:
            return _NOTHING
        filling = self._history.prepare(room_arn, Wanted())
        if filling is not None and (await filling).is_unread:
            raise ServiceUnavailableException(UNREAD)
        may_moderate = Capability.MODERATE in who.capabilities
        view = View.MODERATORS if may_moderate else View.PLAIN

        def sees(envelope: RoomEnvelope) -> bytes | None:
            return payload_for(envelope, view, who.user_id)

        return self._listings.page(
            room_arn, settings, sees, before=before, count=limit, most_bytes=MOST_BYTES
        )


def as_json(found: Found) -> list[msgspec.Raw]:
    """Return the frames as what stands in JSON as it is."""
    return [msgspec.Raw(frame) for frame in found.frames]
