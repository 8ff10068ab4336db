"""Quotas of the service: one table, read by the code, `greenroom config` and the documentation.

AWS's numbers are those of the Chat User Guide, "Service Quotas". Each quota holds per account and
region unless its scope says otherwise; 0 means no limit. The configuration may override each.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class RateProfile(StrEnum):
    """Which request rates hold where the configuration overrides nothing."""

    AWS = "aws"
    RELAXED = "relaxed"
    OFF = "off"


RELAXED_RATE = 1000
"""Requests per second of each operation in the relaxed profile: AWS's 3 to 5 a second stop tools
that create many rooms in a row; 1,000 only stops a loop that has run away."""


IDENTITY_RATE = 200
"""Requests per second of IAM, of STS, and of Greenroom's own API, in the relaxed profile: each
costs more than one of the ivschat API, and any key may make some of them."""

CALLER_RATE = 50
"""Requests per second of each of them, of one user, role or root."""


class Quota(msgspec.Struct, frozen=True):
    """One limit: its name in the configuration, AWS's default and what it counts."""

    name: str
    aws: int
    meaning: str
    is_request_rate: bool = False
    relaxed: int = RELAXED_RATE
    """The relaxed profile's rate."""

    def value(self, profile: RateProfile) -> int:
        """Return the limit under a profile; only request rates differ between profiles."""
        if not self.is_request_rate or profile is RateProfile.AWS:
            return self.aws
        return self.relaxed if profile is RateProfile.RELAXED else 0


_REQUESTS_PER_SECOND = {
    "CreateChatToken": 200,
    "CreateLoggingConfiguration": 3,
    "CreateRoom": 5,
    "DeleteLoggingConfiguration": 3,
    "DeleteMessage": 100,
    "DeleteRoom": 5,
    "DisconnectUser": 100,
    "GetLoggingConfiguration": 3,
    "GetRoom": 5,
    "ListLoggingConfigurations": 3,
    "ListRooms": 5,
    "ListTagsForResource": 10,
    "SendEvent": 100,
    "TagResource": 10,
    "UntagResource": 10,
    "UpdateLoggingConfiguration": 3,
    "UpdateRoom": 5,
}


_OF_A_SERVICE = {"iam": "IAM", "sts": "STS", "greenroom": "Greenroom's own API"}

_STS_PER_SECOND = 600


def caller_rate_name(service: str) -> str:
    """Return the name of the request-rate quota of each caller of IAM or STS."""
    return f"requests_per_second_per_caller.{service}"


def request_rate_name(operation: str) -> str:
    """Return the name of an operation's request-rate quota."""
    return f"requests_per_second.{operation}"


QUOTAS: tuple[Quota, ...] = (
    Quota("rooms", 50_000, "rooms"),
    Quota("logging_configurations", 10, "logging configurations"),
    Quota("tags_per_resource", 50, "tags on one room or logging configuration"),
    Quota("connections", 50_000, "concurrent chat connections of an account in a region"),
    Quota(
        "messaging_requests_per_connection",
        10,
        "requests per second on one WebSocket connection",
    ),
    Quota(
        "send_message_rate",
        1_000,
        "SEND_MESSAGE requests per second across all rooms",
        is_request_rate=True,
    ),
    Quota(
        "delete_message_rate",
        100,
        "DELETE_MESSAGE and DeleteMessage requests per second across all rooms",
        is_request_rate=True,
    ),
    Quota(
        "disconnect_user_rate",
        100,
        "DISCONNECT_USER and DisconnectUser requests per second across all rooms",
        is_request_rate=True,
    ),
    Quota(
        "moderation_rate",
        100,
        "per second across all rooms, what moderators and hosts do by Greenroom's own actions and"
        " operations",
        is_request_rate=True,
    ),
    Quota(
        "message_review_milliseconds", 200, "milliseconds that a message review handler may take"
    ),
    *(
        Quota(request_rate_name(name), rate, f"{name} requests per second", is_request_rate=True)
        for name, rate in _REQUESTS_PER_SECOND.items()
    ),
    Quota(
        request_rate_name("SendMessage"),
        1_000,
        "SendMessage requests per second",
        is_request_rate=True,
    ),
    # AWS states the rate of STS only ("IAM and AWS STS quotas"); the others are what it does not
    # state, so that no key without permissions takes the CPU.
    *(
        Quota(
            request_rate_name(service),
            _STS_PER_SECOND if service == "sts" else IDENTITY_RATE,
            f"requests of {name} per second",
            is_request_rate=True,
            relaxed=IDENTITY_RATE,
        )
        for service, name in _OF_A_SERVICE.items()
    ),
    *(
        Quota(
            caller_rate_name(service),
            CALLER_RATE,
            f"requests of {name} per second of one user, role or root",
            is_request_rate=True,
            relaxed=CALLER_RATE,
        )
        for service, name in _OF_A_SERVICE.items()
    ),
)

BY_NAME: Mapping[str, Quota] = {quota.name: quota for quota in QUOTAS}


class Quotas(msgspec.Struct, frozen=True):
    """The quotas in force: a profile and the configuration's overrides."""

    profile: RateProfile = RateProfile.RELAXED
    overrides: dict[str, int] = {}
    room_rates: bool = True
    """Whether each room's own `maximumMessageRatePerSecond` holds."""

    def __getitem__(self, name: str) -> int:
        override = self.overrides.get(name)
        return BY_NAME[name].value(self.profile) if override is None else override
