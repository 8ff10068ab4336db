"""Keys, JWTs and files of credentials as NATS' own tools make them."""

import base64
import binascii
import json
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3


class Nkey:
    """A key of a kind, made of a number."""

    def __init__(self, kind: int, number: int) -> None:
        self._kind = kind
        self._seed = number.to_bytes(32, "big")
        self._key = Ed25519PrivateKey.from_private_bytes(self._seed)

    @property
    def seed(self) -> str:
        """Return the seed, `S…`."""
        prefix = bytes([18 << 3 | self._kind >> 5, (self._kind & 31) << 3])
        return _written(prefix + self._seed)

    @property
    def public(self) -> str:
        """Return the public key."""
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return _written(bytes([self._kind]) + raw)

    def jwt(self, subject: str, kind: str, name: str, **claims: object) -> str:
        """Return what this key says of another one."""
        said = {
            "jti": name,
            "iat": int(time.time()),
            "iss": self.public,
            "name": name,
            "sub": subject,
            "nats": {"type": kind, "version": 2, **claims},
        }
        text = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(said)}"
        return f"{text}.{_url(self._key.sign(text.encode()))}"


def credentials(jwt: str, user: Nkey) -> str:
    """Return a file of credentials."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )


def _written(data: bytes) -> str:
    return (
        base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "little"))
        .decode()
        .rstrip("=")
    )


def _part(value: object) -> str:
    return _url(json.dumps(value).encode())


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
