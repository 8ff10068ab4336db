"""Restrictions that hold of addresses as well: whom they meet, for how long, and whom never.

Covers: greenroom.chat.addressed, greenroom.chat.address_hashes, greenroom.messaging.edge_services
"""

from typing import Any

import pytest

from greenroom.chat.address_hashes import AddressHashes
from greenroom.chat.moderation import Asked
from greenroom.chat.restrictions import Restrictions
from greenroom.messaging import by_address
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability
from greenroom.model.restriction import ADDRESSES_MS, MOST_ADDRESSES, Kind, Restriction
from greenroom.network import addresses
from greenroom.network.addresses import Networks
from greenroom.network.forwarded import TrustedProxies
from greenroom.network.visitors import Visitors
from tests.messaging.test_own_actions import do, took
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import ROOM, Stage, settle, stage, token

SEND = {"Action": "SEND_MESSAGE", "Content": "hi"}
HOME, AWAY = addresses.packed("192.0.2.1"), addresses.packed("198.51.100.2")
HOUSE = addresses.packed("2001:db8:1:2::3")
SAME_HOUSE = addresses.packed("2001:db8:1:2:ffff::9")
NEXT_HOUSE = addresses.packed("2001:db8:1:3::3")
ROOM_2 = "arn:aws:ivschat:us-east-1:123456789012:room/Room00000002"


async def came(made: Stage, user: str, peer: bytes, *more: Capability) -> Any:
    """Return the connection of somebody who comes from an address, or the status he is told."""
    now = made.time.clock.now_ms()
    text = token(
        user_id=user,
        capabilities=(*IVS_CAPABILITIES, *more),
        token_expires=now + 60_000,
        session_expires=now + 10**9,
    )
    _, transport = made.begin(text, peer=peer)
    await settle()
    (answer,) = transport.take()[:1]
    status = int(answer.split()[1])
    return (transport.protocol, transport) if status == 101 else status


async def said_by(someone: Any) -> list[dict[str, Any]]:
    """Have somebody write; return what he sees."""
    edge, transport = someone
    return await do(edge, transport, SEND)


async def restricted(made: Stage, kind: Kind = Kind.BAN, **members: Any) -> Restriction:
    """Restrict bob in the room, and his addresses, as the API does."""
    given = {"room": ROOM, "user_id": "bob", "by": "root", "also_addresses": True, **members}
    entry = await made.moderation.restrict(Asked(account=ROOM.account, kind=kind, **given))
    await settle()
    return entry


async def lifted(made: Stage, kind: Kind = Kind.BAN) -> None:
    """Lift it."""
    await made.moderation.lift(
        Asked(account=ROOM.account, room=ROOM, user_id="bob", kind=kind, by="root")
    )
    await settle()


async def test_who_comes_from_there_is_out() -> None:
    """Whoever he is, while he is there and when he comes; others, and moderators, stay."""
    async with stage() as made:
        bob = await came(made, "bob", HOME)
        alias = await came(made, "alias", HOME)
        eve = await came(made, "eve", AWAY)
        mod = await came(made, "mod", HOME, Capability.MODERATE)
        bot = await came(made, "bot", HOME, Capability.BYPASS)
        await restricted(made, reason="spam")
        assert [each[0].is_open for each in (bob, alias, eve, mod, bot)] == [
            *(False, False, True, True, True)
        ]
        assert alias[1].take()[-1].endswith(b"Banned by a moderator")
        assert await came(made, "other", HOME) == 403
        assert await came(made, "mod-2", HOME, Capability.MODERATE) != 403
        assert await came(made, "other", AWAY) != 403
        assert await came(made, "bob", AWAY) == 403
        await lifted(made)
        assert await came(made, "other", HOME) != 403


async def test_a_client_has_a_whole_network_of_ipv6() -> None:
    """Its /64 is one address, the next one is somebody else's."""
    async with stage() as made:
        await came(made, "bob", HOUSE)
        await restricted(made)
        assert await came(made, "other", SAME_HOUSE) == 403
        assert await came(made, "other", NEXT_HOUSE) != 403


