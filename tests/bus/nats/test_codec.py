"""What travels over NATS: every value comes back, and no bytes break the one who reads them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.bus.base import (
    AccountSuspended,
    Audience,
    ControlEnvelope,
    Deliver,
    Disconnect,
    IdentitiesChanged,
    JournalGrew,
    LoggingConfigurationChanged,
    RoomChanged,
    RoomDeleted,
    TokenKeysChanged,
)
from greenroom.bus.nats.codec import (
    MOST_RATE,
    MOST_TIME_NS,
    Batch,
    ForgetAll,
    News,
    Undecodable,
    decode_batch,
    decode_known,
    decode_news,
    encode,
)

texts = st.text(max_size=20)
times = st.integers(0, MOST_TIME_NS - 1)
configurations = st.lists(texts, max_size=3).map(tuple)
deliveries = st.builds(
    Deliver,
    st.binary(max_size=50),
    texts,
    st.sampled_from(Audience),
    texts,
    texts,
    times,
    configurations,
    st.integers(0, MOST_RATE),
)
disconnections = st.builds(
    Disconnect, st.binary(max_size=50), texts, texts, texts, times, configurations
)
batches = st.builds(
    Batch,
    texts,
    st.integers(0, 1 << 62),
    times,
    st.lists(deliveries | disconnections, max_size=5).map(tuple),
)
NEWS: list[ControlEnvelope | ForgetAll] = [
    RoomChanged("room"),
    RoomDeleted("room"),
    TokenKeysChanged("key"),
    IdentitiesChanged("account"),
    AccountSuspended("account", True),
    LoggingConfigurationChanged("configuration"),
    JournalGrew(("one", "two")),
    ForgetAll(),
]


@given(batches)
def test_batches(batch: Batch) -> None:
    """Each comes back as it was."""
    assert decode_batch(encode(batch)) == batch


def test_news() -> None:
    """So does every kind of news."""
    news = News("node", tuple(NEWS))
    assert decode_news(encode(news)) == news


@given(st.binary(max_size=200))
def test_foreign_bytes(data: bytes) -> None:
    """They are refused in one way, or are a value."""
    for decode in (decode_batch, decode_news):
        try:
            decode(data)
        except Undecodable:
            continue


@given(batches, st.data())
def test_damaged_bytes(batch: Batch, data: st.DataObject) -> None:
    """A byte that was changed, or an end that is missing, likewise."""
    whole = bytearray(encode(batch))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    for damaged in (bytes(whole), bytes(whole[:place])):
        try:
            decode_batch(damaged)
        except Undecodable:
            continue


@pytest.mark.parametrize(
    "envelope",
    [
        Deliver(b"", "a", rate=-1),
        Deliver(b"", "a", rate=MOST_RATE + 1),
        Deliver(b"", "a", time_ns=-1),
        Deliver(b"", "a", time_ns=MOST_TIME_NS),
        Disconnect(b"", "u", "r", time_ns=-1),
    ],
)
def test_numbers_out_of_bounds(envelope: Deliver | Disconnect) -> None:
    """No rate and no time is taken that would spoil a count or an order."""
    with pytest.raises(Undecodable):
        decode_batch(encode(Batch("node", 1, 1, (envelope,))))


@pytest.mark.parametrize(
    "envelope",
    [
        Deliver(b"", "a", rate=0, time_ns=0),
        Deliver(b"", "a", rate=MOST_RATE, time_ns=MOST_TIME_NS - 1),
    ],
)
def test_numbers_at_their_bounds(envelope: Deliver) -> None:
    """They are taken: the service itself writes no others."""
    batch = Batch("node", 1, 1, (envelope,))
    assert decode_batch(encode(batch)) == decode_known(encode(batch)) == batch


def test_a_number_out_of_bounds_beside_what_is_not_known() -> None:
    """It spoils nothing either where the others of its batch are taken."""
    sound, spoiling = Deliver(b"x", "a"), Deliver(b"x", "a", rate=MOST_RATE + 1)
    sent = encode(Batch("node", 1, 2, (spoiling, sound)))
    assert decode_known(sent) == Batch("node", 1, 2, (sound,))


def test_nesting_without_end() -> None:
    """It is refused like any other foreign bytes."""
    for decode in (decode_batch, decode_known, decode_news):
        with pytest.raises(Undecodable):
            decode(b"\x91" * 100_000)


def test_a_later_version_adds_members() -> None:
    """What an older version does not know, at the end of a value, it does not look at."""
    known = msgspec.msgpack.decode(encode(Batch("node", 1, 2, (Deliver(b"x", "a"),))))
    known[3][0].append("new")
    known.append("newer")
    assert decode_batch(msgspec.msgpack.encode(known)) == Batch("node", 1, 2, (Deliver(b"x", "a"),))


def test_a_later_version_has_another_kind() -> None:
    """The other envelopes of its batch are known all the same, unless there is none."""
    one, two = Deliver(b"x", "a"), Disconnect(b"y", "u", "r")
    sent = msgspec.msgpack.decode(encode(Batch("node", 1, 2, (one, one, two, one))))
    sent[3][1][0] = "OfNextYear"
    sent[3][3][3] = "an audience of next year"
    data = msgspec.msgpack.encode(sent)
    with pytest.raises(Undecodable):
        decode_batch(data)
    assert decode_known(data) == Batch("node", 1, 2, (one, two))
    sent[3] = sent[3][1:2]
    for unknown in (msgspec.msgpack.encode(sent), b"\x91" * 100_000, b""):
        with pytest.raises(Undecodable):
            decode_known(unknown)


def test_a_batch_that_is_stored_late_is_void() -> None:
    """At its time it is shown, a nanosecond later not."""
    batch = Batch("node", 1, 100, (Deliver(b"x", "a"),))
    assert batch.shown(100) == batch.envelopes
    assert batch.shown(101) == ()
