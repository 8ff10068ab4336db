"""What rooms keep in memory: contiguous, bounded, and honest about what is not there any more."""

import pytest

from greenroom.bus import rings as rings_module
from greenroom.bus.base import MOST_KEPT, Deliver, Disconnect, History, Older, RoomEnvelope
from greenroom.bus.rings import EACH_BYTES, RING_BYTES, Rings

HERE = "room"


def kept(number: int, size: int = 2, history: History = History.KEPT) -> RoomEnvelope:
    """Return an envelope whose id is its number."""
    return Deliver(b"x" * size, "SendMessage", id=f"{number}", history=history)


def ids(rings: Rings, room: str = HERE) -> list[str]:
    """Return the ids of what a room keeps."""
    ring = rings.find(room)
    return [] if ring is None else list(ring.kept)


def filled(*numbers: int, rings: Rings | None = None, room: str = HERE) -> Rings:
    """Return rings in which a room keeps envelopes, at positions that are their numbers."""
    made = Rings() if rings is None else rings
    for number in numbers:
        made.take(room, number, (kept(number),))
    return made


def test_what_is_behind_an_id() -> None:
    """All of it and nothing else, oldest first; behind the newest is nothing."""
    ring = filled(1, 2, 3).of(HERE, 9)
    for number, behind in ((1, ["2", "3"]), (2, ["3"]), (3, [])):
        recovered = ring.since(f"{number}", 7)
        assert [each.id for each in recovered.envelopes] == behind
        assert (recovered.position, recovered.complete) == (7, True)
    unknown = ring.since("4", 7)
    assert [each.id for each in unknown.envelopes] == ["1", "2", "3"]
    assert not unknown.complete


def test_the_newest() -> None:
    """So many as asked for, oldest first, or all and the word that there are no more."""
    ring = filled(1, 2, 3).of(HERE, 9)
    for count, found, complete in (
        (0, [], True),
        (2, ["2", "3"], True),
        (4, ["1", "2", "3"], False),
    ):
        recovered = ring.recent(count, 7)
        assert [each.id for each in recovered.envelopes] == found
        assert (recovered.position, recovered.complete) == (7, complete)
    newest = ring.newest()
    assert newest is not None
    assert newest.id == "3"
    assert Rings().of(HERE, 1).newest() is None


def test_what_is_kept() -> None:
    """What says so: passing things are left out, and a room without history costs nothing."""
    rings = filled(1)
    disconnect = Disconnect(b"{}", "user", "why", id="3", history=History.KEPT)
    rings.take(HERE, 2, (kept(2, history=History.PASSING), disconnect))
    assert ids(rings) == ["1", "3"]
    rings.take("other", 3, (kept(4, history=History.NONE), kept(5, history=History.PASSING)))
    assert "other" not in rings


def test_a_room_that_keeps_nothing_any_more() -> None:
    """Nothing before that is given: it would not be followed by what came then."""
    rings = filled(1, 2)
    rings.take(HERE, 3, (kept(3, history=History.NONE),))
    assert HERE not in rings
    assert rings.bytes == 0
    rings.take(HERE, 4, (kept(4, history=History.NONE), kept(5)))
    assert ids(rings) == ["5"]
    assert not rings.of(HERE, 9).since("2", 9).complete


def test_a_ring_is_bounded() -> None:
    """The oldest go, which is told; what is before them is not to be had from then on."""
    rings = filled(*range(MOST_KEPT))
    ring = rings.of(HERE, 9)
    assert not rings.of(HERE, 9).filled
    assert ring.since("0", 1).complete
    filled(MOST_KEPT, rings=rings)
    assert rings.of(HERE, 9).filled
    assert len(ring.kept) == MOST_KEPT
    assert not ring.since("0", 1).complete
    assert rings.bytes == ring.bytes == RING_BYTES + MOST_KEPT * (EACH_BYTES + 2)


def test_what_moderators_see_weighs_as_well() -> None:
    """Where their frame differs there are two."""
    rings = Rings()
    rings.take(
        HERE, 1, (Deliver(b"xx", "SendMessage", id="1", history=History.KEPT, marked=b"xxx"),)
    )
    assert rings.bytes == RING_BYTES + EACH_BYTES + 5


def deletion(number: int) -> RoomEnvelope:
    """Return an envelope that deletes."""
    return Deliver(b"xx", "DeleteMessage", id=f"{number}", history=History.KEPT, deletes=("m",))


