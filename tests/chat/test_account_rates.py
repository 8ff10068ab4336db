"""What accounts do over several nodes: how far a rate is passed at once, and that it holds then."""

import math
from collections.abc import Callable

import msgspec
import pytest

from greenroom.bus.base import About
from greenroom.chat.account_rates import MOST, TELL_SECONDS, AccountRates, Summary, Taken
from greenroom.chat.rates import Rates
from greenroom.control.throttle import BODY_BYTES, Throttle
from greenroom.model.errors import ServiceError
from greenroom.model.quotas import Quotas
from greenroom.protocol.actions import DeleteMessage
from greenroom.rate import DEBT_SECONDS
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.values import room_arn

RATE = 10
QUOTAS = Quotas(overrides={DeleteMessage.quota: RATE, "requests_per_second.GetRoom": RATE})


class Wire:
    """Carries what is announced to every node, its sender too."""

    def __init__(self) -> None:
        self.receivers: list[Callable[[bytes], None]] = []
        self.carried: list[bytes] = []
        self.cut = False

    def announce(self, payload: bytes, about: About = About.PRESENCE) -> None:
        assert about is About.RATES
        self.carried.append(payload)
        for receiver in () if self.cut else self.receivers:
            receiver(payload)

    def on_announcement(
        self, receiver: Callable[[bytes], None], about: About = About.PRESENCE
    ) -> None:
        assert about is About.RATES
        self.receivers.append(receiver)


class Node:
    """A node's rates: of what is done in rooms, and of requests."""

    def __init__(self, wire: Wire, name: str, time: HandClock) -> None:
        self.shared = AccountRates(wire, name, time.clock)
        self.rates, self.throttle = Rates(QUOTAS, time.clock), Throttle(QUOTAS, time.clock)
        self.rates.share(self.shared)
        self.throttle.share(self.shared)

    def acts(self, times: int) -> int:
        """Return how many of so many deletions are let through."""
        return _done(times, lambda: self.rates.take(DeleteMessage.quota, room_arn()))

    def asks(self, times: int, size: int = 0) -> int:
        """Return how many of so many requests are let through."""
        return _done(times, lambda: self.throttle.take("GetRoom", "1" * 12, "eu-west-1", size))


def _done(times: int, does: Callable[[], None]) -> int:
    done = 0
    for _ in range(times):
        try:
            does()
        except ServiceError:
            continue
        done += 1
    return done


class Cluster:
    """Some nodes, and the time that passes for them."""

    def __init__(self, number: int) -> None:
        self.wire, self.time = Wire(), HandClock()
        self.nodes = [Node(self.wire, f"{each}", self.time) for each in range(number)]

    def pass_by(self, seconds: float = TELL_SECONDS) -> None:
        """Let time pass, and all nodes tell each other what was done."""
        self.time.advance(seconds)
        for node in self.nodes:
            node.shared.tick()


@pytest.mark.parametrize("kind", ["acts", "asks"])
def test_what_is_done_here_counts_there(kind: str) -> None:
    """A tenth of a second later the rate is used up on every node."""
    cluster = Cluster(2)
    first, second = (getattr(node, kind) for node in cluster.nodes)
    assert first(100) == RATE
    cluster.pass_by()
    assert second(100) == 0
    cluster.pass_by(0.5)
    assert [first(2), second(2)] == [2, 2]
    cluster.pass_by(0)
    # As the first node knows, there was a tenth of a second more to refill.
    assert [first(100), second(100)] == [2, 1]


@pytest.mark.parametrize("number", [2, 3, 8])
def test_everybody_at_once(number: int) -> None:
    """As many bursts as nodes at once, at most; then nothing until the rate allows as much."""
    cluster = Cluster(number)
    assert [node.acts(100) for node in cluster.nodes] == [RATE] * number
    done, steps = 0, round((number - 1) / TELL_SECONDS)
    for _ in range(steps - 1):
        cluster.pass_by()
        done += sum(node.acts(100) for node in cluster.nodes)
    assert done == 0
    cluster.pass_by(2 * TELL_SECONDS)
    assert sum(node.acts(100) for node in cluster.nodes) > 0


@pytest.mark.parametrize("number", [1, 2, 5])
def test_in_the_long_run_it_is_exact(number: int) -> None:
    """What all nodes do in a minute is what one may do, and a burst for each."""
    cluster, done, seconds = Cluster(number), 0, 60
    for _ in range(round(seconds / TELL_SECONDS)):
        done += sum(node.asks(30) for node in cluster.nodes)
        cluster.pass_by()
    assert RATE * (seconds - 1) <= done <= RATE * (seconds + number)


def test_the_debt_is_bounded() -> None:
    """Of any number of nodes that did it at once, an account waits for no longer than that."""
    cluster = Cluster(40)
    assert sum(node.acts(RATE) for node in cluster.nodes) == 40 * RATE
    cluster.pass_by()
    cluster.pass_by(DEBT_SECONDS + 0.1)
    assert cluster.nodes[0].acts(1) == 1


