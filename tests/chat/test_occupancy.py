"""Who is counted in rooms: connections now, users a little longer, the fullest rooms first."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.chat.occupancy import GRACE_SECONDS, Occupancies, Occupancy
from tests.stand_ins.hand_clock import HandClock

ROOMS = ["arn:one", "arn:two", "other:three"]


def made() -> tuple[HandClock, Occupancies]:
    """Return a clock, and who is counted by it."""
    time = HandClock()
    return time, Occupancies(time.clock)


def test_users_are_counted_once() -> None:
    """However many connections each has, and in each room for itself."""
    _, counts = made()
    for user in ("alice", "alice", "bob"):
        counts.change("arn:one", user, 1)
    counts.change("arn:two", "alice", 2)
    assert counts.of("arn:one") == Occupancy(3, 2)
    assert counts.of("arn:two") == Occupancy(2, 1)
    assert counts.of("arn:three") == Occupancy(0, 0)
    assert counts.users_of_all() == 3
    assert counts.users("arn:one") == {"alice": 2, "bob": 1}
    assert counts.users("arn:three") == {}
    assert counts.with_one_more("arn:two", "alice") == Occupancy(3, 1)
    assert counts.with_one_more("arn:two", "bob") == Occupancy(3, 2)
    assert counts.with_one_more("arn:three", "bob") == Occupancy(1, 1)


def test_who_left_counts_until_the_grace_is_over() -> None:
    """Not a moment longer; who is back meanwhile is one user all the time."""
    time, counts = made()
    counts.change("arn:one", "alice", 1)
    counts.change("arn:one", "bob", 1)
    counts.change("arn:one", "alice", -1)
    counts.change("arn:one", "bob", -1)
    assert counts.of("arn:one") == Occupancy(0, 2)
    assert counts.with_one_more("arn:one", "alice") == Occupancy(1, 2)
    time.advance(1)
    counts.change("arn:one", "alice", 1)
    assert counts.of("arn:one") == Occupancy(1, 2)
    counts.change("arn:one", "alice", -1)
    time.advance(GRACE_SECONDS - 1)
    counts.forget_left()
    assert counts.of("arn:one") == Occupancy(0, 1)
    time.advance(0.999)
    counts.forget_left()
    assert counts.of("arn:one") == Occupancy(0, 1)
    time.advance(0.001)
    counts.forget_left()
    assert counts.of("arn:one") == Occupancy(0, 0)
    assert counts.page("", None, 9) == []


def test_of_whom_nobody_has_heard_there_is_no_grace() -> None:
    """Others stay, and who is leaving; a room without anybody is none at once."""
    time, counts = made()
    for user in ("alice", "bob", "eve"):
        counts.change("arn:one", user, 1)
    counts.change("arn:one", "alice", -1, at_once=True)
    assert counts.of("arn:one") == Occupancy(2, 2)
    counts.change("arn:one", "bob", -1)
    counts.change("arn:one", "eve", -1, at_once=True)
    assert counts.of("arn:one") == Occupancy(0, 1)
    time.advance(GRACE_SECONDS)
    counts.forget_left()
    counts.change("arn:one", "bob", 1)
    counts.change("arn:one", "bob", -1, at_once=True)
    assert counts.page("", None, 9) == []


def test_a_version_is_never_had_twice() -> None:
    """Each user who comes or goes makes another one, in whichever room; a second connection none.

    A room that nobody has been in has 0, and so has one that is forgotten.
    """
    _, counts = made()
    assert counts.version("arn:one") == 0
    seen: list[int] = []
    for room, user, number in (
        ("arn:one", "alice", 1),
        ("arn:two", "alice", 1),
        ("arn:one", "bob", 1),
        ("arn:one", "alice", -1),
        ("arn:two", "alice", -1),
        ("arn:one", "alice", 1),
    ):
        counts.change(room, user, number)
        seen.append(counts.version(room))
    assert sorted(set(seen)) == seen
    assert seen[0] > 0
    for number in (1, -1, 0):
        counts.change("arn:one", "bob", number)
    assert counts.version("arn:one") == seen[-1]


def test_rooms_are_listed_from_a_place_on() -> None:
    """Most users first, then most connections, then the name; of those whose names begin so."""
    _, counts = made()
    for room, users in {
        "arn:a": "xy",
        "arn:b": "xx",
        "arn:c": "x",
        "arn:d": "x",
        "o:e": "xyz",
    }.items():
        for user in users:
            counts.change(room, user, 1)
    listed = counts.page("arn:", None, 9)
    assert [room for _, _, room in listed] == ["arn:a", "arn:b", "arn:c", "arn:d"]
    for index, place in enumerate(listed):
        assert counts.page("arn:", place, 2) == listed[index + 1 : index + 3]
    assert counts.page("arn:", None, 1) == listed[:1]


def test_rooms_are_listed_in_one_order_for_a_second() -> None:
    """So pages go together, and 10,000 rooms are not put in order for each."""
    time, counts = made()
    counts.change("arn:a", "x", 1)
    first = counts.page("arn:", None, 1)
    counts.change("arn:b", "x", 2)
    counts.change("o:c", "x", 1)
    time.advance(0.999)
    assert counts.page("arn:", None, 9) == first
    assert [room for *_, room in counts.page("o:", None, 9)] == ["o:c"]
    time.advance(0.001)
    assert [room for *_, room in counts.page("arn:", None, 9)] == ["arn:b", "arn:a"]
    assert counts._listed.keys() == {"arn:", "o:"}
    time.advance(1)
    counts.page("o:", None, 9)
    assert counts._listed.keys() == {"o:"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["come", "go", "at once", "wait"]),
            st.sampled_from(ROOMS),
            st.sampled_from("abc"),
        ),
        max_size=60,
    )
)
def test_after_any_history_the_counts_are_true(steps: list[tuple[str, str, str]]) -> None:
    """Connections at every moment, users as soon as nobody's grace lasts; then nothing is kept."""
    time, counts = made()
    truth: dict[tuple[str, str], int] = {}
    for what, room, user in steps:
        if what == "wait":
            time.advance(0.5)
            counts.forget_left()
            continue
        there = truth.get((room, user), 0)
        change = 1 if what == "come" else -1
        if there + change >= 0:
            counts.change(room, user, change, at_once=what == "at once")
            truth[room, user] = there + change
        for each in ROOMS:
            number = sum(count for (at, _), count in truth.items() if at == each)
            assert counts.of(each).connections == number
    time.advance(GRACE_SECONDS)
    counts.forget_left()
    for each in ROOMS:
        users = sum(bool(count) for (at, _), count in truth.items() if at == each)
        assert counts.of(each).users == users
    rooms = {at for (at, _), count in truth.items() if count}
    assert {room for _, _, room in counts.page("", None, 9)} == rooms
