"""Finds messages that rooms keep, to reply to them or to pin them."""

import msgspec

from greenroom.bus.base import Audience, Deliver, InMemory, Recovered, RoomHistory
from greenroom.model.errors import ServiceUnavailableException
from greenroom.protocol.actions import SendMessage

UNREAD = "The history of the room cannot be read now"


class Originals:
    """Looks in memory, which is filled before, where that is possible."""

    def __init__(self, rooms: RoomHistory) -> None:
        self._rooms = rooms

    async def find(self, room: str, message_id: str, user_id: str = "") -> Deliver | None:
        """Return a message that everybody in the room may see; None if there is none any more.

        What a shadowed user wrote is there for himself, whose `user_id` is given, and for nobody
        else: who asks must not notice.

        Raises:
            ServiceUnavailableException: it is not in memory, and the rest cannot be read now.
        """
        here = self._rooms.here(room)
        found = _found(here, message_id, user_id)
        if found is None and message_id not in _deleted(here):
            filling = self._rooms.since(room, message_id)
            if not isinstance(filling, Recovered):
                recovered = await filling
                found = _found(self._rooms.here(room), message_id, user_id)
                if found is None and recovered.is_unread:
                    raise ServiceUnavailableException(UNREAD)
        return found


def _found(here: InMemory, message_id: str, user_id: str) -> Deliver | None:
    for envelope in reversed((*here.before, *here.envelopes)):
        if message_id in envelope.deletes:
            return None
        if envelope.id == message_id:
            if not isinstance(envelope, Deliver) or not _is_shown(envelope, user_id):
                return None
            return envelope
    return None


def _is_shown(envelope: Deliver, user_id: str) -> bool:
    if envelope.action != SendMessage.operation:
        return False
    is_own = envelope.audience is Audience.SHADOWED and envelope.user_id == user_id
    return is_own or envelope.audience is Audience.EVERYBODY


def _deleted(here: InMemory) -> set[str]:
    return {each for envelope in here.envelopes for each in envelope.deletes}


class Said(msgspec.Struct, frozen=True, rename="pascal"):
    """What a MESSAGE says of its thread."""

    id: str
    sender: "Speaker"
    attributes: dict[str, str] | None = None


class Speaker(msgspec.Struct, frozen=True, rename="pascal"):
    """Who says it."""

    user_id: str


said = msgspec.json.Decoder(Said).decode
"""Returns what a MESSAGE's JSON text says."""
