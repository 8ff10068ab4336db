"""Tokens: sealed for one purpose, opened by their ring, refused by name otherwise."""

import base64
import re

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.tokens import key_ring
from greenroom.tokens.key_ring import (
    CHAT_PURPOSE,
    MAXIMUM_KEYS,
    PAGE_PURPOSE,
    KeyInfo,
    KeyRing,
    RingFull,
    TokenForeign,
    TokenMalformed,
    TokenRejected,
    open_claims,
    seal_claims,
)

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
NONCE = b"123456789012"
RING = KeyRing({"old-key1": OLD, "new-key1": NEW}, "new-key1")
CLAIMS = ChatTokenClaims(
    token_id="0123456789abcdef01234567",
    room_arn="arn:aws:ivschat:us-east-1:123456789012:room/AbCdEf123456",
    user_id="ünïcødé 🎉",
    capabilities=(Capability.SEND_MESSAGE, Capability.DELETE_MESSAGE),
    attributes={"color": "red", "badge": "⭐"},
    token_expires=1_700_000_060_000,
    session_expires=1_700_003_600_000,
)
TOKEN = seal_claims(RING, CLAIMS, NONCE)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_round_trip() -> None:
    """What was sealed is what is opened."""
    assert open_claims(RING, TOKEN) == CLAIMS


def test_shape() -> None:
    """A token is two base64url parts joined by a dot, without padding."""
    assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", TOKEN)


def test_layout() -> None:
    """A token is version, key id and nonce; then AES-256-GCM over purpose and first part."""
    head, sealed = TOKEN.split(".")
    assert head == b64(b"\x01new-key1" + NONCE)
    payload = AESGCM(NEW).decrypt(
        NONCE, base64.urlsafe_b64decode(sealed + "=="), f"chat.{head}".encode()
    )
    assert payload == RING.open(CHAT_PURPOSE, TOKEN)


def test_contents_do_not_show() -> None:
    """Nothing of the claims can be read from a token."""
    raw = b"".join(base64.urlsafe_b64decode(part + "==") for part in TOKEN.split("."))
    assert b"arn:aws" not in raw
    assert b"color" not in raw


def test_older_key_still_opens() -> None:
    """A ring opens what each of its keys sealed."""
    before = KeyRing({"old-key1": OLD}, "old-key1")
    assert open_claims(RING, seal_claims(before, CLAIMS, NONCE)) == CLAIMS


def test_removed_key_opens_nothing() -> None:
    """A key that was taken from the ring no longer opens what it sealed."""
    with pytest.raises(TokenForeign):
        open_claims(KeyRing({"old-key1": OLD}, "old-key1"), TOKEN)


def test_same_id_other_key() -> None:
    """A key's id alone opens nothing."""
    with pytest.raises(TokenForeign):
        open_claims(KeyRing({"new-key1": OLD}, "new-key1"), TOKEN)


def test_purposes_are_apart() -> None:
    """A page token is not a chat token, nor the other way round."""
    page = RING.seal(PAGE_PURPOSE, b"cursor", NONCE)
    assert RING.open(PAGE_PURPOSE, page) == b"cursor"
    with pytest.raises(TokenForeign):
        open_claims(RING, page)
    with pytest.raises(TokenForeign):
        RING.open(PAGE_PURPOSE, TOKEN)
    with pytest.raises(TokenForeign):
        RING.open("", TOKEN)


def test_authentic_but_not_claims() -> None:
    """A chat token of another version's claims is refused, not half read."""
    whole = key_ring._CLAIMS_ENCODER.encode(CLAIMS)
    no_text = whole.replace(b"red", b"r\xffd")
    assert no_text != whole
    for payload in (b"", b"\xc0", b"\x97\xa1a", b"\xa2\xff\xff", b"\x91\xa1a", no_text):
        with pytest.raises(TokenMalformed):
            open_claims(RING, RING.seal(CHAT_PURPOSE, payload, NONCE))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a",
        "a.",
        ".a",
        "a.b",
        "AAAA.AAAA",
        TOKEN + ".",
        "." + TOKEN,
        TOKEN + ".AAAA",
        TOKEN.replace(".", ""),
        TOKEN.replace(".", ".."),
        TOKEN + "=",
        TOKEN + "==",
        TOKEN.replace(".", "=."),
        TOKEN + " ",
        " " + TOKEN,
        TOKEN + "\n",
        TOKEN.replace(".", "!."),
        TOKEN + "é",
        "é" + TOKEN,
        "\ud800." + TOKEN,
        TOKEN[:-1] + "+",
        TOKEN[:-1] + "/",
        "A" * 4097,
        "A" * 2000 + "." + "A" * 2096,
        "A" * 1_000_000,
        # No nonce, no key id; no tag; versions 0 and 2.
        b64(b"\x01" + NONCE) + "." + b64(b"x" * 32),
        b64(b"\x01k" + NONCE) + "." + b64(b"x" * 15),
        b64(b"\x00new-key1" + NONCE) + "." + TOKEN.split(".")[1],
        b64(b"\x02new-key1" + NONCE) + "." + TOKEN.split(".")[1],
    ],
)
def test_malformed(text: str) -> None:
    """What has not the shape of a token is refused as such."""
    with pytest.raises(TokenMalformed):
        RING.open(CHAT_PURPOSE, text)


