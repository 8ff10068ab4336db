"""Pages of what a room keeps: found by an id in one step, and the room looked through once."""

from typing import Any

import msgspec
import pytest

from greenroom.bus.base import Deliver, History, InMemory, RoomEnvelope
from greenroom.chat import listings
from greenroom.chat.history import HOUR_NS, Found
from greenroom.chat.listings import Listings
from greenroom.model.room_settings import DEFAULTS
from tests.stand_ins.hand_clock import HandClock

KEEPS = msgspec.structs.replace(DEFAULTS, history_messages=1000, history_hours=1)


class Rooms:
    """What is in memory of rooms, whoever asks."""

    def __init__(self, **rooms: InMemory) -> None:
        self.rooms = rooms

    def here(self, room: str) -> InMemory:
        """Return it."""
        return self.rooms[room]


class Pages:
    """Asks for pages."""

    def __init__(self, *envelopes: RoomEnvelope, **members: Any) -> None:
        self.time = HandClock()
        self.rooms = Rooms(room=InMemory(envelopes, **members))
        self.listings = Listings(self.rooms, self.time.clock)  # type: ignore[arg-type]  # one of all

    def page(self, before: str = "", **members: Any) -> Found:
        """Return one."""
        given = {"room": "room", "settings": KEEPS, "count": 100, "most_bytes": 9999, **members}
        return self.listings.page(sees=lambda each: each.payload, before=before, **given)


def said(name: str, time_ns: int = HandClock().clock.wall_ns(), **members: Any) -> Deliver:
    """Return a message whose id and text are its name."""
    given = {"action": "SendMessage", "history": History.KEPT, **members}
    return Deliver(name.encode(), id=name, time_ns=time_ns, **given)


def gone(name: str, *ids: str) -> Deliver:
    """Return what deletes messages."""
    return said(name, action="DeleteMessage", deletes=ids)


def names(found: Found) -> tuple[str, bool]:
    """Return the texts of a page, and whether there are more."""
    return b"".join(found.frames).decode(), found.more


def test_pages() -> None:
    """The newest, and those before an id: of a message, also a deleted one, or of an event."""
    room = Pages(
        *map(said, "cd"), gone("-", "b", "d"), said("e"), before=[*map(said, "ab")], more=True
    )
    assert names(room.page()) == ("ace", True)
    assert names(room.page(count=2)) == ("ce", True)
    for before, found in {"e": "ac", "-": "ac", "d": "ac", "c": "a", "b": "a", "a": ""}.items():
        assert names(room.page(before)) == (found, True)
    assert names(room.page("c", count=1)) == ("a", True)
    assert names(room.page("nobody's")) == ("", False)
    assert names(room.page(most_bytes=2)) == ("ce", True)


def test_what_is_listed_is_in_memory_no_longer_than_in_its_room() -> None:
    """The bound of what all rooms keep is one of listings, too."""
    room = Pages(*map(said, "ab"))
    assert names(room.page()) == ("ab", True)
    assert len(room.listings._known) == 1
    del room.rooms.rooms["room"]
    assert not room.listings._known
    room.rooms.rooms["room"] = InMemory([said("c")])
    assert names(room.page()) == ("c", True)
    room.rooms.rooms["room"] = InMemory([said("d")])
    assert names(room.page()) == ("d", True)
    assert len(room.listings._known) == 1


def test_what_is_over() -> None:
    """What is further back than the room's number, which deletions are no part of, or hours."""
    old = HandClock().clock.wall_ns() - HOUR_NS
    room = Pages(
        said("a", old - 1), said("b", old), said("c"), gone("-", "x"), said("d"), more=True
    )
    for number, found in ((2, "cd"), (3, "bcd"), (4, "bcd")):
        keeps = msgspec.structs.replace(KEEPS, history_messages=number)
        assert names(room.page(settings=keeps)) == (found, False)
    assert names(room.page("c")) == ("b", False)
    assert names(room.page("b")) == ("", False)
    room.time.advance(1)
    assert names(room.page()) == ("cd", False)
    assert names(Pages(*map(said, "ab")).page()) == ("ab", True)
    assert names(Pages(*map(said, "ab"), more=False).page()) == ("ab", False)


@pytest.mark.parametrize(("number", "more"), [(1, False), (2, False), (3, True)])
def test_whether_there_are_more(number: int, *, more: bool) -> None:
    """Not where the room shows as many as are in memory; where it shows more there may be."""
    room = Pages(*map(said, "ab"), more=True)
    keeps = msgspec.structs.replace(KEEPS, history_messages=number)
    assert room.page(settings=keeps).more is more


def test_what_is_over_before_the_first_message() -> None:
    """Something else that is older says so, too; where nothing is at all there may be more."""
    edge = HandClock().clock.wall_ns() - HOUR_NS
    for time_ns, more in ((edge - 1, False), (edge, True)):
        room = Pages(said("-", time_ns, action="SendEvent"), said("b"), more=True)
        assert names(room.page()) == ("b", more)
    assert names(Pages(more=True).page()) == ("", True)


def test_what_somebody_does_not_see_is_passed_over() -> None:
    """What is before it is listed, and it takes nobody's place."""
    room = Pages(*map(said, "abc"), more=False)
    found = room.listings.page(
        "room",
        KEEPS,
        lambda each: None if each.id == "b" else each.payload,
        before="",
        count=2,
        most_bytes=2,
    )
    assert names(found) == ("ac", False)


def test_a_room_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each state of it, whatever is asked for: of so many rooms, those that were used last."""
    looked: list[InMemory] = []
    look = listings._Listing

    def counted(here: InMemory) -> Any:
        looked.append(here)
        return look(here)

    monkeypatch.setattr(listings, "_Listing", counted)
    monkeypatch.setattr(listings, "MOST_ROOMS", 2)
    room = Pages(*map(said, "abc"))
    for before in ("", "c", "b", "nobody's", "x", ""):
        room.page(before)
    assert len(looked) == 1
    room.rooms.rooms["room"] = InMemory((*map(said, "abcd"),))
    assert [names(room.page())[0] for _ in range(2)] == ["abcd"] * 2
    assert len(looked) == 2
    room.rooms.rooms |= {"b": InMemory(), "c": InMemory()}
    for each in ("b", "room", "c", "room"):
        room.page(room=each)
    assert len(looked) == 4
    room.page(room="b")
    assert len(looked) == 5
    room.rooms.rooms["room"] = InMemory((*map(said, "abcde"),))
    room.page(room="room")
    room.page(room="c")
    room.page(room="room")
    assert len(looked) == 7, "a new state of a room that is known is a use of it"
