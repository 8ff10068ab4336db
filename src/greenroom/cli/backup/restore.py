"""Put a backup into a data directory that is not there yet, or empty.

Everything is verified before the directory is touched. `new_directory` has the rest.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from greenroom.cli import new_directory
from greenroom.cli.backup.manifest import (
    File,
    Manifest,
    check_file,
    chunks,
    of_file,
    read,
)
from greenroom.cli.progress import Advance, Progress, no_progress
from greenroom.storage.base import StoreForeign
from greenroom.storage.sqlite import copy
from greenroom.storage.sqlite.database_file import DATABASE


def verify(backup: Path, progress: Progress = no_progress) -> Manifest:
    """Read all of a backup, and change nothing.

    Raises:
        StoreForeign: it is not whole, damaged, or of a newer version.
    """
    manifest = read(backup)
    with progress("Verifying", _size(manifest)) as advance:
        for name, expected in manifest.files.items():
            path = backup / name
            try:
                check_file(path, of_file(path, advance), expected)
            except OSError as error:
                raise StoreForeign(f"{path} cannot be read: {error.strerror}") from None
    contents = copy.check(backup / DATABASE)
    if (contents.schema, contents.counts) != (manifest.schema, manifest.counts):
        raise StoreForeign(f"{backup} is damaged (its database is not that of its manifest)")
    return manifest


def restore(
    backup: Path, manifest: Manifest, target: Path, progress: Progress = no_progress
) -> None:
    """Put a verified backup into the data directory.

    Raises:
        StoreInUse: a service uses it.
        StoreUnwritable: it is not empty, or cannot be written.
        StoreForeign: the backup was changed meanwhile.
    """
    with (
        new_directory.filling(target) as place,
        new_directory.writing(target),
        progress("Restoring", _size(manifest)) as advance,
    ):
        for name, expected in manifest.files.items():
            with _new_file(place / name, target) as file:
                _copy(backup / name, file, expected, advance)


def _size(manifest: Manifest) -> int:
    return sum(file.bytes for file in manifest.files.values())


@contextmanager
def _new_file(path: Path, target: Path) -> Iterator[BinaryIO]:
    """Give a file that is on the disk at the end, and that the target's owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        new_directory.give(file.fileno(), target)
        file.flush()
        os.fsync(file.fileno())


def _copy(source: Path, file: BinaryIO, expected: File, advance: Advance) -> None:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks(source):
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
        advance(len(chunk))
    check_file(source, File(size, digest.hexdigest()), expected)
