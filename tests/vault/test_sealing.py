"""Sealing: what is sealed opens again, for its place and with its key only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.vault.sealing import SealBroken, Sealer, is_sealed, key_context

SEALER = Sealer(b"k" * 32)


@given(st.text(max_size=20), st.binary(max_size=100))
def test_opens_what_was_sealed(context: str, secret: bytes) -> None:
    """A secret comes back for its context, and nothing of it shows."""
    sealed = SEALER.seal(context, secret)
    assert SEALER.open(context, sealed) == secret
    assert is_sealed(sealed)
    assert len(secret) < 4 or secret not in sealed.removeprefix(b"\xffsealed1")


@given(st.text(max_size=20), st.binary(min_size=1), st.text(max_size=20), st.binary(min_size=1))
def test_equal_only_for_equals(context: str, secret: bytes, other: str, another: bytes) -> None:
    """The same gives the same; anything else another seal, under another nonce."""
    one, two = SEALER.seal(context, secret), SEALER.seal(other, another)
    assert SEALER.seal(context, secret) == one
    if (context, secret) != (other, another):
        assert one[15:27] != two[15:27]


def test_what_older_versions_sealed() -> None:
    """A secret is sealed as ever: what is kept is found to be equal, or not, by its bytes."""
    sealed = bytes.fromhex(
        "ff7365616c6564316b5f3e0a90236321bb69f24c2e2c0e7aa0b730b19dff1444fdb38357d59500172a64b435"
        "04e68fc992011836"
    )
    assert SEALER.seal(key_context("AKIA"), b"a secret") == sealed
    assert SEALER.open(key_context("AKIA"), sealed) == b"a secret"


def test_refuses_all_else() -> None:
    """Another key, another context, a changed or cut seal, and what was never sealed."""
    sealed = SEALER.seal("a", b"secret")
    broken = [
        (Sealer(b"x" * 32), "a", sealed),
        (SEALER, "b", sealed),
        (SEALER, "a", b"secret"),
        (SEALER, "a", b""),
        *((SEALER, "a", sealed[:cut]) for cut in range(len(sealed))),
        *(
            (SEALER, "a", sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :])
            for at in range(len(sealed))
        ),
    ]
    for sealer, context, data in broken:
        with pytest.raises(SealBroken):
            sealer.open(context, data)


def test_key_length() -> None:
    """A master key is 32 bytes."""
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(b"short")
