"""Small disks, which a test can fill."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

BALLAST = "ballast"
PIECE = 1 << 16


@contextlib.contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk at a directory, which is made, for the length of a `with` block.

    Without the right to mount, which root has outside of most containers, the test is skipped.
    """
    directory.mkdir(parents=True)
    options = f"size={megabytes}m,mode=755"
    mount = ["mount", "-t", "tmpfs", "-o", options, "small-disk", str(directory)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk is mounted, which needs root: {done.stderr.strip()}")
    try:
        yield directory
    finally:
        # What still uses it keeps it until it ends.
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(disk: Path) -> None:
    """Leave no space on a disk."""
    with (disk / BALLAST).open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(PIECE))


def free(disk: Path) -> None:
    """Give the space back that `fill` took."""
    (disk / BALLAST).unlink()