async def test_what_is_many_clients_address_is_never_banned() -> None:
    """A trusted proxy that did not tell whom it speaks for, this machine, and no address at all."""
    async with stage() as made:
        made.visitors = Visitors(proxies=TrustedProxies(Networks(["192.0.2.0/24"])))
        for peer in (HOME, addresses.packed("127.0.0.1"), addresses.packed("::1"), b""):
            bob = await came(made, "bob", peer)
            entry = await restricted(made)
            assert (bob[0].is_open, entry.addresses) == (False, {})
            assert await came(made, "other", peer) != 403
            await lifted(made)


async def test_it_is_over_after_a_day_or_with_the_restriction() -> None:
    """At the very millisecond; the user himself stays out."""
    async with stage() as made:
        await came(made, "bob", HOME)
        entry = await restricted(made)
        now = made.time.clock.now_ms()
        assert list(entry.addresses.values()) == [now + ADDRESSES_MS]
        made.time.advance(ADDRESSES_MS / 1000 - 0.001)
        assert made.restrictions.ban(ROOM, "other", HOME) is not None
        made.time.advance(0.001)
        assert made.restrictions.ban(ROOM, "other", HOME) is None
        assert made.restrictions.ban(ROOM, "bob") is not None
        assert len(made.restrictions.addressed) == 1
        made.restrictions.tick()
        await settle()
        assert len(made.restrictions.addressed) == 0
        await came(made, "eve", AWAY)
        short = await restricted(made, user_id="eve", seconds=60)
        assert list(short.addresses.values()) == [short.expires]
        made.time.advance(60)
        assert made.restrictions.ban(ROOM, "other", AWAY) is None


async def test_who_asks_again_takes_nothing_back() -> None:
    """An SDK that got no answer asks again, when the user is gone; without addresses none hold."""
    async with stage() as made:
        await came(made, "bob", HOME)
        first = await restricted(made)
        made.time.advance(60)
        again = await restricted(made)
        assert again.addresses == first.addresses != {}
        assert await came(made, "other", HOME) == 403
        await restricted(made, also_addresses=False)
        assert await came(made, "other", HOME) != 403
        late = await restricted(made)
        assert late.addresses == {}


async def test_a_moderator_in_the_room_frees_no_address() -> None:
    """What the API restricted is held on to its own end, whatever he replaces and lifts."""
    async with stage() as made:
        await came(made, "bob", HOME)
        mod = await came(made, "mod", AWAY, Capability.MODERATE)
        first = await restricted(made, seconds=7_200)
        ban = {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "BAN"}
        for frame in (ban, {**ban, "DurationSeconds": 600}):
            await do(mod[0], mod[1], frame)
            (held,) = made.restrictions.held(str(ROOM), ROOM.account, "bob").values()
            assert held.addresses == dict.fromkeys(first.addresses, first.expires) != {}
            assert await came(made, "other", HOME) == 403
        made.time.advance(600)
        assert await came(made, "bob", AWAY) != 403
        assert await came(made, "other", HOME) == 403
        made.time.advance(6_600)
        assert await came(made, "other", HOME) != 403


