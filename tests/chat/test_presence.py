"""What nodes know of each other's connections, over a wire that loses what it is told to lose.

Covers: greenroom.chat.announcements, greenroom.chat.others
"""

from collections import Counter
from collections.abc import Callable
from typing import Final
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from greenroom.bus.base import About, Arrival, Debit, Deliver, Grant, Position
from greenroom.chat.announcements import Announcement, News, decode, encode
from greenroom.chat.occupancy import GRACE_SECONDS, Occupancy
from greenroom.chat.presence import Alone, Presence
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.values import room_arn

ROOM: Final = str(room_arn())
OTHER_ROOM: Final = str(room_arn(account="2" * 12))
KEY: Final = b"k" * 32


class Wire:
    """Carries announcements to every node at once, but for those that are cut off."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.said: list[bytes] = []

    def carry(self, sender: "Node", payload: bytes) -> None:
        """Give the bytes to every node."""
        self.said.append(payload)
        if sender.cut:
            return
        for node in list(self.nodes):
            if not node.cut:
                node.hears(payload)


class Node:
    """A node: its presence, and the ports that it stands on."""

    def __init__(self, wire: Wire, clock: HandClock) -> None:
        self.cut = False
        self.behind: list[tuple[str, Position]] = []
        self.hears: Callable[[bytes], None] = lambda payload: None
        self.arrives: Callable[[Arrival], None] = lambda arrival: None
        self._wire = wire
        self.presence = Presence(
            self,
            self,
            clock.clock,
            KEY,
            lambda room, position: self.behind.append((room, position)),
        )
        wire.nodes.append(self)

    def announce(self, payload: bytes, about: About = About.PRESENCE) -> None:
        assert about is About.PRESENCE
        self._wire.carry(self, payload)

    def on_announcement(
        self, receiver: Callable[[bytes], None], about: About = About.PRESENCE
    ) -> None:
        assert about is About.PRESENCE
        self.hears = receiver

    def on_arrival(self, receiver: Callable[[Arrival], None]) -> None:
        self.arrives = receiver

    def follow(self, room: str) -> None:
        """Do nothing."""

    def unfollow(self, room: str) -> None:
        """Do nothing."""

    def publish(self, room: str, grant: Grant) -> Position:
        raise AssertionError

    skew_ns = 0

    def on_debit(self, receiver: Debit) -> None:
        """Do nothing."""

    def settled(self) -> None:
        """Do nothing."""

    def kept(self) -> None:
        """Do nothing."""

    def counts(self, room: str = ROOM, user: str = "alice") -> tuple[int, int, int]:
        """Return how many connections others have: in the room, of its owner, of the user."""
        arn = room_arn() if room == ROOM else room_arn(account="2" * 12)
        return (
            self.presence.connections_elsewhere(room),
            self.presence.connections_of_elsewhere(arn.account, arn.region),
            self.presence.connections_of_user_elsewhere(room, user),
        )


class Cluster:
    """Some nodes, and the time that passes for all of them."""

    def __init__(self, number: int) -> None:
        self.wire, self.clock = Wire(), HandClock()
        self.nodes = [self.node() for _ in range(number)]

    def node(self) -> Node:
        """Add a node."""
        return Node(self.wire, self.clock)

    def tick(self, times: int = 1) -> None:
        """Let seconds pass, with a tick of each node in each."""
        for _ in range(times):
            self.clock.advance(1)
            for node in self.wire.nodes:
                node.presence.tick()


def test_connections_of_others_are_counted() -> None:
    """By room, by account and region, by user: a second later, and never one's own."""
    cluster = Cluster(3)
    one, two, three = cluster.nodes
    cluster.tick(2)
    for user in ("alice", "alice", "bob"):
        one.presence.joined(ROOM, user)
    two.presence.joined(ROOM, "alice")
    two.presence.joined(OTHER_ROOM, "alice")
    assert three.counts() == (0, 0, 0)
    cluster.tick()
    assert three.counts() == (4, 4, 3)
    assert three.counts(OTHER_ROOM) == (1, 1, 1)
    assert one.counts() == (1, 1, 1)
    assert two.counts() == (3, 3, 2)
    assert two.counts(user="bob") == (3, 3, 1)
    assert two.counts(user="carol") == (3, 3, 0)
    assert [node.presence.nodes for node in cluster.nodes] == [3, 3, 3]