def test_what_is_given_back_counts_nowhere() -> None:
    """A message that was refused after all is given back on every node, told before or not."""
    cluster = Cluster(2)
    first, second = cluster.nodes
    assert first.acts(RATE) == RATE
    bucket = first.rates._accounts.get((DeleteMessage.quota, room_arn().account, room_arn().region))
    assert bucket is not None
    bucket.give_back()
    cluster.pass_by(0)
    assert second.acts(RATE) == 1
    bucket.give_back()
    cluster.pass_by(0)
    # One was given back, and the one that the other node did was taken.
    assert second.acts(RATE) == 1
    cluster.pass_by(0)
    said = len(cluster.wire.carried)
    bucket.give_back()
    assert bucket.take(cluster.time.clock.monotonic())
    cluster.pass_by(0)
    assert len(cluster.wire.carried) == said


def test_a_large_body_counts_as_several() -> None:
    """On all nodes, and never as more than there is in a second."""
    cluster = Cluster(2)
    first, second = cluster.nodes
    assert first.asks(1, 4 * BODY_BYTES) == 1
    cluster.pass_by(0)
    assert second.asks(100) == RATE - 5
    cluster.pass_by(0)
    cluster.pass_by(60)
    assert first.asks(1, 100 * BODY_BYTES) == 1
    assert first.asks(1) == 0
    cluster.pass_by(0)
    cluster.pass_by(1)
    assert second.asks(100) == RATE


def test_nothing_is_told_of_nothing() -> None:
    """Refusals are not told either."""
    cluster = Cluster(2)
    cluster.pass_by()
    assert cluster.wire.carried == []
    assert cluster.nodes[0].acts(100) == RATE
    cluster.pass_by(0)
    assert cluster.nodes[0].acts(100) == 0
    cluster.pass_by(0)
    assert len(cluster.wire.carried) == 1


def test_many_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told in pieces; of full buckets the least recently used go, as always."""
    monkeypatch.setattr("greenroom.chat.account_rates.AT_ONCE", 3)
    cluster = Cluster(2)
    first, second = cluster.nodes
    for number in range(10):
        first.throttle.take("GetRoom", f"{number}", "eu-west-1")
    cluster.pass_by(0)
    assert len(cluster.wire.carried) == 4
    for number in range(10):
        bucket = second.throttle._buckets.get((f"{number}", "eu-west-1", "GetRoom"))
        assert bucket is not None
        assert not bucket.has(cluster.time.clock.monotonic(), RATE)
        assert bucket.has(cluster.time.clock.monotonic(), RATE - 1)


def test_nodes_that_do_not_hear_of_each_other() -> None:
    """Each keeps to the rate by itself, and owes nothing for it afterwards."""
    cluster = Cluster(2)
    cluster.wire.cut = True
    assert [node.acts(100) for node in cluster.nodes] == [RATE, RATE]
    cluster.pass_by(1)
    cluster.wire.cut = False
    cluster.pass_by(0)
    assert [node.acts(100) for node in cluster.nodes] == [RATE, RATE]


def taken(*, rate: float = 1.0, times: float = 5.0, kind: str = "actions") -> bytes:
    """Return what another node tells of the account."""
    key = (DeleteMessage.quota, room_arn().account, room_arn().region)
    return msgspec.msgpack.encode(Summary("other", [Taken(kind, key, rate, times)]))


@pytest.mark.parametrize(
    "payload",
    [
        taken(kind="of a later version"),
        *(taken(times=times) for times in (math.nan, math.inf, -math.inf, 2e6)),
        *(taken(rate=rate) for rate in (0, -1, math.nan, math.inf)),
    ],
)
def test_what_nobody_can_have_done(payload: bytes) -> None:
    """It counts for nothing."""
    cluster = Cluster(1)
    cluster.nodes[0].shared.receive(payload)
    assert cluster.nodes[0].acts(100) == RATE


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ({"rate": 1.0, "times": 1.0}, 0),
        ({"rate": 0.5, "times": 1.0}, 0),
        ({"rate": MOST, "times": MOST}, 0),
        ({"rate": MOST, "times": -MOST}, RATE),
    ],
)
def test_the_most_that_can_have_been_done(told: dict[str, float], left: int) -> None:
    """At the very bounds it counts, also what was given back."""
    (node,) = Cluster(1).nodes
    if told["times"] < 0:
        assert node.acts(RATE) == RATE
    node.shared.receive(taken(**told))  # type: ignore[arg-type] # these are its floats
    assert node.acts(100) == left


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x92\xa1n\xa1x", b"\x91" * 5000])
def test_what_is_no_summary(payload: bytes) -> None:
    """It is counted, and does no harm."""
    (node,) = Cluster(1).nodes
    node.shared.receive(payload)
    assert node.shared.unreadable == 1
    assert node.acts(100) == RATE


def test_a_rate_that_differs() -> None:
    """Each node has its own: what is taken off is what was done."""
    cluster = Cluster(1)
    (node,) = cluster.nodes
    node.shared.receive(taken(rate=3))
    assert node.acts(1) == 0
    cluster.time.advance(1)
    assert node.acts(100) == 8
