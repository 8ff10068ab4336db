"""Chat tokens: what a token says about its bearer."""

from enum import StrEnum

import msgspec

TOKEN_VALIDITY_SECONDS = 60
"""A token can be used to connect for one minute after its creation (AWS CLI, create-chat-token)."""

DEFAULT_SESSION_MINUTES = 60
"""Session duration when the request names none (API reference, CreateChatToken)."""


LONGEST_SESSION_SECONDS = 180 * 60
"""No session is longer, whatever a request names (API reference, CreateChatToken)."""


class Capability(StrEnum):
    """What a token's bearer may do beside viewing messages, which everybody may."""

    SEND_MESSAGE = "SEND_MESSAGE"
    DISCONNECT_USER = "DISCONNECT_USER"
    DELETE_MESSAGE = "DELETE_MESSAGE"
    MODERATE = "greenroom:MODERATE"
    HOST = "greenroom:HOST"
    REACT = "greenroom:REACT"
    BYPASS = "greenroom:BYPASS"


IVS_CAPABILITIES = (
    Capability.SEND_MESSAGE,
    Capability.DISCONNECT_USER,
    Capability.DELETE_MESSAGE,
)
"""Those that IVS Chat has, too."""

OWN_CAPABILITIES = (
    Capability.MODERATE,
    Capability.HOST,
    Capability.REACT,
    Capability.BYPASS,
)
"""Those that only Greenroom has: see docs/reference/extensions.md."""


class ChatTokenClaims(msgspec.Struct, frozen=True, array_like=True):
    """The sealed contents of a token. Times are milliseconds since the epoch."""

    token_id: str
    room_arn: str
    user_id: str
    capabilities: tuple[Capability, ...]
    attributes: dict[str, str]
    token_expires: int
    session_expires: int
    own: dict[str, str] = {}
    """Attributes whose names began with `greenroom:`, without that: nobody is shown them."""
