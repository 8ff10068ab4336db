from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.network import visitors as visitors_module
from greenroom.network.addresses import Networks, packed, site
from greenroom.network.forwarded import Origin, TrustedProxies
from greenroom.network.visitors import Excess, Refused, Visit, VisitorLimits, Visitors

HOME, OTHER, HERE, PROXY = map(packed, ("192.0.2.1", "192.0.2.2", "127.0.0.1", "10.0.0.1"))
PROXIES = TrustedProxies(Networks(["10.0.0.0/8"]))


class Node:
    """Visitors with limits, and what was counted."""

    def __init__(self, **limits: int) -> None:
        self.met: list[Excess] = []
        self.visitors = Visitors(
            VisitorLimits(**limits), PROXIES, lambda excess, _: self.met.append(excess)
        )

    def enter(self, address: bytes = HOME, now: float = 0.0) -> Visit:
        """Come in."""
        return self.visitors.enter(address, now)

    def refused(self, address: bytes = HOME, now: float = 0.0) -> Excess:
        """Be refused; return why, which must have been counted."""
        with pytest.raises(Refused) as refused:
            self.enter(address, now)
        assert self.met[-1] is refused.value.excess
        return refused.value.excess


def test_without_limits_everybody_comes_in() -> None:
    """A limit of 0 is none."""
    node = Node()
    for _ in range(1000):
        node.enter()
        assert node.visitors.delay(0.0) == 0
    assert node.visitors.total == node.visitors.unfinished == 1000
    assert not node.met


def test_connections_of_an_address() -> None:
    """The one too many is refused until another leaves; other addresses are not touched."""
    node = Node(connections_per_address=2)
    first, _second = node.enter(), node.enter()
    assert node.refused() is Excess.ADDRESS
    node.enter(OTHER)
    node.visitors.finish(first)
    assert node.refused() is Excess.ADDRESS
    node.visitors.leave(first)
    node.enter()


def test_a_network_of_ipv6_is_one_address() -> None:
    """A client cannot get more by walking through its /64."""
    node = Node(connections_per_address=2)
    for number in (1, 2):
        node.enter(packed(f"2001:db8::{number}"))
    assert node.refused(packed("2001:db8::3")) is Excess.ADDRESS
    node.enter(packed("2001:db8:0:1::3"))


@pytest.mark.parametrize("address", [HERE, packed("::1"), PROXY, b""])
def test_where_many_are_behind_one_address(address: bytes) -> None:
    """The loopback address and trusted proxies have no limits of their own."""
    node = Node(connections_per_address=1, unfinished_per_address=1, a_second_per_address=1)
    for _ in range(10):
        node.enter(address)
    assert not node.met


def test_new_connections_of_an_address() -> None:
    """Each second has its own number, also for those who are gone again."""
    node = Node(a_second_per_address=3)
    for second in (7.0, 8.0):
        for part in (0.0, 0.5, 0.9):
            node.visitors.leave(node.enter(now=second + part))
        assert node.refused(now=second + 0.95) is Excess.ADDRESS_RATE
        node.enter(OTHER, second + 0.95)


def test_unfinished_of_an_address() -> None:
    """Who finishes makes place for the next from there, and stays."""
    node = Node(unfinished_per_address=2)
    first, _second = node.enter(), node.enter()
    assert node.refused() is Excess.ADDRESS_UNFINISHED
    node.visitors.finish(first)
    node.visitors.finish(first)
    node.enter()
    assert node.refused() is Excess.ADDRESS_UNFINISHED
    assert node.visitors.total == 3


def test_the_oldest_unfinished_makes_place() -> None:
    """Beyond the bound the one who dawdles longest is let go, never the one who comes."""
    node = Node(unfinished=2)
    gone: list[int] = []
    visits = []
    for number in range(4):
        visit = node.enter()
        visit.let_go = lambda number=number: gone.append(number)
        visits.append(visit)
        if number == 0:
            node.visitors.finish(visit)
    assert gone == [1]
    assert node.met == [Excess.UNFINISHED]
    assert node.visitors.unfinished == 2
    for visit in visits:
        node.visitors.leave(visit)
    assert (node.visitors.total, node.visitors.unfinished) == (0, 0)


def test_the_node_has_an_end() -> None:
    """Sockets are bounded by the WebSockets that may be, and those that may become one."""
    node = Node(connections=3, unfinished=1)
    for _ in range(4):
        node.visitors.finish(node.enter(HERE))
    assert node.refused(HERE) is Excess.NODE


