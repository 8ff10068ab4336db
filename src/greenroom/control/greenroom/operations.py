"""The table of Greenroom's own operations: the name in the service model to who performs it.

Importing this module fails when the table and the service model differ, or that of access.
"""

from collections.abc import Callable, Mapping

import msgspec

from greenroom.aws import own_service
from greenroom.control.greenroom import (
    account,
    kept_messages,
    messages,
    pins,
    requests,
    restrictions,
    reviews,
    room_settings,
    room_states,
    schedules,
    sessions,
    token_keys,
)
from greenroom.control.greenroom.call import GreenroomHandler
from greenroom.model.restriction import Kind
from greenroom.policies.greenroom_access import GREENROOM_ACCESS

Parameters = Mapping[str, object]


class GreenroomOperation(msgspec.Struct, frozen=True):
    """Who performs an operation, and how."""

    handler: GreenroomHandler
    reads: bool = False
    """Whether it changes nothing."""
    reveals_with: str = ""
    """A switch with which the audit log has it, although it changes nothing."""
    also: Callable[[Parameters], dict[str, object]] | None = None
    """Returns what the audit log is to have beside a request's parameters."""


OPERATIONS: Mapping[str, GreenroomOperation] = {
    "AddUserNote": GreenroomOperation(restrictions.add_user_note),
    "BanUser": GreenroomOperation(restrictions.restricts(Kind.BAN)),
    "DeleteAnnouncementSchedule": GreenroomOperation(schedules.delete_announcement_schedule),
    "DeleteUserMessages": GreenroomOperation(restrictions.delete_user_messages),
    "EndSessions": GreenroomOperation(sessions.end_sessions, also=sessions.named_as_in_iam),
    "GetRoomSettings": GreenroomOperation(room_settings.get_room_settings, reads=True),
    "GetRoomState": GreenroomOperation(room_states.get_room_state, reads=True),
    "GetUser": GreenroomOperation(restrictions.get_user, reads=True),
    "HoldUser": GreenroomOperation(restrictions.restricts(Kind.HOLD)),
    "KillTokenKey": GreenroomOperation(token_keys.kill_token_key),
    "LiftRestriction": GreenroomOperation(restrictions.lift_restriction),
    "ListAnnouncementSchedules": GreenroomOperation(
        schedules.list_announcement_schedules, reads=True
    ),
    "ListMessages": GreenroomOperation(
        kept_messages.list_messages, reads=True, reveals_with="includeDeleted"
    ),
    "ListRestrictions": GreenroomOperation(restrictions.list_restrictions, reads=True),
    "ListReviews": GreenroomOperation(reviews.list_reviews, reads=True),
    "ListRoomStates": GreenroomOperation(room_states.list_room_states, reads=True),
    "ListTokenKeys": GreenroomOperation(token_keys.list_token_keys, reads=True),
    "ListUsers": GreenroomOperation(room_states.list_users, reads=True),
    "MonitorUser": GreenroomOperation(restrictions.restricts(Kind.MONITOR)),
    "MuteUser": GreenroomOperation(restrictions.restricts(Kind.MUTE)),
    "PinMessage": GreenroomOperation(pins.pin_message),
    "PutAnnouncementSchedule": GreenroomOperation(schedules.put_announcement_schedule),
    "ResumeAccount": GreenroomOperation(account.resume_account),
    "RevealReviews": GreenroomOperation(reviews.reveal_reviews),
    "RotateTokenKey": GreenroomOperation(token_keys.rotate_token_key),
    "SendMessage": GreenroomOperation(messages.send_message),
    "ShadowBanUser": GreenroomOperation(restrictions.restricts(Kind.SHADOW)),
    "ShowAccount": GreenroomOperation(account.show_account, reads=True),
    "ShowRequest": GreenroomOperation(requests.show_request, reads=True),
    "SuspendAccount": GreenroomOperation(account.suspend_account),
    "UnpinMessage": GreenroomOperation(pins.unpin_message),
    "UpdateRoomSettings": GreenroomOperation(room_settings.update_room_settings),
    "UpdateUser": GreenroomOperation(restrictions.update_user),
}

for _others in (own_service.OPERATIONS, GREENROOM_ACCESS):
    if OPERATIONS.keys() != _others.keys():
        raise ImportError(
            "the operations differ from the service model, or from the table of access: "
            + ", ".join(sorted(OPERATIONS.keys() ^ _others.keys()))
        )


def is_path(path: bytes) -> bool:
    """Return whether a path is that of one of the operations."""
    return path in own_service.BY_PATH
