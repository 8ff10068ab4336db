"""The root access key, and the file that lets the AWS tools use it.

The key comes from the settings, else it was created at the first start and is kept in the store,
sealed. The file in the data directory has the form of the AWS tools' shared credentials file, mode
0600; it is written only for a key that Greenroom itself created.
"""

import secrets
import string
from pathlib import Path

import msgspec

from greenroom.identities.callers import RootKey
from greenroom.process.files import write_private
from greenroom.process.start_refused import FileUnwritable
from greenroom.settings.values import Settings
from greenroom.vault.vault import Vault

PROFILE = "greenroom"
"""The profile in the credentials file."""

FILE = "credentials"
"""The file's name in the data directory."""

_KEY_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits


class _Kept(msgspec.Struct):
    access_key_id: str
    secret_access_key: str


async def root_key(settings: Settings, vault: Vault) -> RootKey:
    """Return the account's root access key, created if need be."""
    account = settings.text("account")
    given = settings.optional_text("access_key_id")
    if given is not None:
        return RootKey(given, settings.text("secret_access_key"), account)
    candidate = msgspec.json.encode(
        _Kept("AKIA" + _random(_KEY_ID_ALPHABET, 16), _random(_SECRET_ALPHABET, 40))
    )
    kept = msgspec.json.decode(await vault.secret("root-access-key", candidate), type=_Kept)
    file = file_of(settings)
    if file is not None:
        text = (
            f"[{PROFILE}]\naws_access_key_id = {kept.access_key_id}\n"
            f"aws_secret_access_key = {kept.secret_access_key}\n"
        )
        try:
            write_private(Path(file), text)
        except OSError as error:
            raise FileUnwritable(f"{file} cannot be written: {error.strerror}") from None
    return RootKey(kept.access_key_id, kept.secret_access_key, account)


def file_of(settings: Settings) -> str | None:
    """Return the path of the credentials file, or None when there is none."""
    if settings.optional_text("access_key_id") is not None or settings.text("storage") == "memory":
        return None
    return str(settings.path("data_dir").resolve() / FILE)


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
