"""What the process draws at random."""

import re

import pytest

from greenroom.process.randomness import new_id, new_key
from greenroom.tokens.key_ring import KeyRing


def test_ids() -> None:
    """Identifiers are 12 letters and digits, and do not repeat."""
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"[a-zA-Z0-9]{12}", each) for each in ids)


def test_new_keys() -> None:
    """New keys are 32 bytes with an id of 8 characters, and good for a ring."""
    key_id, key = new_key()
    ring = KeyRing({key_id: key}, key_id)
    assert ring.open("test", ring.seal("test", b"content", bytes(12))) == b"content"
    assert len(key) == 32
    assert len(key_id) == 8
    assert new_key()[0] != key_id


def test_key_ids_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key id looks like an option of the command that kills the key."""
    random = iter(["-7oPQ2mN", "-aaaaaaa", "a-aaaaaa"])
    place = "greenroom.process.randomness.secrets.token_urlsafe"
    monkeypatch.setattr(place, lambda _: next(random))
    assert new_key()[0] == "a-aaaaaa"
