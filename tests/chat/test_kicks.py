"""Who was disconnected lately, as messages that wait ask for it."""

from greenroom.bus.base import Arrival, Deliver, Disconnect
from greenroom.chat.kicks import Kicks


def test_what_was_sent_before() -> None:
    """It has met the kick; what the user sends later has not, nor has another user or room."""
    kicks = Kicks()
    before = kicks.count
    assert not kicks.have_met("room", "user", before)
    kicks.note("room", "user")
    assert kicks.have_met("room", "user", before)
    assert not kicks.have_met("room", "other", before)
    assert not kicks.have_met("elsewhere", "user", before)
    assert not kicks.have_met("room", "user", kicks.count)


def test_what_other_nodes_publish() -> None:
    """Of all that arrives only kicks count."""
    kicks = Kicks()
    kicks.hear(Arrival("room", 1, (Deliver(b"", "SendMessage"), Disconnect(b"", "user", "why"))))
    assert kicks.count == 1
    assert kicks.have_met("room", "user", 0)


def test_they_are_bounded() -> None:
    """The one that was disconnected first is forgotten; who is again is not."""
    kicks = Kicks(maximum=2)
    for user in ("a", "b", "a", "c"):
        kicks.note("room", user)
    assert [kicks.have_met("room", user, 0) for user in "abc"] == [True, False, True]
