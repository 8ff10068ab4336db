"""Who may become a connection: origins, addresses, and places in rooms and of users.

Covers: greenroom.messaging.admission, greenroom.messaging.upgrading
"""

import asyncio
from collections import Counter
from collections.abc import Iterable

import pytest

from greenroom.chat.presence import Alone
from greenroom.messaging.admission import Places
from greenroom.network.addresses import Networks, packed
from greenroom.network.forwarded import TrustedProxies
from greenroom.network.origins import AllowedOrigins
from greenroom.network.visitors import VisitorLimits, Visitors
from greenroom.protocol.handshake import Refusal
from tests.stand_ins.stage import Stage, Transport, settle, stage, token

PROXY = packed("10.0.0.1")
PROXIES = TrustedProxies(Networks(["10.0.0.0/8"]))


def begin(made: Stage, peer: bytes, *headers: tuple[bytes, bytes]) -> Transport:
    """Start a connection from an address."""
    return made.begin(token(), peer=peer, more=headers)[1]


def statuses(transports: Iterable[Transport]) -> list[bytes]:
    """Return how the connections were answered."""
    return [transport.take()[0].split()[1] for transport in transports]


async def test_the_address_of_a_connection() -> None:
    """It is the peer's, or the one that a trusted proxy names; without either it is empty."""
    async with stage() as made:
        made.visitors = Visitors(proxies=PROXIES)
        said = (b"x-forwarded-for", b"203.0.113.1, ::ffff:192.0.2.1")
        peers = (packed("2001:db8::1"), PROXY, packed("192.0.2.9"), b"")
        transports = [begin(made, peer, said) for peer in peers]
        await settle()
        edges = [each.protocol for each in transports]
        assert [edge.address() for edge in edges] == [
            "2001:db8::1",
            "192.0.2.1",
            "192.0.2.9",
            "",
        ]
        assert made.visitors.unfinished == 0
        for edge in edges:
            edge.connection_lost(None)
        assert made.visitors.total == 0


async def test_clients_of_a_proxy_have_limits_of_their_own() -> None:
    """The second connection of one client is refused; what it took is given back."""
    async with stage() as made:
        limits = VisitorLimits(connections_per_address=1)
        made.visitors = Visitors(limits, PROXIES)
        hops = [(b"x-forwarded-for", each) for each in (b"192.0.2.1", b"192.0.2.1", b"192.0.2.2")]
        transports = [begin(made, PROXY, hop) for hop in hops]
        await settle()
        assert statuses(transports) == [b"101", b"429", b"101"]
        for each in transports:
            each.protocol.connection_lost(None)
        assert (made.visitors.total, made.visitors.unfinished) == (0, 0)


async def test_a_page_of_another_origin_is_refused_before_its_token_is_read() -> None:
    """Whatever the token is, the answer is the same, and a good one stays good."""
    async with stage() as made:
        made.origins = AllowedOrigins(["https://example.com"])
        transport = begin(made, PROXY, (b"origin", b"https://evil.example.com"))
        assert made.store.asked == 0
        await settle()
        assert statuses([transport]) == [b"403"]
        transport = begin(made, PROXY, (b"origin", b"https://example.com:443"))
        await settle()
        assert statuses([transport]) == [b"101"]


@pytest.mark.parametrize(
    ("limit", "users", "answers", "refusal"),
    [
        ("connections", "abc", [b"101", b"101", b"503"], Refusal.NODE_FULL),
        ("connections_per_room", "abc", [b"101", b"101", b"429"], Refusal.ROOM_FULL),
        ("connections_per_user", "aaab", [b"101", b"101", b"101", b"429"], Refusal.USER_FULL),
    ],
)
async def test_places_hold_while_tokens_are_redeemed(
    limit: str, users: str, answers: list[bytes], refusal: Refusal
) -> None:
    """Of those who come at once no more get in than there are places; who leaves makes one."""
    tokens = [token(user_id=user) for user in users]
    async with stage(places=Places(**{limit: 2})) as made:
        made.store.gate.clear()
        pairs = [made.begin(each) for each in tokens]
        await settle()
        made.store.gate.set()
        await settle()
        found = statuses(transport for _, transport in pairs)
        assert sorted(found) == sorted(answers)
        assert not made.admission.admitting
        late = token(user_id=users[0])
        _, transport = made.begin(late)
        await settle()
        (answer,) = transport.take()
        assert answer.split()[1] == str(refusal.error().status).encode()
        assert refusal.error().message.encode() in answer
        pairs[0][1].protocol.connection_lost(None)
        _, transport = made.begin(late)
        await settle()
        assert statuses([transport]) == [b"101"]
        await asyncio.sleep(0)


class Others(Alone):
    """Other nodes have one connection in each room, of each user; notes who joins and leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.here: Counter[str] = Counter()

    def joined(
        self, room_arn: str, user_id: str, *, is_bot: bool = False, may_moderate: bool = False
    ) -> None:
        self.here[user_id] += 1

    def left(
        self, room_arn: str, user_id: str, *, is_bot: bool = False, may_moderate: bool = False
    ) -> None:
        self.here[user_id] -= 1

    def connections_elsewhere(self, room_arn: str) -> int:
        return 1

    def connections_of_elsewhere(self, account: str, region: str) -> int:
        return 1

    def connections_of_user_elsewhere(self, room_arn: str, user_id: str) -> int:
        return 1


@pytest.mark.parametrize(
    ("limit", "users", "answers"),
    [
        ("connections", "abc", [b"101", b"101", b"503"]),
        ("connections_per_account", "abc", [b"101", b"429", b"429"]),
        ("connections_per_room", "abc", [b"101", b"429", b"429"]),
        ("connections_per_user", "aab", [b"101", b"429", b"101"]),
    ],
)
async def test_places_that_others_took_are_taken(
    limit: str, users: str, answers: list[bytes]
) -> None:
    """Connections of other nodes count for the account, the room and the user, not for the node."""
    # The account's bound is a quota.
    quota = 2 if limit == "connections_per_account" else 0
    async with stage(places=Places(**{limit: 2}), connections=quota) as made:
        made.hub.elsewhere = others = Others()
        transports = []
        for user in users:
            _, transport = made.begin(token(user_id=user))
            await settle()
            transports.append(transport)
        assert statuses(transports) == answers
        admitted = [
            each for each, answer in zip(transports, answers, strict=True) if answer == b"101"
        ]
        assert others.here.total() == len(admitted)
        for each in admitted:
            each.protocol.connection_lost(None)
        assert others.here.total() == 0
        await asyncio.sleep(0)
