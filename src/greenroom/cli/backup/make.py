"""Make a backup: a new directory that appears whole or not at all, for its owner only.

It is written beside its name, in `.NAME.unfinished`, and renamed when everything is on the disk. A
killed one is left there, and cleared away by the next backup of that name.
"""

import datetime as dt
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from greenroom import __version__
from greenroom.cli.backup.keys import check_key
from greenroom.cli.backup.manifest import FORMAT, MANIFEST, Manifest, of_file
from greenroom.cli.new_directory import FILES
from greenroom.cli.progress import Progress, no_progress
from greenroom.process.files import synchronize, write_private
from greenroom.settings.values import Settings
from greenroom.storage.base import StoreInUse, StoreUnwritable
from greenroom.storage.sqlite import copy
from greenroom.storage.sqlite.database_file import DATABASE
from greenroom.vault.vault import KEY_FILE, key_of


def make(
    settings: Settings, target: Path, progress: Progress = no_progress, *, with_key: bool
) -> Manifest:
    """Back the data directory up into a directory that is not there yet, or empty.

    Raises:
        StoreRefused: the target cannot be written or holds something; or the data directory cannot
            be read, or its key is not the one that sealed its secrets. Nothing unfinished is left.
    """
    data, target = settings.path("data_dir").resolve(), target.absolute()
    if target.resolve().is_relative_to(data):
        raise StoreUnwritable(f"{target} is in the data directory {data}: choose another place")
    try:
        with _unfinished(target) as place:
            manifest = _filled(settings, data, place, progress, with_key=with_key)
            place.rename(target)
            synchronize(target.parent)
    except OSError as error:
        raise StoreUnwritable(f"{target} cannot be written ({error.strerror})") from None
    return manifest


def _filled(
    settings: Settings, data: Path, place: Path, progress: Progress, *, with_key: bool
) -> Manifest:
    _copy(data, place / DATABASE, progress)
    contents = copy.check(place / DATABASE)
    check_key(settings, place / DATABASE)
    if with_key and (data / KEY_FILE).is_file():
        # Refused here: in the backup it would be found out when it is needed.
        key_of(data / KEY_FILE)
        write_private(place / KEY_FILE, (data / KEY_FILE).read_text("ascii"))
    manifest = Manifest(
        format=FORMAT,
        made=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        version=__version__,
        schema=contents.schema,
        counts=contents.counts,
        files={name: of_file(place / name) for name in FILES if (place / name).exists()},
    )
    text = msgspec.json.format(msgspec.json.encode(manifest)).decode()
    write_private(place / MANIFEST, f"{text}\n")
    synchronize(place)
    return manifest


def _copy(data: Path, destination: Path, progress: Progress) -> None:
    with progress("Copying", 100) as advance:
        percent = 0

        def watch(done: int, pages: int) -> None:
            nonlocal percent
            advance(100 * done // pages - percent)
            percent = 100 * done // pages

        copy.copy(data, destination, watch)


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """Give an empty directory beside the target, which no other backup uses; it goes on failure."""
    _check_empty(target)
    place = target.with_name(f".{target.name}.unfinished")
    place.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _take(descriptor, place)
        try:
            for left in place.iterdir():
                left.unlink()
            _check_empty(target)
            yield place
        except BaseException:
            # It has its name already where only that could not be had on the disk.
            shutil.rmtree(place, ignore_errors=True)
            raise
    finally:
        os.close(descriptor)


def _take(descriptor: int, place: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = os.path.samestat(os.fstat(descriptor), place.lstat())
    except (BlockingIOError, FileNotFoundError):
        mine = False
    if not mine:
        raise StoreInUse(f"{place} is in use: another backup of that name is under way")
    # Left by somebody else, it could be read by him.
    if os.fstat(descriptor).st_uid != os.geteuid():
        raise StoreUnwritable(f"{place} is another user's: remove it, or choose another place")
    os.fchmod(descriptor, 0o700)


def _check_empty(target: Path) -> None:
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise StoreUnwritable(
            f"{target} is there already: give a name that is not, such as"
            f" {target}-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}"
        )
    if target.is_mount():
        raise StoreUnwritable(f"{target} is a mount point: give a name for a directory in it")
