"""What the process draws at random: identifiers, and the keys of key rings.

The pure packages take such values as arguments; here is where they come from.
"""

import os
import secrets
import sys
from base64 import b64encode

from greenroom.model.message import ID_LENGTH
from greenroom.tokens.key_ring import KEY_BYTES, KEY_ID_BYTES

_NUMBER_BYTES = 16
"""What a request's identifier is made of."""

_AT_ONCE = 64
"""What is drawn together: to ask the system costs as much as all else of an identifier."""

_request_ids: list[str] = []
_ids: list[str] = []
if sys.platform != "win32":
    for _kept in (_request_ids, _ids):
        os.register_at_fork(after_in_child=_kept.clear)


def new_id() -> str:
    """Return a random identifier: 12 letters and digits, 71 bits."""
    while True:
        try:
            return _ids.pop()
        except IndexError:
            # Of base64's 64 characters two are no letter or digit: two of three texts have neither.
            text = b64encode(os.urandom(ID_LENGTH * 3 // 4 * _AT_ONCE)).decode()
            texts = [text[start : start + ID_LENGTH] for start in range(0, len(text), ID_LENGTH)]
            _ids.extend(each for each in texts if each.isalnum())


def new_request_id() -> str:
    """Return a random UUID (RFC 9562, version 4): what AWS calls its requests."""
    while True:
        try:
            return _request_ids.pop()
        except IndexError:
            text, size = os.urandom(_NUMBER_BYTES * _AT_ONCE).hex(), 2 * _NUMBER_BYTES
            _request_ids.extend(_uuid(text[at : at + size]) for at in range(0, len(text), size))


def new_key() -> tuple[str, bytes]:
    """Return a random key and an id for it: 8 characters of base64url, and 32 bytes."""
    key_id = "-"
    while key_id.startswith("-"):  # a command would take it for an option
        key_id = secrets.token_urlsafe(KEY_ID_BYTES * 3 // 4)
    return key_id, secrets.token_bytes(KEY_BYTES)


def _uuid(drawn: str) -> str:
    variant = "89ab"[int(drawn[30], 16) % 4]
    return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[12:15]}-{variant}{drawn[15:18]}-{drawn[18:30]}"
