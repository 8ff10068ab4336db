"""What waits in rooms, by itself: order, since when, what is counted, and what is known as gone."""

from collections.abc import Callable
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.bus.base import Deliver, Stage
from greenroom.chat import held_queues
from greenroom.chat.held_queues import EACH_BYTES, HeldQueues, held
from greenroom.model.held_message import HeldMessage
from greenroom.protocol.errors import ActionError
from tests.stand_ins.hand_clock import HandClock

ROOMS = ("a", "b")


def message(number: int, room: str = "a", time_ns: int = 0) -> HeldMessage:
    """Return a message whose frames are as long as its number says."""
    return HeldMessage(room, f"m{number}", "bob", time_ns, b"x" * number, b"y" * 10 * number)


def envelope(number: int, stage: Stage = Stage.WAITS) -> Deliver:
    """Return the same as it arrives."""
    shown = Deliver(b"x" * number, "SendMessage", id=f"m{number}", marked=b"y" * 10 * number)
    if stage is Stage.WAITS:
        return held(shown, "bob")
    return Deliver(shown.payload, "SendMessage", id=shown.id, stage=stage)


def deletion(*numbers: int) -> Deliver:
    """Return what deletes messages."""
    return Deliver(b"", "DeleteMessage", deletes=tuple(f"m{number}" for number in numbers))


def is_full(queues: HeldQueues, room: str) -> bool:
    """Return whether one more is refused."""
    try:
        queues.check(room, "r")
    except ActionError:
        return True
    return False


def check_bytes(queues: HeldQueues, room: str) -> None:
    """See that a room is full at what waits there, and not one byte earlier."""
    ids = queues.ids(room)
    size = sum(11 * int(each[1:]) + EACH_BYTES for each in ids)
    with mock.patch.object(held_queues, "MOST_ROOM_BYTES", size):
        assert is_full(queues, room)
    with mock.patch.object(held_queues, "MOST_ROOM_BYTES", size + 1):
        assert not is_full(queues, room)


NUMBERS = st.integers(1, 5)
STEPS: dict[str, Callable[[HeldQueues, str, int], object]] = {
    "read": lambda queues, room, number: queues.add(message(number, room)),
    "noted": lambda queues, room, number: queues.note(room, [envelope(number)]),
    "released": lambda queues, room, number: queues.note(room, [envelope(number, Stage.RELEASED)]),
    "deleted": lambda queues, room, number: queues.note(room, [deletion(number, number + 1)]),
    "removed": lambda queues, room, number: queues.remove(room, (f"m{number}",)),
    "replaced": lambda queues, room, number: queues.replace(
        room, [message(number, room), message(number + 1, room)], 0
    ),
    "given up": lambda queues, room, _: queues.give_up([room]),
    "unfollowed": lambda queues, room, _: queues.unfollowed(room),
}
"""What can happen to messages of a room."""


@given(
    st.lists(st.tuples(st.sampled_from(list(STEPS)), st.sampled_from(ROOMS), NUMBERS), max_size=12)
)
def test_what_waits_is_counted(steps: list[tuple[str, str, int]]) -> None:
    """In bytes of frames, of each room and of all, whatever happens; and no room without any."""
    queues = HeldQueues(HandClock().clock)
    for step, room, number in steps:
        STEPS[step](queues, room, number)
        found = {each: queues.ids(each) for each in queues.rooms}
        assert all(found.values())
        counted = sum(11 * int(each[1:]) + EACH_BYTES for ids in found.values() for each in ids)
        assert queues.bytes == counted
        here = [queues.is_here(each, one) for each, ids in found.items() for one in ids]
        assert len(queues) == sum(here)
    for room in ROOMS:
        check_bytes(queues, room)


