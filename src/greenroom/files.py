"""Files that appear whole, or not at all."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable by its owner only (mode 0600).

    Raises:
        OSError: the directory cannot be written.
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}"
    # Always a new file: one that lies there may be a link, or readable by others.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