@pytest.mark.parametrize(
    "text",
    [
        b64(b"\x01unknown!" + NONCE) + "." + TOKEN.split(".")[1],
        b64(b"\x01\xff\xfe" + NONCE) + "." + TOKEN.split(".")[1],
        b64(b"\x01new-key1" + b"0" * 12) + "." + TOKEN.split(".")[1],
        TOKEN.split(".")[0] + "." + b64(b"x" * 64),
        TOKEN.split(".")[0] + "." + b64(b"x" * 16),
    ],
)
def test_foreign(text: str) -> None:
    """What has the shape, but was not sealed by the ring, is refused as such."""
    with pytest.raises(TokenForeign):
        RING.open(CHAT_PURPOSE, text)


def test_every_changed_character_is_noticed() -> None:
    """No character of a token can be another one: each stray bit counts."""
    for position, character in enumerate(TOKEN):
        for bit in range(6):
            other = "." if character == "." else ALPHABET[ALPHABET.index(character) ^ 1 << bit]
            changed = TOKEN[:position] + other + TOKEN[position + 1 :]
            if changed != TOKEN:
                with pytest.raises(TokenRejected):
                    RING.open(CHAT_PURPOSE, changed)


def test_stray_bits_are_malformed() -> None:
    """Only the canonical base64 of the bytes is accepted."""
    sealed = RING.seal(CHAT_PURPOSE, b"", NONCE)
    head, tag = sealed.split(".")
    assert len(tag) % 4 == 2
    last = ALPHABET.index(tag[-1])
    for stray in range(1, 16):
        with pytest.raises(TokenMalformed):
            RING.open(CHAT_PURPOSE, f"{head}.{tag[:-1]}{ALPHABET[last | stray]}")


@pytest.mark.parametrize("junk", ["!!!!", "====", "++++", "////", "    ", "\n\n\n\n", "\0\0\0\0"])
def test_nothing_is_skipped(junk: str) -> None:
    """Characters that some base64 decoders skip make no second text for a token."""
    head, sealed = TOKEN.split(".")
    for text in (f"{head}.{sealed[:8]}{junk}{sealed[8:]}", f"{head[:8]}{junk}{head[8:]}.{sealed}"):
        with pytest.raises(TokenMalformed):
            RING.open(CHAT_PURPOSE, text)


def test_errors_echo_nothing() -> None:
    """No error carries a part of the token."""
    for text in (TOKEN[:-1] + "?", TOKEN[:-2] + "AA", TOKEN + "é", TOKEN * 20):
        with pytest.raises(TokenRejected) as raised:
            RING.open(CHAT_PURPOSE, text)
        assert TOKEN[:10] not in repr(raised.value)
        assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_seal_refuses_what_could_not_be_opened() -> None:
    """A wrong nonce and a payload that is too long for a token are the caller's mistakes."""
    with pytest.raises(ValueError, match="12 bytes"):
        RING.seal(CHAT_PURPOSE, b"", b"short")
    with pytest.raises(ValueError, match="too long"):
        RING.seal(CHAT_PURPOSE, b"x" * 3100, NONCE)