def test_who_leaves_is_counted_no_more() -> None:
    """Nothing is kept of a room that nobody is in, and who comes and goes unseen leaves nothing."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    cluster.tick(2)
    one.presence.joined(ROOM, "alice")
    cluster.tick()
    one.presence.left(ROOM, "alice")
    one.presence.joined(OTHER_ROOM, "alice")
    one.presence.left(OTHER_ROOM, "alice")
    cluster.tick()
    assert two.counts() == two.counts(OTHER_ROOM) == (0, 0, 0)
    assert not one.presence._here
    assert not any(node.rooms for node in two.presence._others._nodes.values())
    assert not two.presence._others._rooms
    assert not two.presence._others._owners


def test_a_new_node_learns_everything() -> None:
    """Also what was told long before it came; and the others learn of it."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    one.presence.joined(ROOM, "alice")
    cluster.tick(5)
    three = cluster.node()
    three.presence.joined(ROOM, "bob")
    cluster.tick(3)
    assert three.counts() == (1, 1, 1)
    assert two.counts(user="bob") == (2, 2, 1)


@pytest.mark.parametrize(("seconds", "left"), [(2, 1), (3, 0)])
def test_a_silent_node_is_taken_for_dead(seconds: int, left: int) -> None:
    """Three seconds after its last word, and not before; when it speaks again it is counted."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    one.presence.joined(ROOM, "alice")
    cluster.tick(3)
    one.cut = True
    cluster.tick(seconds)
    assert two.counts() == (left, left, left)
    one.cut = False
    one.presence.joined(ROOM, "alice")
    cluster.tick(3)
    assert two.counts() == (2, 2, 2)
    assert two.presence.nodes == 2


def test_a_node_that_stops_says_so() -> None:
    """Nobody waits until it would be taken for dead."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    one.presence.joined(ROOM, "alice")
    cluster.tick(3)
    one.presence.stop()
    assert two.counts() == (0, 0, 0)
    assert two.presence.nodes == 1


def test_a_node_that_stopped_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be taken for a new one."""
    cluster = Cluster(1)
    (here,) = cluster.nodes
    ticker = Mock()
    monkeypatch.setattr(here.presence, "_ticker", ticker)
    here.presence.start()
    assert (ticker.start.call_count, ticker.stop.call_count) == (1, 0)
    here.presence.stop()
    assert (ticker.start.call_count, ticker.stop.call_count) == (1, 1)
    assert [decode(payload).leaving for payload in cluster.wire.said] == [False, True]


def test_a_node_that_stopped_answers_nobody() -> None:
    """A new node, as in a takeover, makes it none that is there; it hears of none, either."""
    cluster = Cluster(1)
    (gone,) = cluster.nodes
    gone.presence.stop()
    new = cluster.node()
    new.presence.tick()
    assert (new.presence.nodes, gone.presence.nodes) == (1, 1)


def test_what_was_missed_is_asked_for() -> None:
    """Until it is known again the counts are those of before, never a part of them."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    one.presence.joined(ROOM, "alice")
    cluster.tick(3)
    two.cut = True
    one.presence.joined(ROOM, "bob")
    cluster.tick()
    two.cut = False
    one.presence.joined(ROOM, "carol")
    one.presence.tick()
    assert two.counts(user="carol") == (1, 1, 0)
    cluster.tick(2)
    assert two.counts(user="carol") == (3, 3, 1)
    assert two.counts(user="bob") == (3, 3, 1)


