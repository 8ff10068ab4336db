"""Seal and open tokens with a ring of keys: chat tokens, and the page tokens of listings.

- A token is two base64url parts without padding, joined by a dot: every character is legal in
  `Sec-WebSocket-Protocol`. The first part is a version byte, the key's id and the nonce; the
  second is the payload, encrypted and authenticated with AES-256-GCM.
- The purpose and the first part are authenticated with it: a page token is never a chat token.
- A ring opens what any of its keys sealed and seals with the current one, so that keys can be
  changed while older tokens are still good. A key that is no longer current stays until nothing
  that it sealed, and no session that began with it, can be alive.
- Nonces are the caller's and must never repeat under one key: 12 random bytes each time.
- No error carries any part of a token.
"""

import binascii
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from greenroom.model.chat_token import ChatTokenClaims

MAXIMUM_TOKEN_LENGTH = 4096
"""Characters. The largest claims, 1 KB of attributes among them, make about 2,600."""

CHAT_PURPOSE = "chat"
"""The purpose of chat tokens."""

PAGE_PURPOSE = "page"
"""The purpose of the page tokens of listings."""

SESSION_PURPOSE = "session"
"""The purpose of the session tokens of temporary credentials (see `session_tokens`)."""

KEY_BYTES = 32
NONCE_BYTES = 12

KEPT_MS = 14_400_000
"""How long a key stays after it was current. The longest session is 3 hours, a listing's page is
good for one."""

MAXIMUM_KEYS = 100
"""Keys in one ring."""

_VERSION = 1
_TAG_BYTES = 16
KEY_ID_BYTES = 8
_KEY_ID_LIMIT = 64
_CLAIMS_ENCODER = msgspec.msgpack.Encoder()
_CLAIMS_DECODER = msgspec.msgpack.Decoder(ChatTokenClaims)


class TokenRejected(Exception):
    """The text is not a token that this ring opens."""


class TokenMalformed(TokenRejected):
    """The text has not the shape of a token, whoever made it."""


class TokenForeign(TokenRejected):
    """The text has a token's shape, but no key of the ring sealed it for this purpose."""


class KeyUnknown(TokenForeign):
    """The text has a token's shape, and names a key that is not in the ring."""


class KeyInfo(msgspec.Struct, frozen=True):
    """What may be told of a key. Times are milliseconds since the epoch; 0 is not known."""

    id: str
    current: bool
    made: int
    retired: int


class RingFull(Exception):
    """The ring has as many keys as it may have: the older ones are still needed."""


