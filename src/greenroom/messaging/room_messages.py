"""What somebody in a room is told when he asks for its messages: a page of those that it keeps.

It comes out of memory, which has the newest `bus.base.MOST_KEPT` frames and is filled once for
each room. Nobody sees more than he would have been shown then. What was made for one is kept for
others who ask for the same, for as long as nothing new is in the room: however many ask.
"""

from collections import OrderedDict

import msgspec

from greenroom.bus.base import RoomEnvelope
from greenroom.chat.chat import Chat
from greenroom.chat.history import Found, History, Wanted
from greenroom.chat.originals import UNREAD
from greenroom.chat.settings import Settings
from greenroom.clock import Clock
from greenroom.messaging.views import BY_NAME, payload_for
from greenroom.model.arn import Arn
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.errors import ServiceUnavailableException
from greenroom.model.room_settings import RoomSettings
from greenroom.protocol.wishes import View

MOST_BYTES = 28_000
"""Frames of one answer: spelt as JSON in JSON they are below the 64 KB of an event."""

MOST_ANSWERS = 64
"""Answers that are kept for others."""

FRESH_SECONDS = 10
"""How long, at most: what is too old goes, though nothing new has come."""

_NOTHING = Found((), more=False)


class RoomMessages:
    """Lists messages."""

    def __init__(self, chat: Chat, history: History, settings: Settings, clock: Clock) -> None:
        self._chat = chat
        self._history = history
        self._settings = settings
        self._clock = clock
        self._made: OrderedDict[object, Found] = OrderedDict()

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
        return self._page(who, before, limit, settings)

    def _page(self, who: ChatTokenClaims, before: str, limit: int, settings: RoomSettings) -> Found:
        may_moderate = Capability.MODERATE in who.capabilities
        view = View.MODERATORS if may_moderate else View.PLAIN
        room_arn, shared = who.room_arn, True
        fresh = int(self._clock.monotonic() / FRESH_SECONDS)
        newest = self._history.newest(room_arn)
        key = (room_arn, newest, view, before, limit, fresh, settings)
        made = self._made.get(key)
        if made is not None:
            return made

        def sees(envelope: RoomEnvelope) -> bytes | None:
            nonlocal shared
            shared = shared and envelope.audience not in BY_NAME
            return payload_for(envelope, view, who.user_id)

        found = self._history.page(
            room_arn, settings, sees, before=before, count=limit, most_bytes=MOST_BYTES
        )
        if shared:
            self._made[key] = found
            if len(self._made) > MOST_ANSWERS:
                self._made.popitem(last=False)
        return found


def as_json(found: Found) -> list[msgspec.Raw]:
    """Return the frames as what stands in JSON as it is."""
    return [msgspec.Raw(frame) for frame in found.frames]