@pytest.mark.parametrize("typed", [True, False])
async def test_a_moderator_in_the_room_lifts_what_holds_of_the_user_alone(typed: bool) -> None:
    """He comes in from elsewhere; from there nobody does, nor after a restart. The API frees it."""
    async with stage() as made:
        await came(made, "bob", HOME)
        mod = await came(made, "mod", AWAY, Capability.MODERATE)
        first = await restricted(made)
        lift = {"Action": "greenroom:LIFT", "UserId": "bob", "Kind": "BAN", "RequestId": "7"}
        frame = {**SEND, "Content": "/unban bob", "RequestId": "7"} if typed else lift
        answers = [each for each in await do(mod[0], mod[1], frame) if each["RequestId"] == "7"]
        assert '"Addresses":1' in answers[-1]["Attributes"]["Result"]
        if typed:
            assert answers[-1]["Content"] == (
                "bob: no BAN, but addresses of his that the API restricted: 1"
            )
        assert made.restrictions.held(str(ROOM), ROOM.account, "bob") == {}
        assert await came(made, "bob", AWAY) != 403
        assert await came(made, "bob", HOME) == await came(made, "other", HOME) == 403
        after = Restrictions(
            made.store.restrictions,
            made.bus,
            made.time.clock,
            LooseTasks(),
            hashes=made.restrictions.addressed.hashes,
        )
        await after.start()
        for each in (made.restrictions, after):
            each.tick()
            await settle()
            assert each.ban(ROOM, "other", HOME) is not None
            assert each.ban(ROOM, "bob") is None
        # Nor does it help to restrict him anew, and to lift that.
        ban = {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "BAN"}
        for frame in (ban, lift):
            await do(mod[0], mod[1], frame)
            assert await came(made, "other", HOME) == 403
        made.time.advance(ADDRESSES_MS / 1000 - 0.001)
        assert made.restrictions.ban(ROOM, "other", HOME) is not None
        made.time.advance(0.001)
        assert made.restrictions.ban(ROOM, "other", HOME) is None
        assert first.addresses
        made.restrictions.tick()
        await settle()
        assert len(made.restrictions.addressed) == len(made.restrictions) == 0


async def test_the_api_frees_what_a_moderator_could_not() -> None:
    """By lifting it once more; then there is nothing that the answer tells."""
    async with stage() as made:
        await came(made, "bob", HOME)
        mod = await came(made, "mod", AWAY, Capability.MODERATE)
        await restricted(made)
        lift = {"Action": "greenroom:LIFT", "UserId": "bob", "Kind": "BAN", "RequestId": "7"}
        await do(mod[0], mod[1], lift)
        await lifted(made)
        assert await came(made, "other", HOME) != 403
        answers = [each for each in await do(mod[0], mod[1], lift) if each["RequestId"] == "7"]
        assert "Addresses" not in answers[-1]["Attributes"]["Result"]


async def test_who_shares_an_address_is_free_when_all_are() -> None:
    """Of two users who were banned there, one is pardoned."""
    async with stage() as made:
        for user in ("bob", "rob"):
            await came(made, user, HOME)
        there = await came(made, "there", HOME)
        await restricted(made, Kind.MUTE, user_id="rob", seconds=3600)
        await restricted(made, Kind.MUTE)
        assert len(made.restrictions.addressed) == 1
        await lifted(made, Kind.MUTE)
        assert [each["Type"] for each in await said_by(there)] == ["ERROR"]
        made.time.advance(3600)
        assert [each["Type"] for each in await said_by(there)] == ["MESSAGE"]


@pytest.mark.parametrize(
    ("kind", "code"), [(Kind.MUTE, 403), (Kind.HOLD, 406), (Kind.SHADOW, 0), (Kind.MONITOR, 0)]
)
async def test_the_other_kinds(kind: Kind, code: int) -> None:
    """They meet who is there and who comes from there, but for moderators, until they are over."""
    async with stage() as made:
        bob = await came(made, "bob", HOME)
        there = await came(made, "there", HOME)
        mod = await came(made, "mod", HOME, Capability.MODERATE)
        eve = await came(made, "eve", AWAY)
        entry = await restricted(made, kind, seconds=60)
        assert entry.addresses
        later = await came(made, "later", HOME)
        for someone in (there, later):
            took(eve[1])
            (told,) = await said_by(someone)
            assert told.get("ErrorCode", 0) == code
            seen = [each for each in took(eve[1]) if each["Type"] == "MESSAGE"]
            assert len(seen) == (kind is Kind.MONITOR)
        if kind is Kind.MUTE:
            (error,) = await said_by(there)
            assert error["ErrorMessage"] == "You may not write until 2023-11-14T22:14:20Z"
        took(eve[1])
        await said_by(mod)
        assert [each["Type"] for each in took(eve[1])] == ["MESSAGE"]
        assert [each["Type"] for each in await said_by(eve)] == ["MESSAGE"]
        made.time.advance(60)
        for someone in (there, later):
            assert [each["Type"] for each in await said_by(someone)] == ["MESSAGE"]
        addressed = made.restrictions.addressed
        assert len(addressed._connections) == 3
        for edge, _ in (bob, there, later):
            edge.connection_lost(None)
        assert addressed._connections == {}


