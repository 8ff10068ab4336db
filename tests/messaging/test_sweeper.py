"""One timer for all connections: when each is pinged, dropped and expired."""

from unittest import mock

import pytest

from greenroom.messaging.sweeper import Sweeper
from tests.stand_ins.hand_clock import START_MS, HandClock

FAR = START_MS + 10**9


class Peer:
    """A connection that counts the sweeper's calls."""

    def __init__(self, sweeper: Sweeper, expires_ms: int = FAR) -> None:
        self.sweeper, self.expires_ms = sweeper, expires_ms
        self.heard, self.missed = True, 0
        self.pings, self.drops, self.expiries = 0, 0, 0
        self.slot = sweeper.add(self, expires_ms)

    def ping(self) -> None:
        self.pings += 1

    def drop_silent(self) -> None:
        self.drops += 1
        self.leave()

    def expire(self) -> None:
        self.expiries += 1
        self.leave()

    def leave(self) -> None:
        self.sweeper.remove(self, self.slot, self.expires_ms)


@pytest.fixture
def time() -> HandClock:
    """Give a clock."""
    return HandClock()


def ticks(sweeper: Sweeper, time: HandClock, count: int) -> None:
    """Let so many seconds pass."""
    for _ in range(count):
        time.advance(1)
        sweeper.tick()


@pytest.mark.parametrize("interval", [6, 7])
def test_one_ping_per_interval(time: HandClock, interval: int) -> None:
    """Each connection is pinged once in every interval, wherever its slot lies."""
    sweeper = Sweeper(time.clock, interval)
    peers = [Peer(sweeper) for _ in range(200)]
    for rounds in range(1, 6):
        for peer in peers:
            peer.heard = True
        ticks(sweeper, time, interval)
        assert {peer.pings for peer in peers} == {rounds}
    assert len({peer.slot for peer in peers}) > 1
    assert not any(peer.drops for peer in peers)


class Numbered(Peer):
    """A connection with a hash as those have that lie beside each other in memory."""

    def __init__(self, sweeper: Sweeper, number: int) -> None:
        self.number = number
        super().__init__(sweeper)

    def __hash__(self) -> int:
        return 16 * self.number


def test_connections_are_spread_over_the_interval(time: HandClock) -> None:
    """Each second has its share of them."""
    sweeper = Sweeper(time.clock, 6)
    peers = [Numbered(sweeper, number) for number in range(60)]
    for second in range(1, 7):
        ticks(sweeper, time, 1)
        assert sum(peer.pings for peer in peers) == 10 * second


