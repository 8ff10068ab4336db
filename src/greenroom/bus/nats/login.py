"""How a node is let in by NATS: password, token, nkey or credentials, each from a file.

A file is read again for each connection, so that what was renewed counts; while it cannot be read,
what was read last does. Signatures are made by `cryptography`: no package for nkeys is needed.
"""

import base64
import binascii
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from greenroom.process.kept_file import KeptFile, one_line

_SEED, _USER = 18 << 3, 20 << 3
"""What the first bits of a seed, and of a user's public key, say."""

_SEED_BYTES = 2 + 32 + 2
"""The two prefixes, the seed and its checksum."""

_JWT = re.compile(r"-{3,}\s*BEGIN NATS USER JWT\s*-{3,}\s*(\S+)\s*-{3,}")
_SEED_IN_CREDENTIALS = re.compile(r"-{3,}\s*BEGIN USER NKEY SEED\s*-{3,}\s*(\S+)\s*-{3,}")


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What nats-py is told; by default nothing, or what is in the URLs."""

    user: str | None = None
    password: Callable[[], str] | None = None
    token: Callable[[], str] | None = None
    public_nkey: str | None = None
    """The key that signs, where no JWT names it."""
    sign: Callable[[str], bytes] | None = None
    """Returns the signature of a nonce as base64."""
    jwt: Callable[[], bytes] | None = None


class Seed(NamedTuple):
    """An nkey: what signs, and its public key as NATS writes it."""

    key: Ed25519PrivateKey
    public: str

    def sign(self, nonce: str) -> bytes:
        """Return the signature of a nonce as base64."""
        return base64.b64encode(self.key.sign(nonce.encode()))


def by_password(user: str, file: Path) -> Login:
    """Return the login of a user whose password is in a file.

    Raises:
        FileUnreadable: the file cannot be used; so do the next ones.
    """
    return Login(user=user, password=KeptFile(file, one_line, "bus_password_file").get)


def by_token(file: Path) -> Login:
    """Return the login by a token in a file."""
    return Login(token=KeptFile(file, one_line, "bus_token_file").get)


def by_nkey(file: Path) -> Login:
    """Return the login by an nkey whose seed is in a file."""
    seed = KeptFile(file, seed_of, "bus_nkey_file")
    return Login(public_nkey=seed.get().public, sign=lambda nonce: seed.get().sign(nonce))


def by_credentials(file: Path) -> Login:
    """Return the login by a file of credentials: a JWT, and the seed of the key that it names."""
    setting = "bus_credentials_file"
    seed, jwt = KeptFile(file, _seed_in, setting), KeptFile(file, _jwt_in, setting)
    return Login(sign=lambda nonce: seed.get().sign(nonce), jwt=lambda: jwt.get().encode())


def seed_of(text: str) -> Seed:
    """Return the nkey of a seed as NATS writes it, `SU…`.

    Raises:
        ValueError: it is none.
    """
    try:
        raw = base64.b32decode(text.strip() + "=" * (-len(text.strip()) % 8))
    except (binascii.Error, ValueError):
        raw = b""
    rule = "must hold the seed of a user's nkey, SU…"
    if len(raw) != _SEED_BYTES or _checksum(raw[:-2]) != raw[-2:] or raw[0] & 0xF8 != _SEED:
        raise ValueError(rule)
    if (raw[0] & 7) << 5 | raw[1] >> 3 != _USER:
        raise ValueError(rule)
    key = Ed25519PrivateKey.from_private_bytes(raw[2:-2])
    public = bytes([_USER]) + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Seed(key, base64.b32encode(public + _checksum(public)).rstrip(b"=").decode())


def _checksum(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0).to_bytes(2, "little")


def _jwt_in(text: str) -> str:
    found = _JWT.search(text)
    if found is None:
        raise ValueError("must hold credentials, with BEGIN NATS USER JWT")
    return found[1]


def _seed_in(text: str) -> Seed:
    found = _SEED_IN_CREDENTIALS.search(text)
    if found is None:
        raise ValueError("must hold credentials, with BEGIN USER NKEY SEED")
    return seed_of(found[1])
