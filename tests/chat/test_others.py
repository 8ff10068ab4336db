"""What a node knows of the others: of each what it told last, and nothing of who is gone."""

import pytest
from structlog.testing import capture_logs

from greenroom.chat.announcements import Announcement, News
from greenroom.chat.occupancy import Occupancies, Occupancy
from greenroom.chat.others import SILENT_SECONDS, Others, RoomThere, owner_of
from greenroom.clock import Clock
from tests.stand_ins.values import room_arn

ROOM, OTHER_ROOM = str(room_arn()), str(room_arn(account="2" * 12))
OWNER, OTHER_OWNER = owner_of(ROOM), owner_of(OTHER_ROOM)
ME = "me"


class Heard:
    """Others, with who tells them what."""

    def __init__(self) -> None:
        self.learned: list[News] = []
        self.others = Others(self.learned.append, Occupancies(Clock()))

    def hear(
        self,
        number: int,
        *news: News,
        whole: bool = False,
        more: bool = False,
        node: str = "peer",
        now: float = 0.0,
    ) -> None:
        """Let a node tell something, at a time."""
        whole_for = [ME] if whole else []
        told = Announcement(
            node, number, 0, list(news), whole_for=whole_for, more=more, name=f"host of {node}"
        )
        self.others.hear(told, ME, now, 0)

    def counts(self) -> tuple[int, int]:
        """Return how many connections both rooms have."""
        return self.others.connections_in(ROOM), self.others.connections_in(OTHER_ROOM)


@pytest.fixture
def heard() -> Heard:
    """Return one that has heard nobody."""
    return Heard()


def test_nobody_is_there(heard: Heard) -> None:
    """Nothing is counted, and no clock differs."""
    others = heard.others
    assert (len(others), "peer" in others, others.unknown(), others.skew_ns()) == (0, False, [], 0)
    assert (others.connections_in(ROOM), others.connections_of(OWNER)) == (0, 0)
    assert others.connections_of_user(ROOM, 1) == 0


def test_changes_count_from_when_all_is_known(heard: Heard) -> None:
    """Before that they are changes of something unknown, and nobody learns of them."""
    heard.hear(1, News(ROOM, 5, 7, {1: 5}))
    assert (heard.counts(), heard.others.unknown(), heard.learned) == ((0, 0), ["peer"], [])
    heard.hear(2, News(ROOM, 2, 7, {1: 2}), whole=True)
    heard.hear(3, News(ROOM, 3, 8, {1: -1, 2: 2}))
    assert (heard.counts(), heard.others.unknown()) == ((3, 0), [])
    assert [(each.connections, each.position) for each in heard.learned] == [(2, 7), (3, 8)]
    assert [heard.others.connections_of_user(ROOM, user) for user in (1, 2, 3)] == [1, 2, 0]
    assert (len(heard.others), "peer" in heard.others) == (1, True)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_what_is_out_of_its_turn_changes_nothing(heard: Heard, number: int) -> None:
    """After a gap, or of a node that counts anew, all is asked for; until then all stays."""
    heard.hear(1, News(ROOM, 1, 0, {1: 1}), whole=True)
    heard.hear(2)
    heard.hear(number, News(ROOM, 9, 0, {1: 8}))
    assert (heard.counts(), heard.others.unknown()) == ((1, 0), ["peer"])
    heard.hear(number + 1, News(ROOM, 9, 0, {1: 8}))
    assert (heard.counts(), heard.others.unknown()) == ((1, 0), ["peer"])
    heard.hear(number + 2, News(ROOM, 9, 0, {1: 9}), whole=True)
    assert (heard.counts(), heard.others.unknown()) == ((9, 0), [])


def test_everything_takes_the_place_of_all_before(heard: Heard) -> None:
    """With its last part, and not with a part of what came before a gap."""
    heard.hear(1, News(OTHER_ROOM, 4, 0, {1: 4}), whole=True)
    heard.hear(2, News(ROOM, 1, 0, {1: 1}), whole=True, more=True)
    assert heard.counts() == (0, 4)
    heard.hear(4, News(ROOM, 2, 0, {1: 2}), whole=True, more=True)
    heard.hear(5, News(OTHER_ROOM, 3, 0, {1: 3}), whole=True)
    assert heard.counts() == (2, 3)
    assert heard.others.connections_of_user(ROOM, 1) == 2
    heard.hear(6, whole=True)
    assert heard.counts() == (0, 0)
    assert not heard.others._rooms
    assert not heard.others._owners


def test_what_is_everything_for_others_changes_nothing(heard: Heard) -> None:
    """Who knows it has had it as changes."""
    heard.hear(1, News(ROOM, 1, 0, {1: 1}), whole=True)
    told = Announcement("peer", 2, 0, [News(ROOM, 1, 0, {1: 1})], whole_for=["another"])
    heard.others.hear(told, ME, 0.0, 0)
    heard.hear(3, News(ROOM, 2, 0, {2: 1}))
    assert heard.others.connections_of_user(ROOM, 1) == 1
    assert heard.counts() == (2, 0)


def test_nodes_are_added_up(heard: Heard) -> None:
    """In each room, for each owner, for each user; and who is forgotten counts no more."""
    for node in ("one", "two"):
        both = News(ROOM, 2, 0, {1: 1, 2: 1}), News(OTHER_ROOM, 1, 0, {1: 1})
        heard.hear(1, *both, whole=True, node=node)
    others = heard.others
    assert (heard.counts(), len(others)) == ((4, 2), 2)
    assert (others.connections_of(OWNER), others.connections_of(OTHER_OWNER)) == (4, 2)
    assert others.connections_of_user(ROOM, 1) == 2
    others.forget("one")
    others.forget("nobody")
    assert (heard.counts(), len(others)) == ((2, 1), 1)
    assert (others.connections_of(OWNER), others.connections_of(OTHER_OWNER)) == (2, 1)
    assert others.connections_of_user(ROOM, 1) == 1