def test_the_longest_token_opens() -> None:
    """A token of exactly the limit is sealed and opened."""
    assert key_ring.MAXIMUM_TOKEN_LENGTH == 4096
    payload = b"x" * (3 * (4096 - 29) // 4 - 16)
    token = RING.seal(CHAT_PURPOSE, payload, NONCE)
    assert 4093 <= len(token) <= key_ring.MAXIMUM_TOKEN_LENGTH
    assert RING.open(CHAT_PURPOSE, token) == payload


def test_no_token_is_longer_than_the_limit() -> None:
    """One of exactly the limit is sealed and opened, one character more is not sealed."""
    lengths = set()
    for id_length in range(1, 5):
        ring = KeyRing({"k" * id_length: OLD}, "k" * id_length)
        for size in range(3000, 3100):
            try:
                token = ring.seal(CHAT_PURPOSE, b"x" * size, NONCE)
            except ValueError:
                break
            lengths.add(len(token))
            assert ring.open(CHAT_PURPOSE, token) == b"x" * size
    assert max(lengths) == key_ring.MAXIMUM_TOKEN_LENGTH


def test_a_longer_text_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """What anybody sends is decrypted up to the limit only, also where a key would open it."""
    with monkeypatch.context() as patched:
        patched.setattr(key_ring, "MAXIMUM_TOKEN_LENGTH", 5000)
        token = RING.seal(CHAT_PURPOSE, b"x" * 3100, NONCE)
        assert RING.open(CHAT_PURPOSE, token)
    with pytest.raises(TokenMalformed, match="at most 4096 characters"):
        RING.open(CHAT_PURPOSE, token)


def test_largest_claims_fit() -> None:
    """The largest user id and attributes that CreateChatToken takes make a valid token."""
    claims = ChatTokenClaims(
        "0" * 24,
        "arn:aws:ivschat:ap-northeast-1:123456789012:room/" + "A" * 12,
        "🎉" * 128,
        tuple(Capability),
        {f"{number:03}": "x" for number in range(256)},
        2**53,
        2**53,
    )
    assert open_claims(RING, seal_claims(RING, claims, NONCE)) == claims


@pytest.mark.parametrize(
    ("keys", "current"),
    [
        ({}, "a"),
        ({"a": OLD}, "b"),
        ({"a": OLD[:31]}, "a"),
        ({"a": b""}, "a"),
        ({"": OLD}, ""),
        ({"é": OLD}, "é"),
        ({"a" * 65: OLD}, "a" * 65),
        ({"a": OLD, "": OLD}, "a"),
        ({"a": OLD, "b": b"short"}, "a"),
    ],
)
def test_impossible_rings(keys: dict[str, bytes], current: str) -> None:
    """A ring has a current key, and all its keys and ids have their form."""
    with pytest.raises(ValueError, match=r"current key is not|key id must be|must be 32 bytes"):
        KeyRing(keys, current)


@pytest.mark.parametrize("key_id", ["a", "a" * 64])
def test_shortest_and_longest_key_id(key_id: str) -> None:
    """Ids of 1 and of 64 characters can be used, and their tokens opened."""
    ring = KeyRing({key_id: OLD}, key_id)
    assert ring.open("p", ring.seal("p", b"x", NONCE)) == b"x"


def test_ring_as_bytes() -> None:
    """A ring can be kept and read back; damaged bytes are refused."""
    data = RING.to_bytes()
    assert open_claims(KeyRing.from_bytes(data), TOKEN) == CLAIMS
    assert KeyRing.from_bytes(data).to_bytes() == data
    for damaged in (b"", b"\xff", data[:-1], b"\x93" + data[1:5], b"\xc1" + data[1:]):
        with pytest.raises(ValueError, match="ring"):
            KeyRing.from_bytes(damaged)
    assert data[1] == 1
    with pytest.raises(ValueError, match="version"):
        KeyRing.from_bytes(data[:1] + b"\x02" + data[2:])


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x93\x01\xa1\xff\x80", b"\x93\x01\xa1a\x81\xa1\xff\xc4\x00"]
)
def test_what_is_no_ring(data: bytes) -> None:
    """Bytes that are no ring are refused as such, also when only a text among them is none."""
    with pytest.raises(ValueError, match="not a key ring"):
        KeyRing.from_bytes(data)


def test_ring_does_not_show_its_keys() -> None:
    """Printing a ring reveals nothing."""
    assert "key" not in repr(RING).replace("key_ring.KeyRing", "").lower()
    assert not hasattr(RING, "__dict__")


@settings(max_examples=300)
@given(st.text(max_size=200) | st.text(ALPHABET + ".=+/ ", max_size=200))
@example("\x00.\x00")
@example("AQ.AQ")
def test_random_text(text: str) -> None:
    """Random text never raises anything but TokenRejected."""
    with pytest.raises(TokenRejected):
        open_claims(RING, text)


@settings(max_examples=300)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_random_parts(head: bytes, sealed: bytes) -> None:
    """Well-formed base64 of random bytes never raises anything but TokenRejected."""
    with pytest.raises(TokenRejected):
        open_claims(RING, f"{b64(head)}.{b64(sealed)}")