def test_many_users_of_a_room_are_told_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As changes and as a whole: no announcement names more than so many rooms and users."""
    monkeypatch.setattr("greenroom.chat.announcements.NEWS_AT_ONCE", 3)
    monkeypatch.setattr("greenroom.chat.announcements.USERS_AT_ONCE", 4)
    cluster = Cluster(2)
    one, two = cluster.nodes
    cluster.tick(2)
    for number in range(11):
        one.presence.joined(ROOM, f"user{number}")
        one.presence.joined(str(room_arn()), "alice")
    cluster.tick()
    three = cluster.node()
    cluster.tick(3)
    for node in (two, three):
        assert node.counts(user="user10") == (11, 22, 1)
    for payload in cluster.wire.said:
        told = decode(payload)
        assert len(told.news) <= 3
        assert sum(len(news.users) for news in told.news) <= 4


def test_a_part_of_everything_is_not_everything() -> None:
    """Counts are replaced when the last part has come, and begin anew when one was missed."""
    cluster = Cluster(1)
    (here,) = cluster.nodes
    me, news = here.presence.node, [News(ROOM, 1, 0, {1: 1})]
    other = [News(OTHER_ROOM, 1, 0, {1: 1})]
    for number, more in ((1, True), (3, True)):
        told = Announcement("peer", number, 0, news, whole_for=[me], more=more)
        here.hears(encode(told))
        assert here.counts() == (0, 0, 0)
    here.hears(encode(Announcement("peer", 4, 0, other, whole_for=[me])))
    assert here.counts()[:2] == (1, 1)
    assert here.counts(OTHER_ROOM)[:2] == (1, 1)


def test_what_is_for_others_changes_nothing() -> None:
    """Everything that one node asked for is no change to those that know it."""
    cluster = Cluster(1)
    (here,) = cluster.nodes
    news = [News(ROOM, 1, 0, {1: 1})]
    here.hears(encode(Announcement("peer", 1, 0, news, whole_for=[here.presence.node])))
    here.hears(encode(Announcement("peer", 2, 0, news, whole_for=["somebody"])))
    here.hears(encode(Announcement("peer", 3, 0, [News(ROOM, 2, 0, {1: 1})])))
    assert here.counts()[:2] == (2, 2)


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"\x93", encode(Announcement("peer", 1, 0))[:-3], b"\xff" * 100]
)
def test_what_is_no_announcement_is_counted(payload: bytes) -> None:
    """It raises nothing, and nobody is taken for a node."""
    cluster = Cluster(1)
    (here,) = cluster.nodes
    here.hears(payload)
    assert here.presence.unreadable == 1
    assert here.presence.nodes == 1


def test_what_names_no_room_is_counted() -> None:
    """It raises nothing."""
    cluster = Cluster(1)
    (here,) = cluster.nodes
    told = Announcement("peer", 1, 0, [News("lobby", 1, 0)], whole_for=[here.presence.node])
    here.hears(encode(told))
    assert here.presence.unreadable == 1


def test_fields_that_a_later_version_adds_are_passed_over() -> None:
    """Nodes of two versions understand each other while one replaces the other."""
    told = encode(Announcement("peer", 1, 0))
    assert told[0] == 0x99
    assert decode(b"\x9a" + told[1:] + b"\xa3new") == decode(told)
    # One of an earlier version does not say its name.
    assert decode(b"\x98" + told[1:-1]) == decode(told)


def test_a_room_of_which_a_peer_knows_more_is_looked_after() -> None:
    """When a second later this node has still not seen it; not while it is on its way."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    for node in (one, two):
        node.presence.joined(ROOM, "alice")
        node.presence.joined(OTHER_ROOM, "alice")
    cluster.tick(3)
    late, missed = _arrival(ROOM, 7), _arrival(OTHER_ROOM, 9)
    one.arrives(late)
    one.arrives(missed)
    cluster.tick()
    two.arrives(late)
    cluster.tick(2)
    assert two.behind == [(OTHER_ROOM, 9)]
    assert not one.behind