def test_bots_are_among_a_rooms_connections_and_not_among_its_users(heard: Heard) -> None:
    """Also when their node is forgotten, and of one user who is both."""
    there = News(ROOM, 5, 0, {1: 3, 2: 2}, {1: 1, 2: 2})
    heard.hear(1, there, whole=True, node="one")
    heard.hear(1, News(ROOM, 1, 0, {1: 1}), whole=True, node="two")
    occupancies = heard.others._occupancies
    assert heard.counts() == (6, 0)
    assert occupancies.of(ROOM) == Occupancy(3, 1)
    heard.hear(2, News(ROOM, 4, 0, {2: -1}, {2: -1}), node="one")
    assert heard.others._nodes["one"].rooms[ROOM].bots == {1: 1, 2: 1}
    assert occupancies.of(ROOM) == Occupancy(3, 1)
    heard.others.forget("one")
    assert occupancies.of(ROOM) == Occupancy(1, 1)
    heard.others.forget("two")
    assert occupancies.of(ROOM) == Occupancy(0, 0)


def test_who_may_moderate(heard: Heard) -> None:
    """A user of whose connections on some node one may, until that ends or the node is gone."""
    others = heard.others
    heard.hear(1, News(ROOM, 3, 0, {1: 2, 2: 1}, {}, {1: 1}), whole=True, node="one")
    heard.hear(1, News(ROOM, 2, 0, {1: 1, 3: 1}, {}, {1: 1, 3: 1}), whole=True, node="two")

    def moderators() -> list[int]:
        return [user for user in range(5) if others.is_moderator(ROOM, user)]

    assert moderators() == [1, 3]
    assert not others.is_moderator(OTHER_ROOM, 1)
    heard.hear(2, News(ROOM, 2, 0, {1: -1}, {}, {1: -1}), node="one")
    assert moderators() == [1, 3]
    heard.others.forget("two")
    assert moderators() == []
    heard.hear(3, News(ROOM, 3, 0, {2: 1}, {}, {2: 1}), node="one")
    assert moderators() == [2]
    # A node of a version that tells nothing of moderators.
    heard.hear(1, News(ROOM, 1, 0, {4: 1}), whole=True, node="old")
    assert moderators() == [2]


def test_a_room_that_is_empty_there_is_kept_no_more(heard: Heard) -> None:
    """It begins anew when somebody is in it again."""
    heard.hear(1, News(ROOM, 1, 0, {1: 1}), whole=True)
    heard.hear(2, News(ROOM, 0, 0, {1: -1}))
    assert not heard.others._nodes["peer"].rooms
    assert not heard.others._rooms
    heard.hear(3, News(ROOM, 1, 0, {2: 1}))
    assert heard.counts() == (1, 0)
    assert [heard.others.connections_of_user(ROOM, user) for user in (1, 2)] == [0, 1]


@pytest.mark.parametrize(
    ("silent", "there"), [(SILENT_SECONDS - 0.1, 1), (SILENT_SECONDS, 0), (SILENT_SECONDS + 5, 0)]
)
def test_who_is_silent_for_long_is_dead(heard: Heard, silent: float, there: int) -> None:
    """Others who spoke meanwhile are not; the log says who it was."""
    heard.hear(1, News(ROOM, 1, 0, {1: 1}), whole=True, node="silent", now=100.0)
    heard.hear(1, News(ROOM, 1, 0, {1: 1}), whole=True, node="alive", now=100.0)
    heard.hear(2, node="alive", now=100.0 + silent)
    with capture_logs() as lines:
        heard.others.forget_silent(100.0 + silent)
    assert heard.counts() == (1 + there, 0)
    assert "alive" in heard.others
    names = [(line["node"], line["name"]) for line in lines]
    assert names == [("silent", "host of silent")] * (1 - there)


def test_who_leaves_is_told_once(heard: Heard) -> None:
    """Somebody who was never there leaves without a word."""
    with capture_logs() as lines:
        heard.hear(1, News(ROOM, 1, 0, {1: 1}), whole=True)
        heard.hear(2)
        heard.others.leave("peer")
        heard.others.leave("peer")
    assert [line["event"] for line in lines] == ["another node is there", "another node has left"]
    assert [line["name"] for line in lines] == ["host of peer"] * 2
    assert (heard.counts(), len(heard.others)) == ((0, 0), 0)


def test_clocks_differ_by_the_most_of_all(heard: Heard) -> None:
    """Whichever is ahead, and by what each one told last."""
    for node, sent in (("ahead", 500), ("ahead", 102), ("behind", 95)):
        heard.others.hear(Announcement(node, 1, sent), ME, 0.0, 100)
    assert heard.others.skew_ns() == 5


def test_what_is_no_room_is_refused(heard: Heard) -> None:
    """Nothing is counted for it."""
    with pytest.raises(ValueError, match="not the ARN"):
        heard.hear(1, News("lobby", 1, 0), whole=True)
    assert heard.counts() == (0, 0)


def test_users_are_counted_in_a_room() -> None:
    """One without connections is not kept."""
    room = RoomThere(OWNER)
    room.count(1, 2)
    room.count(2, 1)
    room.count(1, -1)
    room.count(2, -1)
    room.count(3, 0)
    assert room.users == {1: 1}