@settings(max_examples=300)
@given(st.integers(0, len(TOKEN)), st.integers(0, len(TOKEN)), st.text(max_size=20) | st.none())
def test_mutated_tokens(start: int, removed: int, added: str | None) -> None:
    """A token with a part replaced, taken out or (for None) repeated is always refused."""
    end = start + removed
    middle = TOKEN[start:end] * 2 if added is None else added
    mutated = TOKEN[:start] + middle + TOKEN[end:]
    if mutated != TOKEN:
        with pytest.raises(TokenRejected):
            open_claims(RING, mutated)


@given(st.binary(max_size=2000), st.binary(min_size=12, max_size=12), st.text(max_size=20))
def test_round_trip_of_anything(payload: bytes, nonce: bytes, purpose: str) -> None:
    """Any payload survives, for any purpose and nonce."""
    assert RING.open(purpose, RING.seal(purpose, payload, nonce)) == payload


# -------------------------------------------------------------------------------- changing keys

HOUR = 3_600_000


def test_rotation_keeps_what_older_keys_sealed() -> None:
    """A rotated ring seals with the new key and opens what the old one sealed."""
    ring = KeyRing({"old": bytes(32)}, "old", {"old": 5})
    token = ring.seal("chat", b"payload", bytes(12))
    rotated = ring.rotated("new", bytes([1]) * 32, 10)
    assert rotated.open("chat", token) == b"payload"
    sealed = rotated.seal("chat", b"payload", bytes(12))
    assert rotated.open_with_key("chat", sealed) == (b"payload", "new")
    assert rotated.describe() == [KeyInfo("new", True, 10, 0), KeyInfo("old", False, 5, 10)]
    again = KeyRing.from_bytes(rotated.to_bytes())
    assert again.describe() == rotated.describe()
    assert again.open("chat", token) == b"payload"


def test_keys_leave_when_nothing_of_theirs_can_be_alive() -> None:
    """A key goes with the first rotation after its last session and its last page."""
    ring = KeyRing({"a": bytes(32)}, "a").rotated("b", bytes(32), 0)
    kept = ring.rotated("c", bytes(32), 4 * HOUR - 1)
    assert {info.id for info in kept.describe()} == {"a", "b", "c"}
    pruned = kept.rotated("d", bytes(32), 4 * HOUR)
    assert {info.id for info in pruned.describe()} == {"b", "c", "d"}


def test_a_ring_has_an_end() -> None:
    """A loop that rotates is refused before the ring grows beyond its bound."""
    ring = KeyRing({"0": bytes(32)}, "0")
    for number in range(1, MAXIMUM_KEYS):
        ring = ring.rotated(f"{number}", bytes(32), number)
    with pytest.raises(RingFull):
        ring.rotated("one more", bytes(32), 1000)
    assert ring.rotated("later", bytes(32), 5 * HOUR).describe()[0].id == "later"


@pytest.mark.parametrize("purpose", ["chat", "page"])
def test_a_key_that_is_gone_opens_nothing(purpose: str) -> None:
    """What a removed key sealed is foreign, chat tokens and pages alike; the current one stays."""
    ring = KeyRing({"a": bytes(32)}, "a").rotated("b", bytes([1]) * 32, 0)
    token = KeyRing({"a": bytes(32)}, "a").seal(purpose, b"x", bytes(12))
    lacking = ring.without("a")
    with pytest.raises(TokenForeign):
        lacking.open(purpose, token)
    assert ("a" in lacking, "b" in lacking) == (False, True)
    for key_id in ("a", "b", "c"):
        with pytest.raises(KeyError):
            lacking.without(key_id)


def test_the_id_of_a_key_is_one_object() -> None:
    """Connections share it."""
    ring = KeyRing({"key": bytes(32)}, "key")
    tokens = [ring.seal("chat", b"x", bytes([n]) * 12) for n in range(2)]
    first, second = (ring.open_with_key("chat", each)[1] for each in tokens)
    assert first is second


def test_adopting_another_ring_changes_it_for_all() -> None:
    """Who holds the ring seals and opens with the other's keys from then on."""
    ring, other = KeyRing({"a": bytes(32)}, "a"), KeyRing({"b": bytes([1]) * 32}, "b")
    ring.adopt(other)
    assert other.open("chat", ring.seal("chat", b"x", bytes(12))) == b"x"
    assert ring.describe() == other.describe()


def test_rings_of_the_first_release_are_read() -> None:
    """They lack the times of their keys, and nothing else."""
    kept = msgspec.msgpack.encode([1, "a", {"a": bytes(32)}])
    assert KeyRing.from_bytes(kept).describe() == [KeyInfo("a", True, 0, 0)]
