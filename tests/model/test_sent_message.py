"""For how long a `requestId` stands for its message, and for how long an outcome may come."""

import pytest

from greenroom.model.sent_message import KEPT_MS, PENDING_MS, SentMessage

ASKED = 1_700_000_000_000
SENT = SentMessage(key="k", fingerprint="f", message_id="m", asked_at=ASKED)


@pytest.mark.parametrize(
    ("passed", "pending", "counts"),
    [
        (0, True, True),
        (PENDING_MS - 1, True, True),
        (PENDING_MS, False, True),
        (KEPT_MS - 1, False, True),
        (KEPT_MS, False, False),
    ],
)
def test_what_is_remembered(passed: int, pending: bool, counts: bool) -> None:
    """To the millisecond; what has an outcome waits for none."""
    now = ASKED + passed
    assert (SENT.is_pending(now), SENT.counts(now)) == (pending, counts)
    settled = SentMessage(key="k", fingerprint="f", message_id="m", asked_at=ASKED, time_ns=1)
    assert (settled.is_pending(now), settled.counts(now)) == (False, counts)