def test_deletions_have_a_bound_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """They push out nothing else until there are very many; what came before them goes then."""
    monkeypatch.setattr(rings_module, "MOST_KEPT", 3)
    monkeypatch.setattr(rings_module, "MOST_DELETIONS", 4)
    rings = filled(1, 2)
    rings.take(HERE, 9, [deletion(number) for number in range(10, 14)])
    ring = rings.of(HERE, 9)
    assert ids(rings) == ["1", "2", "10", "11", "12", "13"]
    assert (ring.counted, ring.deletions) == (2, 4)
    assert [each.id for each in ring.recent(1, 9).envelopes] == ["2", "10", "11", "12", "13"]
    assert ring.recent(2, 9).complete
    assert not ring.recent(3, 9).complete
    rings.take(HERE, 9, [deletion(14)])
    assert ids(rings) == ["11", "12", "13", "14"]
    filled(20, 21, 22, 23, rings=rings)
    assert ids(rings) == ["21", "22", "23"]
    assert rings.bytes == ring.bytes == RING_BYTES + 3 * (EACH_BYTES + 2)
    rings.take(HERE, 9, [deletion(24), deletion(24)])
    assert (ids(rings)[3:], ring.deletions) == (["24"], 1)


def test_what_was_before_has_the_same_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of envelopes, and of deletions among them."""
    monkeypatch.setattr(rings_module, "MOST_KEPT", 3)
    monkeypatch.setattr(rings_module, "MOST_DELETIONS", 2)
    rings = filled(9)
    older = [kept(1), deletion(2), kept(3), deletion(4), kept(5)]
    rings.fill(HERE, rings.of(HERE, 9), Older(older))
    assert ids(rings) == ["2", "3", "4", "5", "9"]
    ring = rings.of(HERE, 9)
    assert (ring.counted, ring.deletions) == (3, 2)
    assert rings.here(HERE).more
    rings = filled(9)
    rings.fill(HERE, rings.of(HERE, 9), Older([deletion(number) for number in range(4)]))
    assert ids(rings) == ["2", "3", "9"]


def test_what_was_before_a_gap_has_the_bound_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest of it is there, as far as there is place; that there is more is told."""
    monkeypatch.setattr(rings_module, "MOST_KEPT", 3)
    rings = filled(9)
    ring = rings.of(HERE, 9)
    assert rings.here(HERE).more, "nobody has looked yet"
    rings.fill(HERE, ring, Older([kept(8)], [kept(5), kept(6), kept(7)]))
    here = rings.here(HERE)
    assert [each.id for each in here.before] == ["7"]
    assert here.more
    rings.fill(HERE, ring, Older([kept(8)], [kept(7)]))
    assert not rings.here(HERE).more
    rings.fill(HERE, ring, Older([kept(6), kept(7), kept(8)]))
    assert (ids(rings), rings.here(HERE).before) == (["7", "8", "9"], ())
    rings = filled(8)
    rings.fill(HERE, rings.of(HERE, 9), Older([kept(6), kept(7)]))
    assert not rings.here(HERE).more
    filled(9, rings=rings)
    assert (ids(rings), rings.here(HERE).more) == (["7", "8", "9"], True)


def test_what_was_before_counts_for_the_bound_of_bytes() -> None:
    """Too much of it, and the ring goes that was used longest ago."""
    rings = Rings(3 * (RING_BYTES + EACH_BYTES + 2))
    filled(9, rings=rings, room="idle")
    filled(9, rings=rings)
    rings.fill(HERE, rings.of(HERE, 9), Older([kept(number) for number in range(4)]))
    assert ("idle" in rings, rings.dropped) == (False, 1)
    assert ids(rings) == ["0", "1", "2", "3", "9"]


def test_what_was_read_in_part() -> None:
    """It is there, and the rest can be put in front of it; nothing is said of what is not known."""
    rings = filled(5)
    ring = rings.of(HERE, 9)
    rings.fill(HERE, ring, Older([kept(4)], more=True, is_partial=True))
    assert ids(rings) == ["4", "5"]
    assert rings.here(HERE).origin == ""
    assert ring.after_reading(ring.since("3", 9)).is_unread
    rings.fill(HERE, ring, Older([kept(3), kept(4), kept(5)]))
    assert ids(rings) == ["3", "4", "5"]
    assert ring.filled
    assert not rings.here(HERE).more


