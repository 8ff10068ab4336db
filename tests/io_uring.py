"""Whether this system lets a process use io_uring: some containers do not."""

import pytest

from greenroom.messaging.bulk_sender import BulkSender


def _refusal() -> str:
    try:
        BulkSender(8).close()
    except OSError as error:
        return str(error.strerror)
    return ""


needs_io_uring = pytest.mark.skipif(bool(_refusal()), reason=f"no io_uring here: {_refusal()}")
