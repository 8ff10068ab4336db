"""What is found of a room in memory, by itself: which frames, whether there are more, and when not.

How a connection is given it: tests/messaging/test_replays.py.
"""

from typing import Any
from unittest import mock

import pytest

from greenroom.bus.base import BEGINNING, Deliver, InMemory, RoomEnvelope
from greenroom.bus.base import History as Mark
from greenroom.chat import history as history_module
from greenroom.chat.history import HOUR_NS, Found, History, Wanted, has_waited
from greenroom.model.room_settings import RoomSettings
from greenroom.protocol.events import send_time
from tests.stand_ins.hand_clock import HandClock

NOW = HandClock().wall_ns
SETTINGS = RoomSettings(history_messages=3, history_hours=1)
MANY = RoomSettings(history_messages=100, history_hours=1)


def said(name: str, ago_ns: int = 0, action: str = "SendMessage", deletes: str = "") -> Deliver:
    """Return what was shown under an id that is its text, too."""
    return Deliver(
        name.encode(),
        action,
        id=name,
        time_ns=NOW - ago_ns,
        history=Mark.KEPT,
        deletes=tuple(deletes),
    )


def messages(names: str) -> list[RoomEnvelope]:
    """Return a message for each letter."""
    return [said(each) for each in names]


def found(
    here: InMemory,
    settings: RoomSettings = SETTINGS,
    *,
    count: int = 9,
    since: str = "",
    both: bool = False,
) -> Found:
    """Return what somebody is shown first who sees everything."""
    rooms: Any = mock.Mock(here=lambda _room: here)
    wanted = Wanted(count, since, both)
    history = History(rooms, HandClock().clock)
    return history.find("room", settings, wanted, lambda each: each.payload)


def frames(of: Found) -> str:
    """Return the frames in order, with a dash between those of several letters."""
    return "".join(each.decode() for each in of.frames)


@pytest.mark.parametrize(
    ("here", "count", "shown", "more"),
    [
        (InMemory(messages("abcde"), more=False), 9, "cde", False),
        (InMemory(messages("abcde"), more=True), 9, "cde", False),
        (InMemory(messages("de"), messages("abc"), more=False), 9, "cde", False),
        (InMemory(messages("abcde"), more=False), 2, "de", True),
        (InMemory(messages("ab"), more=False), 2, "ab", False),
        (InMemory(messages("ab"), more=False), 9, "ab", False),
        (InMemory(messages("ab"), more=True), 9, "ab", True),
        (InMemory(messages("ab"), more=True), 2, "ab", True),
    ],
)
def test_the_last_messages(here: InMemory, count: int, shown: str, more: bool) -> None:
    """As many as the room shows, and as are wanted; more are told of where there may be some."""
    assert found(here, count=count) == Found([each.encode() for each in shown], more, None)


def test_how_old_what_is_shown_may_be() -> None:
    """As old as the room says, to the nanosecond; nothing that stands before something older."""
    within, beyond = said("a", HOUR_NS), said("b", HOUR_NS + 1)
    assert frames(found(InMemory([within, said("c")], more=True))) == "ac"
    old = found(InMemory([said("x"), beyond, said("c")], more=True))
    assert (frames(old), old.more) == ("c", False)


def test_deletions_take_no_place() -> None:
    """What they are about is not shown, whichever of both is asked for."""
    deletions = [said(f"d{each}", action="DeleteMessage", deletes=each) for each in "bxyz"]
    here = InMemory([*messages("abcd"), *deletions], more=False)
    assert frames(found(here)) == "cd"
    assert frames(found(here, MANY)) == "acd"
    assert frames(found(here, MANY, since="a")) == "cddbdxdydz"


def test_what_is_recovered() -> None:
    """Events, too, but those that are told anew; what is not known is not."""
    events = [said("e", action="SendEvent"), said("s", action="UpdateRoomSettings")]
    here = InMemory([*messages("ab"), *events, *messages("c")], more=True)
    missed = found(here, MANY, since="a", count=1)
    assert (frames(missed), missed.more, missed.recovered) == ("bec", False, True)
    unknown = found(here, MANY, since="x", count=1)
    assert (frames(unknown), unknown.more, unknown.recovered) == ("c", True, False)


@pytest.mark.parametrize(
    ("count", "shown", "more"),
    [(1, "cd", False), (2, "cd", False), (3, "bcd", True), (4, "abcd", True), (5, "abcd", True)],
)
def test_what_was_missed_and_history(count: int, shown: str, more: bool) -> None:
    """Together, where more messages are wanted than were missed: all of both, each once."""
    here = InMemory(messages("abcd"), more=True)
    both = found(here, MANY, since="b", count=count, both=True)
    assert (frames(both), both.more, both.recovered) == (shown, more, True)


@pytest.mark.parametrize(("bound", "recovered"), [(2, True), (1, False)])
def test_how_much_is_recovered(
    bound: int, *, recovered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many bytes as somebody is given at once; who missed more is given the newest."""
    monkeypatch.setattr(history_module, "MOST_BYTES", bound)
    here = InMemory(messages("abc"), more=False)
    shown = found(here, MANY, since="a")
    assert (frames(shown), shown.recovered) == ("bc" if recovered else "c", recovered)
    assert found(here, MANY).more is True


@pytest.mark.parametrize(
    ("since", "here", "recovered"),
    [
        ("-7", InMemory(messages("ab"), more=True, origin="-7"), True),
        ("-6", InMemory(messages("ab"), more=True, origin="-7"), False),
        (BEGINNING, InMemory(messages("ab"), more=False, origin="-7"), True),
        (BEGINNING, InMemory(messages("ab"), more=True, origin="-7"), False),
        (BEGINNING, InMemory(messages("ab"), messages("z"), more=False, origin="-7"), False),
        (BEGINNING, InMemory(messages("ab"), more=False, origin=""), False),
        ("-7", InMemory(messages("abcd"), more=False, origin="-7"), False),
    ],
)
def test_who_was_there_from_the_beginning(since: str, here: InMemory, recovered: bool) -> None:
    """He has everything, if all is there that ever was, and all of it is shown yet."""
    assert found(here, since=since).recovered is recovered


def test_where_somebody_comes_back_to() -> None:
    """Behind what he was shown: nothing that is to come, nor that was sent since."""
    here = InMemory([said("a", 20), said("b", 10), said("c", 0)], origin="-7")
    rooms: Any = mock.Mock(here=lambda _: here, newest=lambda _: here.envelopes[-1])
    history = History(rooms, HandClock().clock)
    assert [history.place("r", to_come) for to_come in ("", "c", "bc", "abc")] == [*"cba", "-7"]
    times = (NOW + 1, NOW, NOW - 10, NOW - 20)
    assert [history.place_at("r", each) for each in times] == [*"cba", "-7"]
    assert history.oldest("r", ("c", "a", "b")) == "a"
    assert history.oldest("r", ("c",)) == "c"
    assert history.oldest("r", ("c", "x", "a")) == "x"


def test_what_has_waited() -> None:
    """A message whose frame has another time than its place; of other frames it is not asked."""
    time = f'"SendTime":"{send_time(NOW)}"'.encode()
    assert not has_waited(Deliver(b"{" + time + b"}", "SendMessage", time_ns=NOW))
    assert has_waited(Deliver(b"{" + time + b"}", "SendMessage", time_ns=NOW + 1))
    assert not has_waited(Deliver(b"{}", "SendEvent", time_ns=NOW))
