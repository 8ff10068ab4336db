"""The table of Greenroom's own operations, by path: one line each."""

from collections.abc import Callable

import msgspec

from greenroom.control.greenroom import account, requests, reviews, sessions, token_keys
from greenroom.control.greenroom.call import GreenroomHandler
from greenroom.policies.greenroom_access import GREENROOM_ACCESS

PREFIX = b"/greenroom/"


def _nothing(_body: bytes) -> dict[str, object]:
    """Take no parameters; a body is not looked at."""
    return {}


class GreenroomOperation(msgspec.Struct, frozen=True):
    """One operation: its name in policies and the audit log, and who performs it."""

    name: str
    handler: GreenroomHandler
    parse: Callable[[bytes], dict[str, object]] = _nothing
    """Returns the parameters in a body."""
    reads: bool = False
    """Whether it changes nothing."""


OPERATIONS = {
    b"token-keys/list": GreenroomOperation("ListTokenKeys", token_keys.list_token_keys, reads=True),
    b"token-keys/rotate": GreenroomOperation("RotateTokenKey", token_keys.rotate_token_key),
    b"token-keys/kill": GreenroomOperation(
        "KillTokenKey", token_keys.kill_token_key, token_keys.parse_kill
    ),
    b"account/show": GreenroomOperation("ShowAccount", account.show_account, reads=True),
    b"account/suspend": GreenroomOperation("SuspendAccount", account.suspend_account),
    b"account/resume": GreenroomOperation("ResumeAccount", account.resume_account),
    b"requests/show": GreenroomOperation("ShowRequest", requests.show_request, reads=True),
    b"reviews/list": GreenroomOperation(
        "ListReviews", reviews.list_reviews, reviews.parse_list, reads=True
    ),
    b"reviews/reveal": GreenroomOperation("RevealReviews", reviews.reveal_reviews),
    b"sessions/end": GreenroomOperation("EndSessions", sessions.end_sessions, sessions.parse_end),
}
"""By path behind `PREFIX`; the method is POST."""

if (names := {each.name for each in OPERATIONS.values()}) != GREENROOM_ACCESS.keys():
    raise ImportError(
        "the operations differ from the table of access: "
        + ", ".join(sorted(names ^ GREENROOM_ACCESS.keys()))
    )


def is_path(path: bytes) -> bool:
    """Return whether a path is that of one of the operations."""
    return path.startswith(PREFIX) and path.removeprefix(PREFIX) in OPERATIONS