def test_a_room_that_nobody_is_in_is_not_looked_after() -> None:
    """It costs this node nothing."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    one.presence.joined(ROOM, "alice")
    cluster.tick(3)
    one.arrives(_arrival(ROOM, 7))
    two.arrives(_arrival(ROOM, 7))
    cluster.tick(3)
    assert not two.behind


def test_the_clocks_of_nodes_are_compared() -> None:
    """By what each announcement says, whichever is ahead."""
    cluster = Cluster(1)
    (here,) = cluster.nodes
    assert here.presence.skew_seconds == 0
    now = cluster.clock.wall_ns
    here.hears(encode(Announcement("ahead", 1, now + 2_000_000_000)))
    here.hears(encode(Announcement("behind", 1, now - 3_000_000_000)))
    assert here.presence.skew_seconds == 3


def test_clocks_that_differ_are_told_of() -> None:
    """Once when they begin to, once when they agree again."""
    cluster = Cluster(1)
    (here,) = cluster.nodes
    with capture_logs() as logs:
        for number, ahead in enumerate((1, 3, 3, 0, 0)):
            told = cluster.clock.wall_ns + ahead * 1_000_000_000
            here.hears(encode(Announcement("another", number, told)))
            here.presence.tick()
    assert [(line["log_level"], line["event"], line.get("seconds")) for line in logs[1:]] == [
        ("warning", "clocks of nodes differ", 3.0),
        ("info", "clocks of nodes agree again", None),
    ]


def test_users_are_told_as_numbers_that_only_the_key_explains() -> None:
    """No name is on the wire; another room or key gives another number."""
    cluster = Cluster(1)
    (here,) = cluster.nodes
    here.presence.joined(ROOM, "alice-the-user")
    cluster.tick()
    assert b"alice" not in b"".join(cluster.wire.said)
    number = here.presence._stands_for(ROOM, "alice")
    assert number != here.presence._stands_for(OTHER_ROOM, "alice")
    stranger = Presence(here, here, cluster.clock.clock, b"other", lambda room, position: None)
    assert number != stranger._stands_for(ROOM, "alice")


def test_a_single_node_counts_nobody_elsewhere() -> None:
    """Whatever it is told of its own."""
    alone = Alone(HandClock().clock)
    alone.joined(ROOM, "alice")
    assert alone.connections_elsewhere(ROOM) == 0
    assert alone.connections_of_elsewhere("1" * 12, "us-east-1") == 0
    assert alone.connections_of_user_elsewhere(ROOM, "alice") == 0
    assert alone.occupancies().of(ROOM) == Occupancy(1, 1)
    alone.left(ROOM, "alice")
    assert alone.occupancies().of(ROOM) == Occupancy(0, 1), "he may come back"


def test_users_are_distinct_over_nodes() -> None:
    """One who is on two nodes is one, and so is one whose connection moves to another node."""
    cluster = Cluster(3)
    one, two, three = cluster.nodes
    cluster.tick(2)
    for node in (one, one, two):
        node.presence.joined(ROOM, "alice")
    one.presence.joined(ROOM, "bob")
    two.presence.joined(ROOM, "robot", is_bot=True)
    cluster.tick()
    for node in cluster.nodes:
        assert node.presence.occupancies().of(ROOM) == Occupancy(4, 2)
    assert three.counts() == (5, 5, 3)
    two.presence.joined(ROOM, "bob")
    one.presence.left(ROOM, "bob")
    # The new connection is told of by the node with the slower tick.
    one.presence.tick()
    for node in cluster.nodes:
        assert node.presence.occupancies().of(ROOM).users == 2
    cluster.tick(2)
    for node in cluster.nodes:
        assert node.presence.occupancies().of(ROOM) == Occupancy(4, 2)


def test_moderators_are_known_to_all_nodes() -> None:
    """A second later: while one of their connections may moderate, and to who asks for all."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    cluster.tick(2)
    one.presence.joined(ROOM, "ann", may_moderate=True)
    one.presence.joined(ROOM, "ann")
    one.presence.joined(ROOM, "bob")
    cluster.tick()
    late = cluster.node()
    cluster.tick(3)
    for node, known in ((one, False), (two, True), (late, True)):
        assert node.presence.is_moderator_elsewhere(ROOM, "ann") is known
        assert not node.presence.is_moderator_elsewhere(ROOM, "bob")
        assert not node.presence.is_moderator_elsewhere(OTHER_ROOM, "ann")
    one.presence.left(ROOM, "ann", may_moderate=True)
    one.presence.joined(ROOM, "bob")
    one.presence.left(ROOM, "bob")
    cluster.tick()
    for node in (two, late):
        assert not node.presence.is_moderator_elsewhere(ROOM, "ann")
        assert not node.presence.is_moderator_elsewhere(ROOM, "bob")
    assert not Alone().is_moderator_elsewhere(ROOM, "ann")


def test_who_asks_for_the_other_nodes_is_told_of_none_that_is_dead() -> None:
    """Also between two ticks."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    cluster.tick(2)
    one.cut = True
    for seconds, names in ((2.4, {one.presence.node}), (0.1, set())):
        cluster.clock.advance(seconds)
        assert two.presence.other_nodes() == names


def test_who_is_asked_about_joins() -> None:
    """How many there will be is told before it is so: one more, and perhaps a user more."""
    cluster = Cluster(2)
    one, two = (node.presence for node in cluster.nodes)
    cluster.tick(2)
    assert two.occupancy_with(ROOM, "alice") == Occupancy(1, 1)
    assert two.occupancy_with(ROOM, "robot", is_bot=True) == Occupancy(0, 0)
    one.joined(ROOM, "alice")
    cluster.tick()
    assert two.occupancy_with(ROOM, "alice") == Occupancy(2, 1)
    assert two.occupancy_with(ROOM, "bob") == Occupancy(2, 2)
    alone = Alone()
    assert alone.occupancy_with(ROOM, "robot", is_bot=True) == Occupancy(0, 0)
    alone.joined(ROOM, "robot", is_bot=True)
    alone.left(ROOM, "robot", is_bot=True)
    assert alone.occupancy_with(ROOM, "alice") == Occupancy(1, 1)


def test_the_dead_are_counted_no_longer_than_three_seconds() -> None:
    """Whoever asks: nobody waits for the next tick, and no grace is left to them."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    cluster.tick(2)
    one.presence.joined(ROOM, "alice")
    cluster.tick()
    one.cut = True
    cluster.clock.advance(2.4)
    assert two.presence.occupancies().of(ROOM) == Occupancy(1, 1)
    cluster.clock.advance(0.1)
    assert two.presence.occupancies().of(ROOM) == Occupancy(0, 0)