def test_an_id_that_comes_again() -> None:
    """It is there once, in its new place, and counted once."""
    rings = filled(1, 2, 1)
    assert ids(rings) == ["2", "1"]
    assert rings.bytes == RING_BYTES + 2 * (EACH_BYTES + 2)


def test_all_rings_are_bounded() -> None:
    """The ring goes that was used longest ago, whole, and is counted; asking is a use."""
    rings = Rings(3 * (RING_BYTES + EACH_BYTES + 2))
    for room in "abc":
        filled(1, rings=rings, room=room)
    assert rings.find("a")
    filled(1, rings=rings, room="d")
    assert [room in rings for room in "abcd"] == [True, False, True, True]
    filled(2, rings=rings, room="a")
    assert [room in rings for room in "abcd"] == [True, False, False, True]
    assert rings.dropped == 2
    filled(3, 4, 5, 6, 7, rings=rings, room="a")
    assert "d" not in rings
    assert rings.bytes <= 3 * (RING_BYTES + EACH_BYTES + 2)


def test_what_was_before_is_put_in_front() -> None:
    """As much of it as there is place for, the newest; nothing else is to be had then."""
    rings = filled(5, 6)
    ring = rings.of(HERE, 9)
    rings.fill(HERE, ring, Older([kept(3), kept(4)]))
    assert ids(rings) == ["3", "4", "5", "6"]
    assert ring.filled
    filled(7, rings=rings)
    assert ids(rings)[-1] == "7"
    assert rings.bytes == RING_BYTES + 5 * (EACH_BYTES + 2)
    many = filled(MOST_KEPT, rings=Rings())
    many.fill(HERE, many.of(HERE, 9), Older([kept(number) for number in range(MOST_KEPT)]))
    assert ids(many) == [f"{number}" for number in range(1, MOST_KEPT + 1)]
    assert many.bytes == RING_BYTES + MOST_KEPT * (EACH_BYTES + 2)


def test_what_was_before_a_gap() -> None:
    """It is shown, and is not what something is recovered from; it goes first."""
    rings = filled(5)
    ring = rings.of(HERE, 9)
    rings.fill(HERE, ring, Older([kept(4), kept(5)], [kept(1), kept(2), kept(5)], more=True))
    here = rings.here(HERE)
    assert [each.id for each in here.envelopes] == ["4", "5"]
    assert [each.id for each in here.before] == ["1", "2"]
    assert here.more
    assert not ring.since("2", 9).complete
    assert rings.bytes == RING_BYTES + 4 * (EACH_BYTES + 2)
    for number in range(6, MOST_KEPT + 4):
        filled(number, rings=rings)
    assert rings.here(HERE).before
    filled(9999, rings=rings)
    assert not rings.here(HERE).before
    assert rings.bytes == RING_BYTES + sum(EACH_BYTES + 2 for _ in ring.kept)


def test_what_was_before_another_ring() -> None:
    """It is not put in front of one that has begun since: something may lie between."""
    rings = filled(5)
    ring = rings.of(HERE, 9)
    rings.forget(HERE)
    rings.fill(HERE, ring, Older([kept(4)]))
    assert HERE not in rings
    filled(7, rings=rings)
    rings.fill(HERE, ring, Older([kept(4)]))
    assert ids(rings) == ["7"]
    assert not rings.of(HERE, 9).filled


def test_nothing_is_kept_any_more() -> None:
    """In the end, and of rooms that nobody has to do with."""
    rings = filled(1, 2)
    filled(1, rings=rings, room="other")
    rings.forget("other")
    rings.forget("nowhere")
    assert rings.bytes == RING_BYTES + 2 * (EACH_BYTES + 2)
    rings.clear()
    assert (rings.bytes, ids(rings)) == (0, [])


def test_what_is_here_is_the_same_until_something_else_is() -> None:
    """Who made something of it knows whether that still holds."""
    rings = filled(1)
    ring = rings.of(HERE, 9)
    seen = [rings.here(HERE)]
    assert rings.here(HERE) is seen[0]
    filled(3, rings=rings)
    seen.append(rings.here(HERE))
    rings.fill(HERE, ring, Older([kept(0)]))
    seen.append(rings.here(HERE))
    assert [len(each.envelopes) for each in seen] == [1, 2, 3]
    assert rings.here(HERE) is seen[2]
