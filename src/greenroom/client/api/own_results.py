"""What the operations of the service `greenroom` return.

Attributes are the model's members in snake case; one that the answer does not have is None.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from greenroom.client.api.structure import Structure
from greenroom.model.room_settings import RoomSettings


class SettingOverride(Structure, frozen=True, rename="camel"):
    """A setting that somebody set, which goes before the room's tag."""

    name: str
    value: str
    """As a tag has it."""
    by: str
    expires: datetime | None = None


class RoomSettingsInForce(Structure, frozen=True, rename="camel"):
    """What holds in a room, and why."""

    effective: RoomSettings
    defaults: RoomSettings
    """What the room's tags say."""
    overrides: list[SettingOverride]
    version: int
    """Rises with each change."""


class RoomState(Structure, frozen=True, rename="camel"):
    """How many are in a room."""

    room_identifier: str
    connections: int
    users: int


class RoomStatePage(Structure, frozen=True, rename="camel"):
    """A page of rooms that somebody is in; without `next_token` it is the last one."""

    room_states: list[RoomState]
    next_token: str | None = None


class PresentUser(Structure, frozen=True, rename="camel"):
    """A user in a room."""

    user_id: str
    connections: int
    attributes: dict[str, str]


class UserPage(Structure, frozen=True, rename="camel"):
    """A page of users; without `next_token` it is the last one."""

    users: list[PresentUser]
    next_token: str | None = None


class RestrictedAddress(Structure, frozen=True, rename="camel"):
    """An address of which a restriction holds as well, known by its hash, and until when."""

    hash: str
    expires: datetime


class Restriction(Structure, frozen=True, kw_only=True, rename="camel"):
    """What a user may not do: in a room, or with scope `ACCOUNT` in all of them."""

    user_id: str
    kind: str
    """`BAN`, `MUTE`, `SHADOW`, `HOLD` or `MONITOR`."""
    scope: str
    """`ROOM` or `ACCOUNT`."""
    room_identifier: str | None = None
    by: str
    reason: str | None = None
    created: datetime
    expires: datetime | None = None
    """None: it does not."""
    addresses: list[RestrictedAddress] | None = None


class RestrictionAnswer(Structure, frozen=True, rename="camel"):
    """The restriction that was made or lifted."""

    restriction: Restriction


class RestrictionPage(Structure, frozen=True, rename="camel"):
    """A page of restrictions; without `next_token` it is the last one."""

    restrictions: list[Restriction]
    next_token: str | None = None


class HistoryEntry(Restriction, frozen=True, kw_only=True, rename="camel"):
    """What was done to a user, or noted (`NOTE`): `ended` by somebody, and whether it `holds`."""

    ended: bool
    holds: bool
    roles: list[str] | None = None
    """Of what said the user's roles (`ROLES`)."""


class UserCard(Structure, frozen=True, rename="camel"):
    """What is known of a user in a room."""

    user_id: str
    connections: int
    restrictions: list[Restriction]
    history: list[HistoryEntry]
    roles: list[str] | None = None
    """What was said of his roles last; None: what his tokens say counts."""


class UserRoles(Structure, frozen=True, rename="camel"):
    """The roles that a user has from now on."""

    user_id: str
    roles: list[str]


class MessageSent(Structure, frozen=True, rename="camel"):
    """The message that everybody is shown."""

    id: str
    send_time: datetime


class MessagesDeleted(Structure, frozen=True, rename="camel"):
    """The messages that are shown no longer."""

    message_ids: list[str]


class MessageSender(Structure, frozen=True, rename="camel"):
    """Who sent a message."""

    user_id: str
    attributes: dict[str, str]


class KeptMessage(Structure, frozen=True, rename="camel"):
    """A message of a room's history."""

    id: str
    send_time: datetime
    content: str
    attributes: dict[str, str]
    sender: MessageSender
    state: str
    """`SHOWN`, `SHADOWED` or `DELETED`."""


class MessagePage(Structure, frozen=True, rename="camel"):
    """A page of messages; without `next_token` it is the last one."""

    messages: list[KeptMessage]
    recovered: bool | None = None
    """After `since`: whether they are all that was missed."""
    next_token: str | None = None


class Pin(Structure, frozen=True, rename="camel"):
    """A message that is pinned in a room."""

    message_id: str
    frame: str
    """The MESSAGE, as JSON."""
    by: str
    created: datetime
    expires: datetime | None = None


