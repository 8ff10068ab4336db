"""How a node is let in by NATS: password, token, nkey or credentials, each from a file.

A file is read again for each connection, so that what was renewed counts; while it cannot be read,
what was read last does. Signatures are made by `cryptography`: no package for nkeys is needed.
"""

import base64
import binascii
import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from greenroom.process.start_refused import StartRefused

_SEED, _USER = 18 << 3, 20 << 3
"""What the first bits of a seed, and of a user's public key, say."""

_SEED_BYTES = 2 + 32 + 2
"""The two prefixes, the seed and its checksum."""

_JWT = re.compile(r"-{3,}\s*BEGIN NATS USER JWT\s*-{3,}\s*(\S+)\s*-{3,}")
_SEED_IN_CREDENTIALS = re.compile(r"-{3,}\s*BEGIN USER NKEY SEED\s*-{3,}\s*(\S+)\s*-{3,}")

T = TypeVar("T")

log = structlog.get_logger()


class LoginRefused(StartRefused):
    """A file that a login is in cannot be used: one clear line, without what is in it."""


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
        LoginRefused: the file cannot be used; so do the next ones.
    """
    return Login(user=user, password=_Kept(file, _line).get)


def by_token(file: Path) -> Login:
    """Return the login by a token in a file."""
    return Login(token=_Kept(file, _line).get)


def by_nkey(file: Path) -> Login:
    """Return the login by an nkey whose seed is in a file."""
    seed = _Kept(file, seed_of)
    return Login(public_nkey=seed.get().public, sign=lambda nonce: seed.get().sign(nonce))


def by_credentials(file: Path) -> Login:
    """Return the login by a file of credentials: a JWT, and the seed of the key that it names."""
    seed, jwt = _Kept(file, _seed_in), _Kept(file, _jwt_in)
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


def _line(text: str) -> str:
    found = text.strip("\r\n")
    if not found or not found.isprintable():
        raise ValueError("must hold one line of printable text")
    return found


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


class _Kept(Generic[T]):
    """What a file holds, and held while it can be read no more."""

    def __init__(self, file: Path, parse: Callable[[str], T]) -> None:
        self._file = file
        self._parse = parse
        try:
            self._last = self._read()
        except OSError as error:
            raise LoginRefused(f"cannot read {file}: {error.strerror}") from None
        except ValueError as error:
            raise LoginRefused(f"{file} {error}") from None

    def get(self) -> T:
        """Return it."""
        try:
            self._last = self._read()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            file = str(self._file)
            log.warning("a login is as it was: its file cannot be used", file=file, reason=reason)
        return self._last

    def _read(self) -> T:
        try:
            text = self._file.read_text(encoding="ascii")
        except UnicodeDecodeError:
            raise ValueError("must hold ASCII") from None
        return self._parse(text)
