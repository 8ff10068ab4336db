"""See at the start that nobody else reads what the data directory keeps.

A directory that was copied or restored by hand is often readable by everybody. The files with
secrets are the service's own: they are made private again. The directory may be anybody's, such as
the one in which a developer works: there is a warning.
"""

import stat
from pathlib import Path

import structlog

SECRET_FILES = (
    "greenroom.db",
    "greenroom.db-wal",
    "greenroom.db-shm",
    "secrets.key",
    "credentials",
    "dev-tls-key.pem",
)
"""Files with secrets, sealed or in clear."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

log = structlog.get_logger()


def keep_private(directory: Path) -> None:
    """Take from others what they may do with the files, and warn of what that leaves."""
    for name in SECRET_FILES:
        _keep_file(directory / name)
    try:
        mode = stat.S_IMODE(directory.stat().st_mode)
    except OSError:
        return
    if mode & _OTHERS:
        log.warning(
            "the data directory is open to other users of this machine: chmod 700 it",
            data_dir=str(directory),
            mode=f"{mode:04o}",
        )


def _keep_file(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) or not mode & _OTHERS:
        return
    was = f"{stat.S_IMODE(mode):04o}"
    try:
        # By its name: to close a descriptor of the database drops SQLite's locks on it.
        path.chmod(0o600)
    except OSError as error:
        reason = error.strerror
        log.warning("a file with secrets can be read by others", file=str(path), reason=reason)
    else:
        log.warning(
            "a file with secrets could be read by others until now", file=str(path), mode=was
        )