@pytest.mark.parametrize("step", ["removed", "released", "deleted", "unfollowed"])
def test_what_waits_no_longer_leaves_its_place(step: str) -> None:
    """To as many bytes as it took, in its room and in all."""
    queues = HeldQueues(HandClock().clock)
    queues.add(message(5))
    queues.note("a", [envelope(3)])
    queues.add(message(4, "b"))
    STEPS[step](queues, "a", 3)
    assert queues.ids("a") == ["m5"]
    assert queues.bytes == 11 * 9 + 2 * EACH_BYTES
    for room in ROOMS:
        check_bytes(queues, room)


def test_all_rooms_together_have_a_bound() -> None:
    """It holds in rooms, too, where nothing waits."""
    queues = HeldQueues(HandClock().clock)
    queues.add(message(1))
    for bound, full in ((queues.bytes, True), (queues.bytes + 1, False)):
        with mock.patch.object(held_queues, "MOST_BYTES", bound):
            assert is_full(queues, "b") is full


def test_so_many_messages_may_wait_in_a_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they are to be released."""
    monkeypatch.setattr(held_queues, "MOST_MESSAGES", 2)
    queues = HeldQueues(HandClock().clock)
    queues.add(message(1))
    assert not is_full(queues, "a")
    queues.note("a", [envelope(2)])
    with pytest.raises(ActionError) as refused:
        queues.check("a", "r")
    assert (refused.value.code, refused.value.request_id) == (403, "r")
    assert not is_full(queues, "b")


def test_what_is_gone_does_not_wait_again() -> None:
    """Read or heard of once more; and it is known that it has waited."""
    queues = HeldQueues(HandClock().clock)
    queues.add(message(1))
    assert not queues.has_over(["m1", "m2"])
    assert queues.remove("a", ("m1", "m2")) == ["m1"]
    queues.add(message(1))
    queues.note("a", [envelope(2)])
    assert queues.rooms == ()
    assert queues.has_over(["m3", "m2"])
    assert not queues.has_over(["m3"])


def test_what_is_known_as_gone_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than so many the one that went first is forgotten."""
    monkeypatch.setattr(held_queues, "MOST_GONE", 3)
    queues = HeldQueues(HandClock().clock)
    queues.remove("a", [f"m{number}" for number in range(1, 5)])
    assert [queues.has_over([f"m{number}"]) for number in range(1, 5)] == [False, True, True, True]


def test_since_when_messages_wait() -> None:
    """Since they came; of those that a store had, since they were sent, and never from later on."""
    time = HandClock()
    queues = HeldQueues(time.clock)
    queues.add(message(1))
    queues.note("a", [deletion(), Deliver(b"", "SendEvent"), envelope(2)])
    time.advance(5)
    queues.add(message(2))
    queues.add(message(4), since=7.0)
    now, now_ns = time.seconds, time.wall_ns
    stored = [
        message(1, time_ns=now_ns),
        message(3, time_ns=now_ns - 2 * 10**9),
        message(5, time_ns=now_ns + 10**9),
    ]
    queues.replace("a", stored, now_ns)
    found = {each: waiting.since for each, waiting in queues.by_room["a"].items()}
    assert found == {"m1": now - 5, "m3": now - 2, "m5": now, "m2": now - 5, "m4": 7.0}
    assert list(found) == ["m1", "m3", "m5", "m2", "m4"], "what was kept is before what came since"


def test_who_is_next() -> None:
    """The oldest waits wherever it is to be released; the first is that of this node."""
    queues = HeldQueues(HandClock().clock)
    assert queues.oldest("a") is queues.first("a") is None
    queues.note("a", [envelope(1)])
    queues.add(message(2))
    oldest, first = queues.oldest("a"), queues.first("a")
    assert oldest is not None
    assert oldest.message is None
    assert first is not None
    assert first.message == message(2)
    assert [queues.is_here("a", each) for each in ("m1", "m2", "m3")] == [False, True, False]
    queues.give_up(["a"])
    assert queues.first("a") is None
    assert queues.ids("a") == ["m1", "m2"]
