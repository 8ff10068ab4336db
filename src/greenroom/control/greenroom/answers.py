"""What the operations answer, for those who make the answers and for clients that read them."""

import msgspec

from greenroom.tokens.key_ring import KeyInfo


class TokenKeysAnswer(msgspec.Struct, rename="camel"):
    """What every request about token keys is answered with: the keys as they are then."""

    token_keys: list[KeyInfo]


class AccountAnswer(msgspec.Struct, rename="camel"):
    """What every request about the account is answered with: how it is then."""

    account: str
    suspended: bool


class RequestAnswer(msgspec.Struct, rename="camel"):
    """How the service sees the request."""

    source_ip: str
    secure: bool
    region: str


class RevealAnswer(msgspec.Struct, rename="camel"):
    """What reviews are to be asked for with, and for how long that is good."""

    reveal: str
    seconds: int


class SessionsAnswer(msgspec.Struct, rename="camel"):
    """Whose sessions were ended."""

    kind: str
    name: str
