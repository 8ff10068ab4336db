"""What a backup says of itself, in `manifest.json`: its files, their hashes, and what they hold.

A backup is whole when its manifest is there and every file is as the manifest says.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from greenroom.cli.new_directory import FILES
from greenroom.storage.base import StoreForeign
from greenroom.storage.sqlite.database_file import DATABASE
from greenroom.vault.vault import KEY_FILE

MANIFEST = "manifest.json"

FORMAT = 1
"""Of the manifest; another one is not understood."""

CHUNK = 1 << 20


class File(msgspec.Struct, frozen=True):
    """One file of a backup."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """A backup: when it was made (UTC), by which version, and what is in it."""

    format: int
    made: str
    version: str
    schema: int
    counts: dict[str, int]
    files: dict[str, File]

    @property
    def has_key(self) -> bool:
        """Return whether the key of the secrets is in it."""
        return KEY_FILE in self.files

    @property
    def shown(self) -> str:
        """Return what is in it, for people: what there is none of is left out."""
        counted = [f"{word}: {number}" for word, number in self.counts.items() if number]
        return ", ".join(counted) or "nothing yet"


def read(backup: Path) -> Manifest:
    """Read the manifest of a backup.

    Raises:
        StoreForeign: there is none, or it is not understood.
    """
    path = backup / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise StoreForeign(f"{backup} is no backup: {MANIFEST}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreForeign(f"{path} is damaged ({error})") from None
    if manifest.format != FORMAT:
        raise StoreForeign(
            f"{path} is of format {manifest.format}, this version reads {FORMAT}: use version"
            f" {manifest.version}"
        )
    if DATABASE not in manifest.files or not set(manifest.files) <= set(FILES):
        raise StoreForeign(f"{path} is damaged (its files must be {DATABASE} and maybe {KEY_FILE})")
    return manifest


def of_file(path: Path, advance: Callable[[int], None] = lambda _size: None) -> File:
    """Return what the manifest says of a file that is there; say of each chunk how long it is.

    Raises:
        OSError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in chunks(path):
        digest.update(chunk)
        size += len(chunk)
        advance(len(chunk))
    return File(size, digest.hexdigest())


def check_file(path: Path, found: File, expected: File) -> None:
    """See that a file is the one that the manifest means.

    Raises:
        StoreForeign: it is not.
    """
    if found.bytes != expected.bytes:
        raise StoreForeign(f"{path} is damaged ({found.bytes} bytes of {expected.bytes})")
    if found != expected:
        raise StoreForeign(f"{path} is damaged (its SHA-256 is not that of the manifest)")


def chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's content; links are not followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
