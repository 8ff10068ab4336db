"""What Greenroom tells connections that asked for its own events: EVENTs named `greenroom:…`.

Each is a `ChatEvent` whose attributes are members besides; one of another form, as a newer service
may send it, is a `ChatEvent` alone.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import msgspec

from greenroom.model.room_settings import RoomSettings
from greenroom.protocol import events
from greenroom.protocol.received import ChatEvent, ChatMessage


class Occupancy(msgspec.Struct, frozen=True, rename="pascal"):
    """How many are in a room: connections, and the different users that they are of."""

    connections: int
    users: int


class OwnUser(msgspec.Struct, frozen=True, rename="pascal"):
    """Who this connection is, as its token said it."""

    user_id: str
    capabilities: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class PinnedMessage(msgspec.Struct, frozen=True, rename="pascal"):
    """A message that is pinned, by whom, and until when; None is for ever."""

    message: ChatMessage
    by: str
    until: datetime | None = None


class ModeratedUser(msgspec.Struct, frozen=True, rename="pascal"):
    """What was done to a user, by whom."""

    operation: str
    user_id: str
    kind: str
    by: str
    reason: str = ""
    until: datetime | None = None
    roles: tuple[str, ...] | None = None
    """Of `UpdateUser`."""


class WelcomeEvent(ChatEvent, frozen=True, kw_only=True, rename="pascal", tag="EVENT"):
    """The first event of each connection: what it is, and what holds in the room."""

    version: str
    server_time: datetime
    you: OwnUser
    viewers: Occupancy
    settings: RoomSettings
    expires: dict[str, datetime] = msgspec.field(default_factory=dict)
    """When settings expire, by their names."""
    pins: tuple[PinnedMessage, ...] = ()


class HistoryEvent(ChatEvent, frozen=True, kw_only=True, rename="pascal", tag="EVENT"):
    """So many frames of before follow; there are earlier ones, or may be, if `more`."""

    count: int
    more: bool
    recovered: bool | None = None
    """Whether they are all that was missed; None where this connection is the first."""


class ViewersEvent(ChatEvent, frozen=True, kw_only=True, rename="pascal", tag="EVENT"):
    """How many are in the room has changed."""

    connections: int
    users: int


class UsersEvent(ChatEvent, frozen=True, kw_only=True, rename="pascal", tag="EVENT"):
    """Users have come or gone, in a room with `presence`; with `reset` the list begins anew."""

    joined: tuple[str, ...]
    left: tuple[str, ...]
    suspended: bool = False
    """Whether there are too many to tell of each."""
    reset: bool = False


class SettingsEvent(ChatEvent, frozen=True, kw_only=True, rename="pascal", tag="EVENT"):
    """The settings in force in the room have changed."""

    settings: RoomSettings
    expires: dict[str, datetime] = msgspec.field(default_factory=dict)


class DeleteMessagesEvent(ChatEvent, frozen=True, kw_only=True, rename="pascal", tag="EVENT"):
    """What a user wrote is to be shown no longer."""

    user_id: str
    message_ids: tuple[str, ...]
    reason: str | None = None


class PinsEvent(ChatEvent, frozen=True, kw_only=True, rename="pascal", tag="EVENT"):
    """What is pinned in the room has changed."""

    pins: tuple[PinnedMessage, ...]


class YouEvent(ChatEvent, frozen=True, kw_only=True, rename="pascal", tag="EVENT"):
    """What this user may not do, or may do again; how long to wait in slow mode; or his roles."""

    restriction: str = ""
    """`BAN` or `MUTE`, "" for none."""
    lifted: str = ""
    until: datetime | None = None
    reason: str | None = None
    retry_after: int | None = None
    """Seconds."""
    roles: tuple[str, ...] | None = None
    """Those that he has now; None: it is not about them."""


class ModerationEvent(ChatEvent, frozen=True, kw_only=True, rename="pascal", tag="EVENT"):
    """What was done to a user: to moderators alone."""

    item: ModeratedUser


class RoomDeletedEvent(ChatEvent, frozen=True, rename="pascal", tag="EVENT"):
    """The room is gone: writing is refused with 404, and no token is given any more."""


class DoneEvent(ChatEvent, frozen=True, kw_only=True, rename="pascal", tag="EVENT"):
    """The answer to one of the service's own actions."""

    action: str
    result: dict[str, object]


OWN_EVENTS: Mapping[str, type[ChatEvent]] = MappingProxyType(
    {
        events.WELCOME: WelcomeEvent,
        events.HISTORY: HistoryEvent,
        events.VIEWERS: ViewersEvent,
        events.USERS: UsersEvent,
        events.SETTINGS: SettingsEvent,
        events.DELETE_MESSAGES: DeleteMessagesEvent,
        events.PINS: PinsEvent,
        events.YOU: YouEvent,
        events.MODERATION: ModerationEvent,
        events.ROOM_DELETED: RoomDeletedEvent,
        events.DONE: DoneEvent,
    }
)
"""What each event is, by its name."""

_STRUCTURES = frozenset(
    {
        *("You", "Viewers", "Settings", "Expires", "Pins", "Joined", "Left"),
        "Roles",
        *("MessageIds", "Item", "Result"),
    }
)
"""The attributes that hold JSON."""


def own_event(event: ChatEvent) -> ChatEvent:
    """Return an event as what it is, if it is one of the service's own."""
    kind = OWN_EVENTS.get(event.event_name)
    if kind is None:
        return event
    try:
        said = {name: _value(name, text) for name, text in (event.attributes or {}).items()}
        members = {**said, **msgspec.to_builtins(event, builtin_types=(datetime,))}
        return msgspec.convert(members, kind, strict=False)
    except (msgspec.DecodeError, TypeError):
        return event


def with_time(members: Mapping[str, object]) -> dict[str, object]:
    """Return members in which the time `Until` is None where it is "", which is for ever."""
    return {**members, "Until": members.get("Until") or None}


def _value(name: str, text: str) -> object:
    if name == "Until":
        return text or None
    if name not in _STRUCTURES:
        return text
    value = msgspec.json.decode(text)
    if name == "Item":
        return with_time(value)
    return [with_time(each) for each in value] if name == "Pins" else value