def test_more_addresses_than_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that come in one second so many are counted, the first; the others are not."""
    monkeypatch.setattr(visitors_module, "RECENT_ADDRESSES", 2)
    node = Node(a_second_per_address=1)
    third = packed("192.0.2.3")
    for address in (HOME, OTHER, third, third):
        node.enter(address)
    for address in (HOME, OTHER):
        assert node.refused(address) is Excess.ADDRESS_RATE
    assert len(node.visitors._recent) == 2


def test_those_of_one_place_share_the_bytes_of_its_address() -> None:
    """Fifty thousand connections from one place keep its address once."""
    node = Node()
    first, second = (node.enter(bytes(bytearray(HOME))) for _ in range(2))
    assert first.address is second.address


def test_who_has_finished_keeps_nothing() -> None:
    """What would let a connection go is forgotten once it may stay, and with it the connection."""
    node = Node()
    visit = node.enter()
    assert (visit.unfinished, visit.is_held) == (True, False)
    visit.let_go = lambda: None
    node.visitors.finish(visit)
    assert not visit.unfinished
    assert visit.let_go is None


@pytest.mark.parametrize(("relayed", "client"), [(False, HOME), (True, PROXY)])
def test_where_a_request_came_from(relayed: bool, client: bytes) -> None:
    """A trusted proxy is asked, unless it passes on what somebody sends of whom it told nothing."""
    node = Node()
    visit = node.enter(PROXY)
    assert not visit.is_relayed
    visit.is_relayed = relayed
    headers = [(b"x-forwarded-for", b"192.0.2.1")]
    assert node.visitors.origin(visit, headers) == Origin(client)


def test_a_turn_that_is_now_is_no_wait() -> None:
    """Who need not wait is not counted; who waits as long as the patience is not refused."""
    node = Node(a_second=1)
    assert node.visitors.delay(100.0, 1.0) == 0
    assert not node.met
    assert node.visitors.delay(100.0, 1.0) == 1
    with pytest.raises(Refused):
        node.visitors.delay(100.0, 1.0)


def test_new_connections_of_the_node_wait() -> None:
    """A second's worth comes at once; what is more waits its turn, and nobody is refused."""
    node = Node(a_second=10)
    assert [node.visitors.delay(100.0) for _ in range(10)] == [0.0] * 10
    waits = [node.visitors.delay(100.0) for _ in range(3)]
    assert waits == pytest.approx([0.1, 0.2, 0.3])
    assert node.met == [Excess.RATE] * 3
    assert node.visitors.delay(102.0) == 0


def test_a_flood_leaves_no_queue_behind() -> None:
    """Turns beyond the patience are refused and not kept: after the flood nobody waits for them."""
    node = Node(a_second=10)
    for _ in range(10):
        assert node.visitors.delay(100.0, 2.0) == 0
    for _ in range(20):
        assert 0 < node.visitors.delay(100.0, 2.0) <= 2.001
    for _ in range(10_000):
        with pytest.raises(Refused):
            node.visitors.delay(100.0, 1.99)
    assert node.met.count(Excess.RATE) == 10_020
    assert node.visitors.delay(103.0, 2.0) == 0


def test_who_dawdles_behind_a_proxy_makes_place_too() -> None:
    """What lets a connection go is still known when it counts as the client's."""
    node = Node(unfinished=1)
    visit, gone = node.enter(PROXY), []
    visit.let_go = lambda: gone.append(True)
    node.visitors.enter_behind_proxy(visit, HOME, 0.0)
    node.enter(OTHER)
    assert gone == [True]


def test_behind_a_proxy() -> None:
    """A connection counts as its client's once that is known, and is refused as the client's."""
    node = Node(connections_per_address=1)
    visits = [node.enter(PROXY) for _ in range(3)]
    node.visitors.enter_behind_proxy(visits[0], HOME, 0.0)
    with pytest.raises(Refused):
        node.visitors.enter_behind_proxy(visits[1], HOME, 0.0)
    node.visitors.enter_behind_proxy(visits[2], OTHER, 0.0)
    assert node.visitors.total == 3
    assert [visit.address for visit in visits] == [HOME, PROXY, OTHER]
    for visit in visits:
        node.visitors.leave(visit)
    assert node.visitors.total == 0
    node.enter(HOME)


@given(
    st.lists(
        st.tuples(st.sampled_from(["enter", "finish", "leave", "move"]), st.integers(0, 7)),
        max_size=60,
    )
)
def test_counts_are_exact(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order, the tables hold exactly who is there."""
    addresses = [HOME, OTHER, packed("2001:db8::1"), packed("2001:db8::2")]
    node = Node(connections_per_address=3, unfinished_per_address=2, unfinished=4, connections=6)
    here: list[Visit] = []
    for step, number in steps:
        address = addresses[number % len(addresses)]
        visit = here[number % len(here)] if here else None
        try:
            if step == "enter":
                here.append(node.enter(address))
            elif visit is not None and step == "finish":
                node.visitors.finish(visit)
            elif visit is not None and step == "move":
                node.visitors.enter_behind_proxy(visit, address, 0.0)
            elif visit is not None:
                here.remove(visit)
                node.visitors.leave(visit)
        except Refused:
            pass
        present = Counter(site(each.address) for each in here)
        waiting = Counter(site(each.address) for each in here if each.unfinished)
        assert dict(node.visitors._present) == dict(present)
        assert dict(node.visitors._unfinished_of) == dict(waiting)
        assert (node.visitors.total, node.visitors.unfinished) == (len(here), waiting.total())
