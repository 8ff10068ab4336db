"""Whether this system lets a process use io_uring: some containers do not."""

import pytest

from greenroom.messaging.bulk_sender import open_bulk_sender


def _works() -> bool:
    sender = open_bulk_sender(8)
    if sender is not None:
        sender.close()
    return sender is not None


needs_io_uring = pytest.mark.skipif(not _works(), reason="this system gives no io_uring")
