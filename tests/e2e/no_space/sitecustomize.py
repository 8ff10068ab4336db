"""Takes the space from the Python process that finds this on its path.

No new file can be made, and none written to, as on a disk that is full. SQLite, which does not ask
Python, has what it needs: the files that it left.
"""

import errno
import os
from typing import Any

_true_open = os.open


def _full(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _open(path: Any, flags: int, *more: Any, **options: Any) -> int:
    if flags & os.O_CREAT and not os.path.lexists(path):
        _full()
    return _true_open(path, flags, *more, **options)


os.open = _open
os.pwrite = _full
