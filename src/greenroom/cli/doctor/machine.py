"""What the machine gives a service: its clock, disk, files' modes, open files, io_uring."""

import ctypes
import os
import resource
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from greenroom.aws_access.environment import may_have_a_role
from greenroom.chatlog.choice import credentials_at_hand
from greenroom.chatlog.destinations import nearest
from greenroom.cli.access import find_keys
from greenroom.cli.doctor.findings import Finding, fault, looked, note, ok
from greenroom.identities.root_key import FILE as CREDENTIALS
from greenroom.settings.values import Settings
from greenroom.vault.vault import KEY_FILE

TIMEX_BYTES = 512
"""More than any system's `struct timex` has."""

CLOCK_IS_FREE = 5
"""`TIME_ERROR` of adjtimex(2): nothing keeps the clock right."""

LITTLE_DISK, NO_DISK = 2 * 1024**3, 128 * 1024**2
"""Bytes that should be free, and without which soon nothing is written."""

SPARE_FILES = 256
"""Descriptors beside those of connections."""

CONNECT_SECONDS = 3.0

ENDPOINTS = (
    "lambda_endpoint",
    "s3_endpoint",
    "logs_endpoint",
    "firehose_endpoint",
    "cloudwatch_endpoint",
)
"""Settings that name a server of somebody else's."""


def look(settings: Settings) -> Iterator[Finding]:
    """Return what there is to say of this machine for a service with these settings."""
    yield clock(_adjtimex())
    if settings.text("storage") != "memory":
        directory = settings.path("data_dir")
        yield from looked("disk", lambda: [_disk_of(directory)])
        yield from looked("permissions", lambda: modes(directory))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield files(hard if hard != resource.RLIM_INFINITY else None, settings)
    yield io_uring(settings)
    yield from _endpoints(settings)
    yield from looked("aws", lambda: [_credentials(settings)])


def clock(state: int | None) -> Finding:
    """Judge the kernel's word on the clock; None where it has none."""
    if state is None:
        return ok("clock", "this system does not say whether it is kept right")
    if state == CLOCK_IS_FREE:
        return note(
            "clock",
            "nothing keeps it right: a request whose time is 5 minutes off is refused",
            "run chrony, or systemd-timesyncd; in a container this is the host's matter",
        )
    return ok("clock", "kept right by the system")


def _disk_of(directory: Path) -> Finding:
    usage = shutil.disk_usage(nearest(directory))
    return disk(directory, usage.free, usage.total)


def disk(directory: Path, free: int, total: int) -> Finding:
    """Judge how much of the disk is left."""
    said = f"{_size(free)} of {_size(total)} free for {directory}"
    remedy = "free some, or move the data directory: a full disk refuses joins and logged messages"
    if free < NO_DISK:
        return fault("disk", said, remedy)
    return note("disk", said, remedy) if free < min(LITTLE_DISK, total // 10) else ok("disk", said)


def modes(directory: Path) -> Iterator[Finding]:
    """Judge who may read what is secret."""
    open_ones = []
    for path in (directory, directory / CREDENTIALS, directory / KEY_FILE):
        try:
            found = path.stat()
        except OSError:
            continue
        if stat.S_IMODE(found.st_mode) & 0o077 and path != directory:
            open_ones.append(str(path))
        if found.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
            yield fault(
                "permissions",
                f"{path} belongs to another user",
                "run this as the user of the service, or give it to that user (chown)",
            )
    if open_ones:
        names = ", ".join(open_ones)
        yield fault("permissions", f"others may read {names}", f"chmod 600 {' '.join(open_ones)}")
    elif directory.exists():
        yield ok("permissions", f"what is secret in {directory} is for its owner only")


def files(most: int | None, settings: Settings) -> Finding:
    """Judge how many connections the open files allow."""
    wanted = settings.number("connections_per_node")
    if most is None or most >= wanted + SPARE_FILES:
        return ok("limits", f"open files for {wanted:,} connections")
    return note(
        "limits",
        f"{most:,} open files: about {max(0, most - SPARE_FILES):,} connections, of the {wanted:,}"
        " of connections_per_node",
        "raise LimitNOFILE= of the unit, or ulimit -n, or lower connections_per_node",
    )


def io_uring(settings: Settings) -> Finding:
    """Try whether the system lets this process write to many connections at once."""
    if settings.text("io_uring") == "off":
        return ok("io_uring", "switched off by the setting")
    from greenroom.messaging.bulk_sender import BulkSender

    try:
        BulkSender(8).close()
    except OSError as error:
        return note(
            "io_uring",
            f"not to be had ({error.strerror}): rooms are written to one connection at a time",
            "Linux 6.1 or newer; kernel.io_uring_disabled = 0; in a container a seccomp profile"
            " that allows it",
        )
    return ok("io_uring", "rooms are written to with one system call")


def _endpoints(settings: Settings) -> Iterator[Finding]:
    for name in ENDPOINTS:
        url = settings.optional_text(name)
        if url is None:
            continue
        parts = urlsplit(url)
        where = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        try:
            socket.create_connection(where, CONNECT_SECONDS).close()
        except OSError as error:
            why = error.strerror or str(error) or type(error).__name__
            yield fault(
                name, f"{url}: {why}", "see that the server runs, and the way there is open"
            )
        else:
            yield ok(name, f"{url} answers")


def _credentials(settings: Settings) -> Finding:
    source = credentials_at_hand(os.environ, _own_key_id(settings))
    if source is not None:
        return ok("aws", f"AWS credentials: {source.shown}")
    asked = "aws" in settings.table("chat_log_destinations").values()
    asked = asked or "lambda" in settings.table("review_handlers").values()
    role = ", unless this machine has a role" if may_have_a_role(os.environ) else ""
    if not asked:
        return ok("aws", f"no AWS credentials{role}; no setting asks for any")
    return fault(
        "aws",
        f"no AWS credentials{role}, and a setting sends to AWS",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role",
    )


def _own_key_id(settings: Settings) -> str | None:
    """Return the id of the root's key, which is none for AWS; a Lambda elsewhere may take it."""
    if settings.optional_text("lambda_endpoint") is not None:
        return None
    keys = find_keys({}, settings, only_settings=True).keys
    return keys[0].access_key_id if keys else None


def _adjtimex() -> int | None:
    if sys.platform != "linux":
        return None
    try:
        # With `modes` 0, its first word, it only reads.
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state


def _size(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
