"""What holds of addresses, by itself: of whom, in which rooms, and what is remembered of whom."""

from typing import Any

import pytest

from greenroom.chat.address_hashes import AddressHashes
from greenroom.chat.addressed import Addressed
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability
from greenroom.model.restriction import Kind, Restriction
from greenroom.network import addresses
from tests.stand_ins.hand_clock import START_MS
from tests.stand_ins.stage import claims_of
from tests.stand_ins.values import ACCOUNT, room_arn

HOME, AWAY = addresses.packed("192.0.2.1"), addresses.packed("198.51.100.2")
ROOM, OTHER = str(room_arn()), str(room_arn())
HASHES = AddressHashes(bytes(16))
HERE = HASHES.of(ACCOUNT, HOME)


def entry(kind: Kind = Kind.BAN, ends: int = START_MS + 10, **members: Any) -> Restriction:
    """Return what holds of bob and of where he came from."""
    given = {"scope": ROOM, "user_id": "bob", "by": "root", "at": START_MS, **members}
    return Restriction(account=ACCOUNT, kind=kind, addresses={HERE: ends}, **given)


def found(
    made: Addressed, room: str = ROOM, address: bytes = HOME, now: int = START_MS
) -> set[Kind]:
    """Return what holds of an address."""
    return set(made.of_address(room, ACCOUNT, address, now))


def test_it_holds_in_its_scope_until_its_end() -> None:
    """Of that address, in that room or in all of the account; then no more."""
    made = Addressed(HASHES)
    assert found(made) == set()
    in_room, anywhere = entry(), entry(Kind.MUTE, scope=ACCOUNT)
    made.replace(None, in_room)
    made.replace(None, anywhere)
    assert found(made) == {Kind.BAN, Kind.MUTE}
    assert found(made, OTHER) == {Kind.MUTE}
    assert found(made, address=AWAY) == set()
    assert found(made, now=START_MS + 9) == {Kind.BAN, Kind.MUTE}
    assert found(made, now=START_MS + 10) == set()
    made.replace(in_room, None)
    assert (found(made), len(made)) == ({Kind.MUTE}, 1)
    made.replace(anywhere, None)
    assert (found(made), len(made)) == (set(), 0)


def test_of_two_users_the_one_that_holds_longer() -> None:
    """In whichever order they were restricted; each is taken away by itself."""
    first, second = entry(ends=START_MS + 10), entry(ends=START_MS + 20, user_id="eve")
    for some in ((first, second), (second, first)):
        made = Addressed(HASHES)
        for each in some:
            made.replace(None, each)
        held = made.of_address(ROOM, ACCOUNT, HOME, START_MS)
        assert held[Kind.BAN].expires == START_MS + 20
        made.replace(second, None)
        held = made.of_address(ROOM, ACCOUNT, HOME, START_MS)
        assert held[Kind.BAN].expires == START_MS + 10


@pytest.mark.parametrize(
    ("more", "met"), [((), True), ((Capability.MODERATE,), False), ((Capability.BYPASS,), False)]
)
def test_who_is_met(more: tuple[Capability, ...], *, met: bool) -> None:
    """Whoever comes from there; not who may moderate, nor a bot. Who has left is forgotten."""
    made = Addressed(HASHES)
    claims = claims_of(room_arn=ROOM, capabilities=(*IVS_CAPABILITIES, *more))

    def of_connection() -> set[Kind]:
        return set(made.of_connection(ROOM, ACCOUNT, claims.token_id, START_MS))

    made.enter(ACCOUNT, claims, HOME)
    made.replace(None, entry())
    assert of_connection() == set(), "he came before: he is looked at as it becomes known"
    assert made.is_met_by(entry(), claims, HOME) is met
    assert not made.is_met_by(entry(), claims, AWAY)
    made.enter(ACCOUNT, claims, AWAY)
    assert of_connection() == set()
    made.enter(ACCOUNT, claims, HOME)
    assert of_connection() == ({Kind.BAN} if met else set())
    made.leave(claims)
    assert of_connection() == set()
    assert not made._connections
