"""Session tokens: they hold their claims, and nothing else opens as one."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.model.identity import IdentityKind, SessionClaims
from greenroom.tokens.key_ring import (
    CHAT_PURPOSE,
    SESSION_PURPOSE,
    KeyRing,
    TokenForeign,
    TokenMalformed,
)
from greenroom.tokens.session_tokens import SessionTooLarge, open_session, seal_session

RING = KeyRing({"k": bytes(32)}, "k")
NONCE = bytes(12)
CLAIMS = SessionClaims(
    access_key_id="ASIA1", secret_access_key="very-secret", account="1", issued=1, expires=2
)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TIMES = st.integers(0, 1 << 60)


@given(
    st.builds(
        SessionClaims,
        access_key_id=TEXT,
        secret_access_key=TEXT,
        account=TEXT,
        issued=TIMES,
        expires=TIMES,
        kind=st.none() | st.sampled_from(IdentityKind),
        name=TEXT,
        policy=st.none() | TEXT,
        policy_arns=st.lists(TEXT).map(tuple),
        tags=st.dictionaries(TEXT, TEXT),
    )
)
def test_claims_come_back(claims: SessionClaims) -> None:
    """A token opens to what was sealed."""
    try:
        token = seal_session(RING, claims, NONCE)
    except SessionTooLarge:
        return
    assert open_session(RING, token) == claims


def test_the_largest_session_policy_fits() -> None:
    """AWS's largest inline session policy, 2,048 characters, fits even when it does not repeat."""
    drawn = random.Random(1)
    policy = "".join(drawn.choices("abcdefghijklmnopqrstuvwxyz0123456789:*/{}\"'", k=2048))
    claims = SessionClaims(
        access_key_id="ASIA" + "A" * 16,
        secret_access_key="s" * 40,
        account="123456789012",
        issued=1,
        expires=2,
        kind=IdentityKind.ROLE,
        name="n" * 64,
        identity_id="AROA" + "B" * 17,
        session_name="s" * 64,
        parent_key_id="AKIA" + "C" * 16,
        policy=policy,
        policy_arns=("arn:aws:iam::123456789012:policy/one",) * 10,
    )
    assert open_session(RING, seal_session(RING, claims, NONCE)) == claims


def test_too_large() -> None:
    """More than a token holds is refused when it is sealed."""
    noise = random.Random(1).randbytes(4000).hex()
    claims = msgspec.structs.replace(CLAIMS, tags={"x": noise})
    with pytest.raises(SessionTooLarge):
        seal_session(RING, claims, NONCE)


def test_other_tokens_are_none() -> None:
    """A chat token, and claims of another version, do not open."""
    with pytest.raises(TokenForeign):
        open_session(RING, RING.seal(CHAT_PURPOSE, b"x", NONCE))
    with pytest.raises(TokenMalformed):
        open_session(RING, RING.seal(SESSION_PURPOSE, b"not compressed", NONCE))


def test_the_secret_is_not_shown() -> None:
    """Neither repr nor the token shows the secret."""
    assert "very-secret" not in f"{CLAIMS!r}{seal_session(RING, CLAIMS, NONCE)}"
