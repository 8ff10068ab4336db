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


class SessionsAnswer(msgspec.Struct, rename="camel"):
    """Whose sessions were ended."""

    kind: str
    name: str