def test_only_what_has_come_is_looked_at(time: HandClock) -> None:
    """Sessions that expire later cost a tick nothing."""
    sweeper = Sweeper(time.clock, 3)
    later, soon = Peer(sweeper, START_MS + 2_000), Peer(sweeper, START_MS + 1_000)
    with mock.patch.dict(sweeper._expiries, {(START_MS + 2_000) // 1000: mock.Mock()}):
        ticks(sweeper, time, 1)
    assert (soon.expiries, later.expiries) == (1, 0)
    ticks(sweeper, time, 1)
    assert (later.expiries, sweeper._expiries) == (1, {})


def test_silent_peer_is_dropped_at_the_third_visit(time: HandClock) -> None:
    """Two pings without an answer: the third visit drops, and nothing comes after it."""
    sweeper = Sweeper(time.clock, 1)
    peer = Peer(sweeper)
    ticks(sweeper, time, 2)
    assert (peer.pings, peer.drops) == (2, 0)
    ticks(sweeper, time, 5)
    assert (peer.pings, peer.drops) == (2, 1)


def test_any_sign_of_life_counts(time: HandClock) -> None:
    """A peer that is heard between two visits begins anew, however late it is."""
    sweeper = Sweeper(time.clock, 1)
    peer = Peer(sweeper)
    for _ in range(10):
        ticks(sweeper, time, 2)
        peer.heard = True
    assert (peer.pings, peer.drops) == (20, 0)


@pytest.mark.parametrize("phase", [0.0, 0.001, 0.25, 0.5, 0.999])
@pytest.mark.parametrize("after_ms", [1, 499, 500, 999, 1000, 1001, 2500])
def test_sessions_expire_in_time(time: HandClock, phase: float, after_ms: int) -> None:
    """A session is never ended early and at most a second late, whatever the ticks' phase."""
    time.advance(phase)
    sweeper = Sweeper(time.clock, 30)
    expires = time.clock.now_ms() + after_ms
    peer = Peer(sweeper, expires)
    while not peer.expiries:
        ticks(sweeper, time, 1)
    assert 0 <= time.clock.now_ms() - expires <= 1000
    ticks(sweeper, time, 5)
    assert peer.expiries == 1


def test_a_clock_that_jumps_ahead_ends_what_is_over(time: HandClock) -> None:
    """After a jump of hours the next tick ends every session that is over, and no other."""
    sweeper = Sweeper(time.clock, 30)
    peers = [Peer(sweeper, START_MS + hours * 3_600_000) for hours in range(1, 6)]
    time.jump(3 * 3600)
    sweeper.tick()
    assert [peer.expiries for peer in peers] == [1, 1, 1, 0, 0]


def test_a_clock_that_jumps_back_ends_nothing(time: HandClock) -> None:
    """Going back, the sweeper waits until the time has come by the clock that it has."""
    sweeper = Sweeper(time.clock, 30)
    peer = Peer(sweeper, START_MS + 2000)
    time.jump(-10)
    ticks(sweeper, time, 11)
    assert peer.expiries == 0
    ticks(sweeper, time, 1)
    assert peer.expiries == 1


def test_removed_in_any_order(time: HandClock) -> None:
    """A connection that was removed, twice even, hears nothing; the others of its second do."""
    sweeper = Sweeper(time.clock, 1)
    peers = [Peer(sweeper, START_MS + 1500) for _ in range(4)]
    for index in (2, 0, 2):
        peers[index].leave()
    ticks(sweeper, time, 3)
    assert [peer.expiries for peer in peers] == [0, 1, 0, 1]
    assert [peer.pings for peer in peers] == [0, 2, 0, 2]


def test_removed_by_another_of_its_second(time: HandClock) -> None:
    """One expiry that takes another connection along does not end that one twice."""
    sweeper = Sweeper(time.clock, 30)
    first, second = Peer(sweeper, START_MS + 500), Peer(sweeper, START_MS + 500)
    calls: list[Peer] = []

    class Entangled(Peer):
        def expire(self) -> None:
            calls.append(self)
            for peer in (first, second, self):
                peer.leave()

    Entangled(sweeper, START_MS + 500)
    ticks(sweeper, time, 3)
    assert len(calls) == 1
    assert max(first.expiries, second.expiries) <= 1


def test_nothing_is_kept_of_who_is_gone(time: HandClock) -> None:
    """Neither who left nor who expired leaves a second behind; the others' seconds stay."""
    sweeper = Sweeper(time.clock, 30)
    peers = [Peer(sweeper, START_MS + 1000 * number) for number in (1, 2, 2, 9)]
    assert len(sweeper._expiries) == 3
    peers[0].leave()
    assert len(sweeper._expiries) == 2
    peers[1].leave()
    assert len(sweeper._expiries) == 2
    ticks(sweeper, time, 3)
    assert [peer.expiries for peer in peers] == [0, 0, 1, 0]
    assert len(sweeper._expiries) == 1
    ticks(sweeper, time, 10)
    assert sweeper._expiries == {}
    assert not any(sweeper._slots)


def test_who_expires_without_leaving(time: HandClock) -> None:
    """A second whose connections do not answer their expiry is forgotten all the same."""
    sweeper = Sweeper(time.clock, 1)

    class Stubborn(Peer):
        def expire(self) -> None:
            self.expiries += 1

    peers = [Stubborn(sweeper, START_MS + 1500) for _ in range(3)]
    ticks(sweeper, time, 5)
    assert [peer.expiries for peer in peers] == [1, 1, 1]
    assert sweeper._expiries == {}


def test_expiry_is_to_the_millisecond(time: HandClock) -> None:
    """At the millisecond of its end a session is over, one millisecond earlier it is not."""
    sweeper = Sweeper(time.clock, 1)
    peers = [Peer(sweeper, START_MS + milliseconds) for milliseconds in (999, 1000, 1001)]
    time.advance(1)
    sweeper.tick()
    assert [peer.expiries for peer in peers] == [1, 1, 0]
