"""Session tokens: temporary credentials that travel sealed, so that nothing is kept of them.

The claims, secret and session policies among them, are packed and compressed. Expiry, revocation
and whether who they name still exists are for who opens them to check.
"""

import zlib

import msgspec

from greenroom.model.identity import SessionClaims
from greenroom.tokens.key_ring import SESSION_PURPOSE, KeyRing, TokenMalformed

_COMPRESSION = 9
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SessionClaims)


class SessionTooLarge(ValueError):
    """The session's policies and tags do not fit into a token, however packed."""


def seal_session(ring: KeyRing, claims: SessionClaims, nonce: bytes) -> str:
    """Return the claims as a session token of at most 4,096 characters; see `KeyRing.seal`.

    Raises:
        SessionTooLarge: policies and tags are too large (AWS: PackedPolicyTooLarge).
    """
    packed = zlib.compress(_encoder.encode(claims), _COMPRESSION)
    try:
        return ring.seal(SESSION_PURPOSE, packed, nonce)
    except ValueError:
        raise SessionTooLarge("the session's policies and tags are too large") from None


def open_session(ring: KeyRing, text: str) -> SessionClaims:
    """Return the claims of a session token.

    Raises:
        TokenRejected: see `KeyRing.open`.
    """
    packed = ring.open(SESSION_PURPOSE, text)
    try:
        return _decoder.decode(zlib.decompress(packed))
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError):
        raise TokenMalformed("the token's claims are of another version") from None
