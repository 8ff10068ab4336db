"""Fill a data directory that is not there yet, or empty: with a backup, or what moves there.

The files are written into `.restoring` in it and renamed to their places, the database last: what a
killed command leaves is no store, a start is refused for it, and the same command once more clears
it away. The directory is locked meanwhile.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from greenroom.process.files import synchronize
from greenroom.storage.base import StoreUnwritable
from greenroom.storage.sqlite import lock
from greenroom.storage.sqlite.database_file import DATABASE, RESTORING
from greenroom.vault.vault import KEY_FILE

FILES = (KEY_FILE, DATABASE)
"""What may be put there, in this order: the database makes it a store."""

IGNORED = ("lost+found",)
"""What the root of a file system has."""


@contextmanager
def filling(target: Path) -> Iterator[Path]:
    """Give the place for `FILES`; at the end they are put where they belong.

    Root makes them over to the user whose directory it is.

    Raises:
        StoreInUse: a service uses the directory.
        StoreUnwritable: it is not empty, or cannot be written.
    """
    existed = target.exists()
    check_free(target)
    try:
        with lock.locked(target) as held:
            _check_empty(target)
            _clear(target)
            try:
                with writing(target):
                    if os.geteuid() == 0:
                        held.give(target.stat())
                    place = _place(target)
                yield place
                with writing(target):
                    _move(place, target)
            except BaseException:
                _clear(target)
                raise
        if not existed:
            with writing(target):
                synchronize(target.absolute().parent)
    except BaseException:
        if not existed:
            _remove(target)
        raise


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Say of what cannot be written that it is the target that cannot.

    Raises:
        StoreUnwritable: something was not.
    """
    try:
        yield
    except OSError as error:
        raise StoreUnwritable(f"{target} cannot be written ({error.strerror})") from None


def check_free(target: Path) -> None:
    """See that the directory can be filled.

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


def give(descriptor: int, target: Path) -> None:
    """Make a file over to the user whose directory it is for, where root fills it.

    By descriptor: he could exchange what is there for a link.
    """
    if os.geteuid() == 0:
        owner = target.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def give_file(path: Path, target: Path) -> None:
    """Make a new file over, as `give` does.

    Raises:
        StoreUnwritable: that is not possible.
    """
    with writing(target):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            give(descriptor, target)
        finally:
            os.close(descriptor)


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


def _place(target: Path) -> Path:
    if target.stat().st_uid == os.geteuid():
        target.chmod(0o700)
    place = target / RESTORING
    place.mkdir(mode=0o700)
    return place


def _move(place: Path, target: Path) -> None:
    synchronize(place)
    synchronize(target)
    for name in FILES:
        if (place / name).exists():
            (place / name).rename(target / name)
            synchronize(target)
    place.rmdir()


def _clear(target: Path) -> None:
    """Remove what a command that did not come to its end has left."""
    if (target / RESTORING).is_dir() and not (target / DATABASE).exists():
        (target / KEY_FILE).unlink(missing_ok=True)
        shutil.rmtree(target / RESTORING)


def _remove(target: Path) -> None:
    with suppress(OSError):
        (target / lock.LOCK).unlink(missing_ok=True)
        target.rmdir()
