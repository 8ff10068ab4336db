"""Seal what is kept: secrets at rest, with AES-256-GCM under one master key.

- A sealed secret names the key that it was sealed with, and is bound to its context (`key AKIA...`,
  `secret token-keys`): moved to another place it does not open.
- Sealing needs no randomness: the nonce is a keyed hash of context and secret, so equal inputs
  give equal outputs and no two different ones share a nonce.
- What was kept before there was sealing has not the marking prefix, and is told apart by it.
"""

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASTER_KEY_BYTES = 32

_PREFIX = b"\xffsealed1"
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_HEAD_BYTES = len(_PREFIX) + _KEY_ID_BYTES + _NONCE_BYTES


class SealBroken(Exception):
    """The bytes were not sealed with this key for this context, or have changed since."""


class Sealer:
    """Seals and opens with one master key."""

    __slots__ = ("_cipher", "_head", "_nonce_key")

    def __init__(self, master_key: bytes) -> None:
        """Make a sealer.

        Raises:
            ValueError: the key is not 32 bytes.
        """
        if len(master_key) != MASTER_KEY_BYTES:
            raise ValueError(f"a master key must be {MASTER_KEY_BYTES} bytes")
        self._cipher = AESGCM(_derived(master_key, b"seal"))
        self._nonce_key = _derived(master_key, b"nonce")
        self._head = _PREFIX + _derived(master_key, b"id")[:_KEY_ID_BYTES]

    def __repr__(self) -> str:
        return "Sealer()"

    def seal(self, context: str, secret: bytes) -> bytes:
        """Return the secret sealed for the context."""
        bound = context.encode()
        text = len(bound).to_bytes(4, "big") + bound + secret
        nonce = hmac.digest(self._nonce_key, text, hashlib.sha256)[:_NONCE_BYTES]
        return self._head + nonce + self._cipher.encrypt(nonce, secret, self._head + bound)

    def open(self, context: str, sealed: bytes) -> bytes:
        """Return the secret that was sealed for the context.

        Raises:
            SealBroken: it was sealed with another key or for another context, or was changed.
        """
        if not sealed.startswith(self._head):
            raise SealBroken("sealed with another key")
        nonce = sealed[len(self._head) : _HEAD_BYTES]
        try:
            return self._cipher.decrypt(nonce, sealed[_HEAD_BYTES:], self._head + context.encode())
        except (InvalidTag, ValueError):
            raise SealBroken("changed, or sealed for something else") from None


def is_sealed(data: bytes) -> bool:
    """Return whether the bytes were sealed, with whatever key."""
    return data.startswith(_PREFIX)


def key_context(access_key_id: str) -> str:
    """Return the context of an access key's secret."""
    return f"key {access_key_id}"


def _derived(master_key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(master_key, b"greenroom secrets " + purpose, hashlib.sha256)