class Pins(Structure, frozen=True, rename="camel"):
    """What is pinned in a room."""

    pins: list[Pin]


class AnnouncementSchedule(Structure, frozen=True, kw_only=True, rename="camel"):
    """What a room is told again and again, while somebody writes there."""

    name: str
    content: str
    style: str
    """`INFO`, `SUCCESS` or `WARNING`."""
    every_seconds: int
    by: str
    created: datetime
    due: datetime
    """When it is told next, if somebody has written by then."""
    told: datetime | None = None
    """When it was told last; None: not yet."""


class AnnouncementScheduleMade(Structure, frozen=True, rename="camel"):
    """The schedule that was made or changed."""

    schedule: AnnouncementSchedule


class AnnouncementSchedules(Structure, frozen=True, rename="camel"):
    """What a room is told again and again, by names."""

    schedules: list[AnnouncementSchedule]


class TokenKey(Structure, frozen=True, rename="camel"):
    """A key that seals chat tokens. Times are milliseconds since the epoch, 0 where not known."""

    id: str
    current: bool
    made: int
    retired: int


class TokenKeys(Structure, frozen=True, rename="camel"):
    """The keys, the current one first."""

    token_keys: list[TokenKey]


class Account(Structure, frozen=True, rename="camel"):
    """The account, and whether it is suspended."""

    account: str
    suspended: bool


class SeenRequest(Structure, frozen=True, rename="camel"):
    """How the service sees the request."""

    source_ip: str
    secure: bool
    region: str


class EndedSessions(Structure, frozen=True, rename="camel"):
    """Whose sessions were ended."""

    kind: str
    name: str


class ReviewedContent(Structure, frozen=True, rename="camel"):
    """What a handler was asked, and what it answered."""

    content: str
    attributes: dict[str, str] | None = None
    answered_content: str | None = None
    answered_attributes: dict[str, str] | None = None
    reason: str | None = None


class Review(Structure, frozen=True, rename="camel"):
    """A review of a message, and how it ended."""

    time: str
    room_arn: str
    message_id: str
    user_id: str
    handler: str
    outcome: str
    verdict: str
    by_fallback: bool
    edited: bool
    milliseconds: float
    shown: ReviewedContent | None = None
    """Where the reviews were asked for with what RevealReviews answers."""


class ReviewPage(Structure, frozen=True, rename="camel"):
    """Reviews since a cursor, and the cursor for the next ones."""

    cursor: str
    missed: int
    """Reviews since the last cursor that are no longer kept."""
    reviews: list[Review]


class RevealedReviews(Structure, frozen=True, rename="camel"):
    """What reviews are to be asked for with, and for how long that is good."""

    reveal: str
    seconds: int


OWN_RESULTS: Mapping[str, type[Structure]] = MappingProxyType(
    {
        "BanUser": RestrictionAnswer,
        "DeleteUserMessages": MessagesDeleted,
        "EndSessions": EndedSessions,
        "GetRoomSettings": RoomSettingsInForce,
        "GetRoomState": RoomState,
        "GetUser": UserCard,
        "HoldUser": RestrictionAnswer,
        "KillTokenKey": TokenKeys,
        "LiftRestriction": RestrictionAnswer,
        "ListAnnouncementSchedules": AnnouncementSchedules,
        "ListMessages": MessagePage,
        "ListRestrictions": RestrictionPage,
        "ListReviews": ReviewPage,
        "ListRoomStates": RoomStatePage,
        "ListTokenKeys": TokenKeys,
        "ListUsers": UserPage,
        "MonitorUser": RestrictionAnswer,
        "MuteUser": RestrictionAnswer,
        "PinMessage": Pins,
        "PutAnnouncementSchedule": AnnouncementScheduleMade,
        "ResumeAccount": Account,
        "RevealReviews": RevealedReviews,
        "RotateTokenKey": TokenKeys,
        "SendMessage": MessageSent,
        "ShadowBanUser": RestrictionAnswer,
        "ShowAccount": Account,
        "ShowRequest": SeenRequest,
        "SuspendAccount": Account,
        "UnpinMessage": Pins,
        "UpdateRoomSettings": RoomSettingsInForce,
        "UpdateUser": UserRoles,
    }
)
"""What an operation's answer becomes; AddUserNote and DeleteAnnouncementSchedule have none."""
