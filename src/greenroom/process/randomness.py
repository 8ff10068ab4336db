"""What the process draws at random: identifiers, and the keys of key rings.

The pure packages take such values as arguments; here is where they come from.
"""

import secrets

from greenroom.model.message import identifier
from greenroom.tokens.key_ring import KEY_BYTES, KEY_ID_BYTES

_UUID_BYTES = 16
_IDENTIFIER_BITS = 128
"""Far more than an identifier tells apart, so that each is as likely as any other."""


def new_id() -> str:
    """Return a random identifier: 12 letters and digits, 71 bits."""
    return identifier(secrets.randbits(_IDENTIFIER_BITS))


def new_request_id() -> str:
    """Return a random UUID (RFC 9562, version 4): what AWS calls its requests."""
    drawn = secrets.token_hex(_UUID_BYTES)
    variant = "89ab"[int(drawn[16], 16) % 4]
    return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{variant}{drawn[17:20]}-{drawn[20:]}"


def new_key() -> tuple[str, bytes]:
    """Return a random key and an id for it: 8 characters of base64url, and 32 bytes."""
    key_id = "-"
    while key_id.startswith("-"):  # a command would take it for an option
        key_id = secrets.token_urlsafe(KEY_ID_BYTES * 3 // 4)
    return key_id, secrets.token_bytes(KEY_BYTES)