class KeyRing:
    """Keys by their id, one of which is current."""

    __slots__ = ("_ciphers", "_current", "_ids", "_keys", "_made", "_prefix", "_retired")

    def __init__(
        self,
        keys: Mapping[str, bytes],
        current: str,
        made: Mapping[str, int] | None = None,
        retired: Mapping[str, int] | None = None,
    ) -> None:
        """Make a ring of 32-byte keys; ids are 1 to 64 ASCII characters.

        `made` and `retired` say when a key was made, and when it ceased to be the current one.

        Raises:
            ValueError: a key or an id is not of that form, or the current key is not among them.
        """
        if current not in keys:
            raise ValueError("the current key is not in the ring")
        if not all(key_id.isascii() and 0 < len(key_id) <= _KEY_ID_LIMIT for key_id in keys):
            raise ValueError(f"a key id must be 1 to {_KEY_ID_LIMIT} ASCII characters")
        if not all(len(key) == KEY_BYTES for key in keys.values()):
            raise ValueError(f"a key must be {KEY_BYTES} bytes")
        self._keys = dict(keys)
        self._current = current
        self._made = {key_id: at for key_id, at in (made or {}).items() if key_id in keys}
        self._retired = {key_id: at for key_id, at in (retired or {}).items() if key_id in keys}
        self._ciphers = {key_id.encode(): AESGCM(key) for key_id, key in keys.items()}
        self._ids = {key_id.encode(): key_id for key_id in keys}
        self._prefix = bytes((_VERSION,)) + current.encode()

    def adopt(self, other: "KeyRing") -> None:
        """Become the other ring, for everybody who has this one."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def describe(self) -> list[KeyInfo]:
        """Return what may be told of the keys, the newest first."""
        infos = [
            KeyInfo(
                key_id,
                key_id == self._current,
                self._made.get(key_id, 0),
                self._retired.get(key_id, 0),
            )
            for key_id in self._keys
        ]
        return sorted(infos, key=lambda info: (not info.current, -info.retired))

    def rotated(self, key_id: str, key: bytes, now: int) -> "KeyRing":
        """Return a ring that seals with another key from now on, without those not needed any more.

        Raises:
            RingFull: too many are still needed.
        """
        retired = self._retired | {self._current: now}
        needed = {
            each: value
            for each, value in self._keys.items()
            if each == self._current or retired.get(each, now) > now - KEPT_MS
        }
        if len(needed) >= MAXIMUM_KEYS:
            raise RingFull
        return KeyRing(needed | {key_id: key}, key_id, self._made | {key_id: now}, retired)

    def without(self, key_id: str) -> "KeyRing":
        """Return a ring that lacks a key, which must not be the current one.

        Raises:
            KeyError: it is not in the ring, or the current one.
        """
        if key_id == self._current:
            raise KeyError(key_id)
        keys = dict(self._keys)
        del keys[key_id]
        return KeyRing(keys, self._current, self._made, self._retired)

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def seal(self, purpose: str, payload: bytes, nonce: bytes) -> str:
        """Return the payload as a token for the purpose; the nonce is 12 bytes, used once.

        Raises:
            ValueError: the nonce is not 12 bytes, or the token would be too long to be opened.
        """
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"the nonce must be {NONCE_BYTES} bytes")
        head = _encode(self._prefix + nonce)
        cipher = self._ciphers[self._prefix[1:]]
        token = head + b"." + _encode(cipher.encrypt(nonce, payload, _bound(purpose, head)))
        if len(token) > MAXIMUM_TOKEN_LENGTH:
            raise ValueError("the payload is too long for a token")
        return token.decode()

    def open(self, purpose: str, text: str) -> bytes:
        """Return the payload of a token that was sealed for the purpose.

        Raises:
            TokenMalformed: the text is too long, of other characters, parts or version.
            KeyUnknown: it names a key that is not in the ring.
            TokenForeign: it was sealed with another key, for another purpose, or changed since.
        """
        return self.open_with_key(purpose, text)[0]

    def open_with_key(self, purpose: str, text: str) -> tuple[bytes, str]:
        """Return the same, and the id of the key: always the same object for one key."""
        head, sealed_text = _parts(text)
        plain_head = _plain_head(head)
        sealed = _decode(sealed_text)
        if len(sealed) < _TAG_BYTES:
            raise TokenMalformed("the token is cut short")
        key_id = plain_head[1:-NONCE_BYTES]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyUnknown("the token's key is not known")
        try:
            opened = cipher.decrypt(plain_head[-NONCE_BYTES:], sealed, _bound(purpose, head))
        except InvalidTag:
            raise TokenForeign("the token was not sealed here for this purpose") from None
        return opened, self._ids[key_id]

    def to_bytes(self) -> bytes:
        """Return the ring with its keys in clear, for the store's `secret`."""
        kept = _Kept(_VERSION, self._current, self._keys, self._made, self._retired)
        return msgspec.msgpack.encode(kept)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the ring that `to_bytes` gave.

        Raises:
            ValueError: the bytes are not a ring.
        """
        try:
            kept = msgspec.msgpack.decode(data, type=_Kept)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ValueError("not a key ring") from None
        if kept.version != _VERSION:
            raise ValueError("a key ring of another version")
        return cls(kept.keys, kept.current, kept.made, kept.retired)


def seal_claims(ring: KeyRing, claims: ChatTokenClaims, nonce: bytes) -> str:
    """Return the claims as a chat token."""
    return ring.seal(CHAT_PURPOSE, _CLAIMS_ENCODER.encode(claims), nonce)


def open_claims(ring: KeyRing, text: str) -> ChatTokenClaims:
    """Return the claims of a chat token. Expiry and single use are the caller's to check.

    Raises:
        TokenRejected: see `KeyRing.open`.
    """
    return open_claims_and_key(ring, text)[0]


def open_claims_and_key(ring: KeyRing, text: str) -> tuple[ChatTokenClaims, str]:
    """Return the same, and the id of the key that sealed them."""
    payload, key_id = ring.open_with_key(CHAT_PURPOSE, text)
    try:
        return _CLAIMS_DECODER.decode(payload), key_id
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TokenMalformed("the token's claims are of another version") from None


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    version: int
    current: str
    keys: dict[str, bytes]
    # Rings of earlier releases end here; what was added has defaults.
    made: dict[str, int] = {}
    retired: dict[str, int] = {}


def _plain_head(head: bytes) -> bytes:
    plain = _decode(head)
    if len(plain) < 2 + NONCE_BYTES or plain[0] != _VERSION:
        raise TokenMalformed("not a token of a known version")
    return plain


def _bound(purpose: str, head: bytes) -> bytes:
    """Return the associated data. The head holds no dot, so no two pairs give the same bytes."""
    return purpose.encode() + b"." + head


def _parts(text: str) -> tuple[bytes, bytes]:
    if len(text) > MAXIMUM_TOKEN_LENGTH:
        raise TokenMalformed(f"a token is at most {MAXIMUM_TOKEN_LENGTH} characters")
    try:
        data = text.encode("ascii")
    except UnicodeEncodeError:
        raise TokenMalformed("a token is ASCII") from None
    head, dot, sealed = data.partition(b".")
    if not dot or not head or not sealed:
        raise TokenMalformed("a token is two parts joined by a dot")
    return head, sealed


def _encode(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", b"", b"==", b"=")
_LAST_CHARACTERS = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    b"",
    b"AQgw",
    b"AEIMQUYcgkosw048",
)
"""What may stand last in a part of 4n, 4n+1, ... characters: others have stray bits."""


def _decode(text: bytes) -> bytes:
    """Decode one part. Only the one text that encodes the bytes is accepted for them."""
    remainder = len(text) % 4
    try:
        if text[-1] in _LAST_CHARACTERS[remainder]:
            standard = text.translate(_STANDARD) + _PADDING[remainder]
            return binascii.a2b_base64(standard, strict_mode=True)
    except binascii.Error:
        pass
    raise TokenMalformed("a token's parts are base64url without padding")
