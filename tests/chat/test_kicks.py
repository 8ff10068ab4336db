"""Who was disconnected lately, as messages that wait ask for it."""

from greenroom.bus.base import Arrival, Deliver, Disconnect
from greenroom.chat.gates import noting
from greenroom.chat.kicks import Kicks
from greenroom.chat.modes import key_of
from greenroom.chat.recent import Recent
from tests.stand_ins.hand_clock import HandClock


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


def test_what_is_published() -> None:
    """On whichever node: kicks count, and who has sent something, but what got its place here."""
    kicks, recent, clock = Kicks(), Recent(), HandClock().clock
    note = noting(kicks, recent, clock)
    recent.note(key_of("room", "ann"), "message1", 1.0)
    note(
        Arrival(
            "room",
            1,
            (
                Deliver(b"", "SendMessage"),
                Deliver(b"", "SendMessage", user_id="ann", id="message1"),
                Deliver(b"", "SendEvent", user_id="eve", id="event1"),
                Deliver(b"", "SendMessage", user_id="eve", id="message2"),
                Disconnect(b"", "user", "why"),
            ),
        )
    )
    assert kicks.count == 1
    assert kicks.have_met("room", "user", 0)
    now = clock.monotonic()
    assert [recent.wait(key_of("room", each), 5, "", now) for each in ("ann", "eve")] == [
        max(0.0, 6.0 - now),
        5.0,
    ]
    assert recent.noted == 2


def test_they_are_bounded() -> None:
    """The one that was disconnected first is forgotten; who is again is not."""
    kicks = Kicks(maximum=2)
    for user in ("a", "b", "a", "c"):
        kicks.note("room", user)
    assert [kicks.have_met("room", user, 0) for user in "abc"] == [True, False, True]
