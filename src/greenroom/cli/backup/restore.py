"""Put a backup into a data directory that is not there yet, or empty.

Everything is verified before the directory is touched. Then the files are written into `.restoring`
in it and renamed to their places, the database last: what a killed restore leaves is no store, a
start is refused for it, and the next restore clears it away. The directory is locked meanwhile.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

from greenroom.cli.backup.manifest import (
    FILES,
    File,
    Manifest,
    check_file,
    chunks,
    of_file,
    read,
)
from greenroom.cli.progress import Advance, Progress, no_progress
from greenroom.process.files import synchronize
from greenroom.storage.base import StoreForeign, StoreUnwritable
from greenroom.storage.sqlite import copy, lock
from greenroom.storage.sqlite.database_file import DATABASE, RESTORING
from greenroom.vault.vault import KEY_FILE

IGNORED = ("lost+found",)
"""What the root of a file system has."""


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
    existed = target.exists()
    check_free(target)
    try:
        with lock.locked(target) as held:
            _check_empty(target)
            _clear(target)
            try:
                if os.geteuid() == 0:
                    held.give(target.stat())
                with progress("Restoring", _size(manifest)) as advance:
                    _fill(backup, manifest, target, advance)
            except BaseException:
                _clear(target)
                raise
        if not existed:
            synchronize(target.absolute().parent)
    except BaseException as error:
        if not existed:
            _remove(target)
        if isinstance(error, OSError):
            raise StoreUnwritable(f"{target} cannot be written ({error.strerror})") from None
        raise


def check_free(target: Path) -> None:
    """See that a backup can be restored into the directory.

    Raises:
        StoreInUse: a service uses it.
        StoreUnwritable: it holds something, or is none.
    """
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise StoreUnwritable(f"{target} is no directory: choose another --data-dir")
    holder, _ = lock.look(target)
    if holder:
        raise lock.in_use(target, "" if holder == "unknown" else holder)
    _check_empty(target)


def _check_empty(target: Path) -> None:
    found = {path.name for path in target.iterdir()} - set(IGNORED)
    if RESTORING in found and DATABASE not in found:
        found -= {RESTORING, KEY_FILE}
    if not lock.look(target)[1].must_have_log:
        found.discard(lock.LOCK)
    if found:
        raise StoreUnwritable(
            f"{target} is not empty ({', '.join(sorted(found)[:3])}): move it away, or choose"
            " another --data-dir"
        )


def _size(manifest: Manifest) -> int:
    return sum(file.bytes for file in manifest.files.values())


def _fill(backup: Path, manifest: Manifest, target: Path, advance: Advance) -> None:
    place, owner = target / RESTORING, target.stat()
    if owner.st_uid == os.geteuid():
        target.chmod(0o700)
    place.mkdir(mode=0o700)
    for name, expected in manifest.files.items():
        _copy((backup / name, place / name), expected, owner, advance)
    synchronize(place)
    synchronize(target)
    for name in FILES:
        if name in manifest.files:
            (place / name).rename(target / name)
            synchronize(target)
    place.rmdir()


def _copy(
    between: tuple[Path, Path], expected: File, owner: os.stat_result, advance: Advance
) -> None:
    source, destination = between
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in chunks(source):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            advance(len(chunk))
        if os.geteuid() == 0:
            # Root restores for the user whose directory it is. By descriptor: he could exchange
            # what is there for a link.
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.flush()
        os.fsync(file.fileno())
    check_file(source, File(size, digest.hexdigest()), expected)


def _clear(target: Path) -> None:
    """Remove what a restore that did not come to its end has left."""
    if (target / RESTORING).is_dir() and not (target / DATABASE).exists():
        (target / KEY_FILE).unlink(missing_ok=True)
        shutil.rmtree(target / RESTORING)


def _remove(target: Path) -> None:
    with suppress(OSError):
        (target / lock.LOCK).unlink(missing_ok=True)
        target.rmdir()