def test_who_may_come_back_is_waited_for_when_a_node_ends() -> None:
    """Its users connect to another one."""
    cluster = Cluster(2)
    one, two = cluster.nodes
    cluster.tick(2)
    one.presence.joined(ROOM, "alice")
    cluster.tick()
    one.presence.stop()
    assert two.presence.occupancies().of(ROOM) == Occupancy(0, 1)
    cluster.clock.advance(GRACE_SECONDS)
    assert two.presence.occupancies().of(ROOM) == Occupancy(0, 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["join", "join", "leave", "bot", "unbot", "cut", "heal", "tick", "new", "die", "end"]
        ),
        st.integers(0, 3),
        st.sampled_from([ROOM, OTHER_ROOM]),
        st.sampled_from(["alice", "bob"]),
    ),
    max_size=60,
)


class History(Cluster):
    """A cluster to which things happen, and what is true of each node."""

    def __init__(self) -> None:
        super().__init__(2)
        self.truth: list[Counter[tuple[str, str]]] = [Counter(), Counter()]
        self.bots: list[Counter[tuple[str, str]]] = [Counter(), Counter()]

    def step(self, what: str, index: int, room: str, user: str) -> None:
        """Let one thing happen, where it can."""
        node, there = self.nodes[index], self.truth[index]
        match what:
            case "join":
                node.presence.joined(room, user)
                there[room, user] += 1
            case "leave" if there[room, user]:
                node.presence.left(room, user)
                there[room, user] -= 1
            case "bot":
                node.presence.joined(room, user, is_bot=True)
                self.bots[index][room, user] += 1
            case "unbot" if self.bots[index][room, user]:
                node.presence.left(room, user, is_bot=True)
                self.bots[index][room, user] -= 1
            case "die" | "end" if len(self.nodes) > 1:
                self._end(index, told=what == "end")
            case "cut" | "heal":
                node.cut = what == "cut"
            case "tick":
                self.tick()
            case "new" if len(self.nodes) < 4:
                self.nodes.append(self.node())
                self.truth.append(Counter())
                self.bots.append(Counter())

    def _end(self, index: int, *, told: bool) -> None:
        """Have a node end, of which the others may be told."""
        node = self.nodes.pop(index)
        if told:
            node.presence.stop()
        self.wire.nodes.remove(node)
        del self.truth[index], self.bots[index]

    def elsewhere(self, index: int) -> Counter[tuple[str, str]]:
        """Return how many connections each user has in each room on the other nodes."""
        both = zip(self.truth, self.bots, strict=True)
        return sum((a + b for at, (a, b) in enumerate(both) if at != index), Counter())

    def occupancy(self, room: str) -> Occupancy:
        """Return how many are in a room that are no bots."""
        users = Counter[str]()
        for each in self.truth:
            users += Counter({user: number for (at, user), number in each.items() if at == room})
        return Occupancy(users.total(), len(users))


@given(STEPS)
def test_after_any_history_all_nodes_agree_with_the_truth(
    steps: list[tuple[str, int, str, str]],
) -> None:
    """Joins, leaves, cuts, ends, deaths, new nodes, in any order: seconds later all is exact."""
    history = History()
    for what, number, room, user in steps:
        history.step(what, number % len(history.nodes), room, user)
    for node in history.nodes:
        node.cut = False
    history.tick(4)
    for index, node in enumerate(history.nodes):
        there = history.elsewhere(index)
        for room in (ROOM, OTHER_ROOM):
            total = there[room, "alice"] + there[room, "bob"]
            for user in ("alice", "bob"):
                assert node.counts(room, user) == (total, total, there[room, user])
            occupancies = node.presence.occupancies()
            assert occupancies.of(room) == history.occupancy(room)
            page = occupancies.page("arn:", None, 9)
            assert (room in [arn for _, _, arn in page]) == bool(occupancies.of(room).users)


def _arrival(room: str, position: Position) -> Arrival:
    return Arrival(room, position, (Deliver(b"{}", "SendMessage"),))