async def test_in_the_whole_account() -> None:
    """In all of its rooms, by the addresses that the user has in any of them."""
    async with stage() as made:
        await came(made, "bob", HOME)
        entry = await restricted(made, room=None)
        assert entry.is_of_account
        assert entry.addresses
        assert await came(made, "other", HOME) == 403
        held = made.restrictions.addressed.of_address(ROOM_2, ROOM.account, HOME, 0)
        assert set(held) == {Kind.BAN}
        assert not made.restrictions.addressed.of_address(ROOM_2, "210987654321", HOME, 0)


async def test_what_holds_longest_of_an_address_counts() -> None:
    """Of two users there who are muted in the account; what is of the room goes before that."""
    async with stage() as made:
        for user in ("bob", "rob"):
            await came(made, user, HOME)
        there = await came(made, "there", HOME)
        await restricted(made, Kind.MUTE, seconds=600, room=None)
        await restricted(made, Kind.MUTE, seconds=60, room=None, user_id="rob")
        (error,) = await said_by(there)
        assert error["ErrorMessage"] == "You may not write until 2023-11-14T22:23:20Z"
        await restricted(made, Kind.MUTE, seconds=120)
        (error,) = await said_by(there)
        assert error["ErrorMessage"] == "You may not write until 2023-11-14T22:15:20Z"


async def test_there_are_at_most_so_many() -> None:
    """Of those that were known before and those of now the latest stay."""
    async with stage() as made:
        await came(made, "bob", HOME)
        first = await restricted(made)
        made.time.advance(1)
        number = MOST_ADDRESSES

        async def many(_scope: str, _user_id: str) -> frozenset[str]:
            return frozenset(str(each) for each in range(number))

        made.moderation._addresses = many
        again = await restricted(made)
        assert len(again.addresses) == MOST_ADDRESSES
        assert not first.addresses.keys() & again.addresses.keys()


async def test_many_connections_are_looked_at_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has left before his turn is not remembered."""
    monkeypatch.setattr(by_address, "SLICE", 1)
    async with stage() as made:
        await came(made, "bob", HOME)
        there = [await came(made, f"there-{number}", HOME) for number in range(3)]
        made.restrictions.when_met(lambda _: there[2][0].connection_lost(None))
        await restricted(made, Kind.MUTE)
        assert len(made.restrictions.addressed._connections) == 3


async def test_it_outlasts_restarts() -> None:
    """By the key that is kept: with another one nobody is found."""
    async with stage() as made:
        await came(made, "bob", HOME)
        await restricted(made)
        for key, is_banned in ((b"", True), (b"another", False)):
            after = Restrictions(
                made.store.restrictions,
                made.bus,
                made.time.clock,
                LooseTasks(),
                hashes=AddressHashes(key),
            )
            await after.start()
            assert (after.ban(ROOM, "other", HOME) is not None) is is_banned
            assert after.ban(ROOM, "other") is None


def test_what_stands_for_an_address() -> None:
    """It is nobody's without the key, another one in another account, and short."""
    hashes = AddressHashes(b"key")
    found = hashes.of(ROOM.account, HOME)
    assert found == hashes.of(ROOM.account, bytes(HOME))
    assert len(found) == 24
    others = (
        hashes.of("210987654321", HOME),
        hashes.of(ROOM.account, AWAY),
        AddressHashes(b"another key").of(ROOM.account, HOME),
    )
    assert len({found, *others}) == 4
    assert hashes.of(ROOM.account, addresses.UNKNOWN) == ""
