"""The roles that a user has by a word behind his token: which word counts, and for how long."""

from typing import Any

import pytest

from greenroom.chat.roles import Roles, issued
from greenroom.model.chat_token import TOKEN_VALIDITY_SECONDS, ChatTokenClaims
from greenroom.model.restriction import Kind, Restriction
from tests.stand_ins.hand_clock import START_MS
from tests.stand_ins.stage import claims_of

ROOM = claims_of().room_arn


def said(version: int = 1, *roles: str, user: str = "ann", **members: Any) -> Restriction:
    """Return what was said of a user."""
    given = {"account": "1" * 12, "by": "root", "at": START_MS, **members}
    return Restriction(
        scope=ROOM, user_id=user, kind=Kind.NOTE, version=version, roles=roles, **given
    )


def token(issued_at: int) -> ChatTokenClaims:
    """Return what a token says that was issued then."""
    expires = issued_at + TOKEN_VALIDITY_SECONDS * 1000
    return claims_of(token_expires=expires, own={"roles": "fan", "history": "5"})


def test_the_latest_word_is_taken() -> None:
    """One that comes once more, or late, is not new."""
    roles = Roles()
    assert not roles.is_latest(said(2))
    for version, new in ((2, True), (2, False), (1, False), (3, True)):
        assert roles.take(said(version, f"v{version}")) is new
        assert roles.is_latest(said(version)) is (version >= 2)
    assert roles.of(ROOM, "ann", START_MS) == ("v3",)
    assert roles.of(ROOM, "bob", START_MS) is None
    assert len(roles) == 1


@pytest.mark.parametrize(("later", "found"), [(-1, "vip,mod"), (0, "vip,mod"), (1, "fan")])
def test_a_token_and_a_word(later: int, found: str) -> None:
    """The later one counts, of the same millisecond the word; other attributes stay."""
    roles = Roles()
    claims = token(START_MS + later)
    assert issued(claims) == START_MS + later
    assert roles.current(claims) is claims
    roles.take(said(1, "vip", "mod"))
    assert roles.current(claims).own == {"roles": found, "history": "5"}
    other = claims_of(user_id="bob", own={"roles": "fan"})
    assert roles.current(other) is other


def test_what_is_over_is_forgotten() -> None:
    """At its very millisecond."""
    roles = Roles()
    roles.take(said(1, "vip", expires=START_MS + 5))
    roles.take(said(2, "vip", user="bob"))
    assert roles.of(ROOM, "ann", START_MS + 4) == ("vip",)
    assert roles.of(ROOM, "ann", START_MS + 5) is None
    for now, left in ((START_MS + 4, 2), (START_MS + 5, 1)):
        roles.forget_over(now)
        assert len(roles) == left
