"""What each of Greenroom's own operations must be allowed: actions and resources, as a table.

Rooms are those of ivschat, by the ARN that they have there. Token keys and the account belong to no
region: their ARNs have none, as IAM's, so that a policy about them holds whatever region a request
is signed for.
"""

from collections.abc import Mapping
from types import MappingProxyType

from greenroom.policies.ivschat_access import Check

PREFIX = "greenroom"

_KEYS = f"arn:aws:{PREFIX}::{{account}}:token-key/*"
_KEY = f"arn:aws:{PREFIX}::{{account}}:token-key/{{keyId}}"
_ACCOUNT = f"arn:aws:{PREFIX}::{{account}}:account"
_REVIEWS = f"arn:aws:{PREFIX}::{{account}}:review/*"
_IDENTITY = "arn:aws:iam::{account}:{identity}"
_ROOM = "{room}"

GREENROOM_ACCESS: Mapping[str, str] = MappingProxyType(
    {
        "AddUserNote": _ROOM,
        "BanUser": _ROOM,
        "DeleteAnnouncementSchedule": _ROOM,
        "DeleteUserMessages": _ROOM,
        "EndSessions": _IDENTITY,
        "GetRoomSettings": _ROOM,
        "GetRoomState": _ROOM,
        "GetUser": _ROOM,
        "HoldUser": _ROOM,
        "KillTokenKey": _KEY,
        "LiftRestriction": _ROOM,
        "ListAnnouncementSchedules": _ROOM,
        "ListMessages": _ROOM,
        "ListRestrictions": _ROOM,
        "ListReviews": _REVIEWS,
        "ListRoomStates": _ROOM,
        "ListTokenKeys": _KEYS,
        "ListUsers": _ROOM,
        "MonitorUser": _ROOM,
        "MuteUser": _ROOM,
        "PinMessage": _ROOM,
        "PutAnnouncementSchedule": _ROOM,
        "ResumeAccount": _ACCOUNT,
        "RevealReviews": _REVIEWS,
        "RotateTokenKey": _KEYS,
        "SendMessage": _ROOM,
        "ShadowBanUser": _ROOM,
        "ShowAccount": _ACCOUNT,
        "ShowRequest": _ACCOUNT,
        "SuspendAccount": _ACCOUNT,
        "UnpinMessage": _ROOM,
        "UpdateRoomSettings": _ROOM,
        "UpdateUser": _ROOM,
    }
)
"""The ARN of what each operation is about. The action is `greenroom:` and the name; `identity` is
`user/PATH/NAME`, `role/PATH/NAME` or `root`, `room` the ARN of the room, which is ivschat's."""


def is_about_a_room(operation: str) -> bool:
    """Return whether what is asked about is a room."""
    return GREENROOM_ACCESS[operation] == _ROOM


def greenroom_check(
    operation: str, account: str, *, key_id: str = "", identity: str = "", room: str = ""
) -> Check:
    """Return what a request must be allowed."""
    resource = GREENROOM_ACCESS[operation].format(
        account=account, keyId=key_id, identity=identity, room=room
    )
    return Check(f"{PREFIX}:{operation}", resource, exists=True)
