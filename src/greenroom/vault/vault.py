"""The service's own secrets in the store, sealed with the master key; and where that comes from.

- The master key is that of the setting `secrets_key` or `secrets_key_file`; else it is in the file
  `secrets.key` of the data directory (mode 0600), made at the first start.
- The nodes of a cluster share a store, so they are given the key: none is made on one node's disk.
- The first thing sealed is a check. A master key that does not open it is refused before anything
  is written; so is a missing key file, when the store has the check already. Of processes that come
  first together, the check of one is kept, and the others' keys must open it.
- Secrets that an older version kept in clear are sealed when they are first asked for, at start.
"""

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path

from greenroom.process.files import synchronize, write_private
from greenroom.process.start_refused import FileUnwritable
from greenroom.settings.values import Settings
from greenroom.storage.base import StoreRefused
from greenroom.storage.secrets import Secrets
from greenroom.vault.sealing import MASTER_KEY_BYTES, SealBroken, Sealer, is_sealed

KEY_FILE = "secrets.key"
"""The generated key's file in the data directory. Back it up apart from the database."""

CHECK = "sealing-check"
"""The name of what is sealed first, to see later whether the key is the same."""

_CHECKED = b"greenroom"


class SecretsKeyRefused(StoreRefused):
    """The master key is missing, malformed, or not the one that sealed the store."""


class Vault:
    """Secrets by name; made by `open_vault`."""

    def __init__(self, secrets: Secrets, sealer: Sealer) -> None:
        self._secrets = secrets
        self.sealer = sealer

    async def secret(self, name: str, candidate: bytes) -> bytes:
        """Return the secret kept under the name; when there is none, keep the candidate.

        Raises:
            SecretsKeyRefused: what is kept does not open.
        """
        context = f"secret {name}"
        sealed = self.sealer.seal(context, candidate)
        kept = await self._secrets.keep(name, sealed)
        if not is_sealed(kept):
            await self._secrets.replace(name, kept, self.sealer.seal(context, kept))
            return kept
        try:
            return self.sealer.open(context, kept)
        except SealBroken as broken:
            raise SecretsKeyRefused(f"the secret {name} in the store: {broken}") from None

    async def replace(self, name: str, expected: bytes, secret: bytes) -> bytes:
        """Keep the secret in place of `expected`; return what is kept then.

        That is something else than the secret where it was not `expected`: nothing changed.

        Raises:
            SecretsKeyRefused: what is kept does not open.
        """
        context = f"secret {name}"
        # Equal secrets are sealed equal.
        before, after = self.sealer.seal(context, expected), self.sealer.seal(context, secret)
        if await self._secrets.replace(name, before, after):
            return secret
        return await self.secret(name, secret)


async def open_vault(
    settings: Settings, secrets: Secrets, entropy: Callable[[int], bytes] = os.urandom
) -> Vault:
    """Find the master key and see that it is the store's.

    Raises:
        SecretsKeyRefused: it is not, or it is missing or malformed; nothing was written.
        FileUnwritable: the new key's file cannot be written.
    """
    check_given(settings)
    kept = await secrets.get(CHECK)
    sealer, origin = _found(settings, entropy, make=kept is None)
    if kept is None:
        kept = await secrets.keep(CHECK, sealer.seal(CHECK, _CHECKED))
    _see_opens(sealer, kept, origin)
    return Vault(secrets, sealer)


def check_given(settings: Settings) -> None:
    """See that a node of a cluster is given a key.

    Raises:
        SecretsKeyRefused: it is not.
    """
    if settings.database is not None and not _is_given(settings):
        raise SecretsKeyRefused(
            "a cluster needs secrets_key or secrets_key_file, the same for each of its nodes: make"
            " one with `openssl rand -base64 32`"
        )


def sealer_of(
    settings: Settings, kept: bytes | None, entropy: Callable[[int], bytes] = os.urandom
) -> Sealer:
    """Return what seals with the master key; `kept` is the store's `CHECK`, if it has one yet.

    Raises:
        SecretsKeyRefused: as for `open_vault`.
        FileUnwritable: the new key's file cannot be written.
    """
    sealer, origin = _found(settings, entropy, make=kept is None)
    if kept is not None:
        _see_opens(sealer, kept, origin)
    return sealer


def is_at_hand(settings: Settings) -> bool:
    """Return whether the settings name a master key, or their data directory has one."""
    return _is_given(settings) or (settings.path("data_dir") / KEY_FILE).exists()


def key_of(path: Path) -> bytes:
    """Return the master key in a file.

    Raises:
        SecretsKeyRefused: it cannot be read, or holds something else.
    """
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise SecretsKeyRefused(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    return _decoded(text, str(path))


def _found(
    settings: Settings, entropy: Callable[[int], bytes], *, make: bool
) -> tuple[Sealer, str]:
    """Return what seals with the master key, and where that was; one is made where it may be."""
    key, origin = _given(settings)
    if key is None and settings.text("storage") == "memory":
        key, origin = entropy(MASTER_KEY_BYTES), "memory"
    if key is None:
        path = settings.path("data_dir") / KEY_FILE
        key, origin = _from_data_dir(path, entropy, make=make), str(path)
    return Sealer(key), origin


def _see_opens(sealer: Sealer, kept: bytes, origin: str) -> None:
    try:
        sealer.open(CHECK, kept)
    except SealBroken:
        raise SecretsKeyRefused(
            f"the secrets in the store were sealed with another key than that of {origin}:"
            " give the right one; nothing was changed"
        ) from None


def _is_given(settings: Settings) -> bool:
    return any(settings.values[name].value for name in ("secrets_key", "secrets_key_file"))


def _given(settings: Settings) -> tuple[bytes | None, str]:
    text, path = settings.optional_text("secrets_key"), settings.optional_path("secrets_key_file")
    if text is not None and path is not None:
        raise SecretsKeyRefused("secrets_key and secrets_key_file: give one of them")
    if text is not None:
        return _decoded(text, "secrets_key"), "the setting secrets_key"
    if path is not None:
        return key_of(path), str(path)
    return None, ""


def _from_data_dir(path: Path, entropy: Callable[[int], bytes], *, make: bool) -> bytes:
    if path.exists():
        return key_of(path)
    if not make:
        raise SecretsKeyRefused(
            f"{path} is missing, and the secrets in the store are sealed with it: restore it from"
            " its backup, or give secrets_key"
        )
    key = entropy(MASTER_KEY_BYTES)
    try:
        _write(path, base64.b64encode(key).decode() + "\n")
    except OSError as error:
        raise FileUnwritable(f"{path} cannot be written: {error.strerror}") from None
    return key


def _decoded(text: str, origin: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise SecretsKeyRefused(f"{origin} must hold {MASTER_KEY_BYTES} bytes as base64")
    return key


def _write(path: Path, text: str) -> None:
    write_private(path, text)
    # The file's name must last as long as what is sealed with the key.
    synchronize(path.parent)
