"""The transport that encrypts, against OpenSSL's own client, with every cut between the two.

Covers: greenroom.tls.fault, greenroom.tls.keys, greenroom.tls.records, greenroom.tls.transport
"""

import ssl
from itertools import pairwise
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.tls.fault import TlsFault
from greenroom.tls.records import Records
from greenroom.tls.transport import FEW_RECORDS, HELLO_BYTES, HIGH_WATER
from tests.stand_ins.tls_pair import IN_CLEAR, Keys, Pair


@pytest.fixture
def keys() -> Keys:
    """Give the keys of a port."""
    return Keys()


@pytest.fixture
def pair(keys: Keys) -> Pair:
    """Give an open connection."""
    made = Pair(keys)
    made.open()
    return made


def pieces(data: bytes, cuts: list[float]) -> list[bytes]:
    """Cut bytes, at shares of their length."""
    ends = sorted({round(each * len(data)) for each in cuts} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(ends)]


CUTS = st.lists(st.floats(0, 1), max_size=5)


@given(CUTS, CUTS, st.lists(st.binary(max_size=40_000), max_size=3))
def test_records_cut_anywhere(hello: list[float], cuts: list[float], texts: list[bytes]) -> None:
    """What is said comes whole and in order, however it is cut, on two connections in turns."""
    keys = Keys()
    pairs = [Pair(keys), Pair(keys)]
    streams: list[list[bytes]] = []
    for pair in pairs:
        for piece in pieces(pair.shake(), hello):
            pair.transport.data_received(piece)
        keys.take_turns()
        pair.open()
        streams.append(pieces(b"".join(map(pair.say, texts)), cuts))
    for parts in zip(*streams, strict=True):
        for pair, part in zip(pairs, parts, strict=True):
            pair.transport.data_received(part)
    for pair in pairs:
        assert pair.above.received == b"".join(texts)
        assert pair.above.log[0] == "made"
        pair.transport.write(b"bye")
        assert pair.hear() == b"bye"


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 100_000])
def test_writing(pair: Pair, size: int) -> None:
    """Everything arrives; a write of nothing sends nothing."""
    pair.transport.write(b"")
    assert pair.lower.written == []
    for _ in range(2):
        pair.transport.write(b"x" * size)
        assert pair.hear() == b"x" * size


def test_writing_to_what_has_ended(pair: Pair, keys: Keys) -> None:
    """The connection is ended, and others get nothing of what was made of that."""
    keys.finish(pair.transport.side)
    pair.transport.write(b"late")
    assert (pair.lower.aborted, pair.lower.written) == (True, [])

    def fail(_: bytes) -> None:
        keys.outgoing.write(b"half a record")
        raise ssl.SSLError(1, "broken")

    with pytest.raises(TlsFault):
        keys.seal(mock.Mock(write=fail), b"x")
    assert keys.outgoing.read() == b""


def test_nothing_is_told_before_the_handshake_is_complete(keys: Keys) -> None:
    """Who is above is told of the connection, then of what came right behind the handshake."""
    pair = Pair(keys)
    assert (keys.due, pair.lower.high) == ([1], 0)
    pair.transport.data_received(pair.shake())
    assert (len(keys.waiting), pair.lower.written) == (1, [])
    keys.take_turns()
    pair._incoming.write(b"".join(pair.lower.take()))
    last = pair.shake()
    assert (pair.begun, pair.above.log) == ([], [])
    pair.transport.data_received(last + pair.say(b"early"))
    keys.take_turns()
    assert (pair.begun, pair.above.log, keys.due) == ([None], ["made", b"early"], [])


@pytest.mark.parametrize("by_turn", [True, False])
def test_a_connection_that_ends_in_its_handshake(keys: Keys, by_turn: bool) -> None:
    """The reason is told, and who is above hears nothing; its turn comes to nothing."""
    pair = Pair(keys)
    pair.transport.data_received(pair.shake())
    if by_turn:
        keys.take_turns()
    pair.transport.connection_lost(None)
    keys.take_turns()
    (why,) = pair.begun
    assert isinstance(why, ConnectionResetError)
    assert (pair.above.log, keys.due) == ([], [])
    assert bool(pair.lower.written) is by_turn


def test_who_sends_more_before_its_turn(keys: Keys) -> None:
    """A client has no reason to; what is kept of it has a bound."""
    pair = Pair(keys)
    pair.transport.data_received(b"\x16" * HELLO_BYTES)
    assert not pair.lower.aborted
    pair.transport.data_received(b"\x16")
    assert pair.lower.aborted


@pytest.mark.parametrize("first", [1, 5, 100])
def test_every_step_waits_for_its_turn(keys: Keys, first: int) -> None:
    """A hello in pieces costs what a whole one does, and not when its second piece comes."""
    pair = Pair(keys)
    hello = pair.shake()
    pair.transport.data_received(hello[:first])
    keys.take_turns()
    pair.transport.data_received(hello[first:-1])
    pair.transport.data_received(hello[-1:])
    assert (len(keys.waiting), pair.lower.written) == (1, [])
    keys.take_turns()
    pair.open()


def test_a_hello_in_many_records(keys: Keys) -> None:
    """A few are taken in each turn, and the rest of it waits for another one."""
    pair = Pair(keys)
    hello = pair.shake()[5:]
    parts = [hello[at : at + 4] for at in range(0, len(hello), 4)]
    pair.transport.data_received(
        b"".join(b"\x16\3\1" + len(each).to_bytes(2, "big") + each for each in parts)
    )
    for _ in range((len(parts) - 1) // FEW_RECORDS):
        keys.waiting.popleft()()
        assert (len(keys.waiting), pair.lower.written) == (1, [])
    keys.take_turns()
    pair.open()


def test_the_version_before(keys: Keys) -> None:
    """With it the client waits for our last step, which goes out at once."""
    pair = Pair(keys)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    pair.client = context.wrap_bio(pair._incoming, pair._outgoing)
    pair.open()
    pair.client.do_handshake()
    assert pair.client.version() == "TLSv1.2"


def test_who_begins_without_reading(keys: Keys) -> None:
    """Behind the handshake nothing is read either, until that is wanted."""
    pair = Pair(keys)
    with mock.patch.object(pair.above, "connection_made", lambda made: made.pause_reading()):
        pair.transport.data_received(pair.shake())
        keys.take_turns()
        pair._incoming.write(b"".join(pair.lower.take()))
        pair.transport.data_received(pair.shake() + pair.say(b"early"))
        keys.take_turns()
    assert not pair.lower.reading
    pair.transport.resume_reading()
    assert pair.lower.reading


@pytest.mark.parametrize("number", [1, 50_000])
def test_much_behind_the_handshake(keys: Keys, number: int) -> None:
    """What comes with its last step is taken in turns, too, and nothing of it is lost."""
    pair = Pair(keys)
    pair.transport.data_received(pair.shake())
    keys.take_turns()
    pair._incoming.write(b"".join(pair.lower.take()))
    behind = small(pair, 2_000) if number == 1 else pair.say(b"x" * number)
    pair.transport.data_received(pair.shake() + behind)
    assert pair.lower.reading is (len(behind) < HELLO_BYTES)
    keys.waiting.popleft()()
    if number == 1:
        assert 0 < len(pair.above.received) < 2_000
    keys.take_turns()
    assert len(pair.above.received) == (2_000 if number == 1 else number)
    assert pair.lower.reading


@pytest.mark.parametrize("stays_open", [True, False])
def test_a_peer_that_ends_right_behind_the_handshake(keys: Keys, stays_open: bool) -> None:
    """What it has said is taken first, and may be answered."""
    pair = Pair(keys)
    pair.above.stays_open = stays_open
    pair.transport.data_received(pair.shake())
    keys.take_turns()
    pair._incoming.write(b"".join(pair.lower.take()))
    pair.transport.data_received(pair.shake() + pair.say(b"all that is to say"))
    assert pair.transport.eof_received()
    keys.take_turns()
    assert pair.above.received == b"all that is to say"
    assert pair.lower.closed is not stays_open


def test_a_peer_that_ends_in_the_handshake(keys: Keys) -> None:
    """It is let go of."""
    pair = Pair(keys)
    hello = pair.shake()
    pair.transport.data_received(hello[:50])
    assert pair.transport.eof_received()
    keys.take_turns()
    assert pair.lower.closed


def test_a_peer_that_ends_before_it_began(keys: Keys) -> None:
    """The plain transport closes, and who is above hears nothing."""
    pair = Pair(keys)
    assert not pair.transport.eof_received()
    assert (pair.above.log, keys.waiting) == ([], type(keys.waiting)())


def test_a_handshake_that_takes_too_long(keys: Keys) -> None:
    """It is ended at once."""
    pair = Pair(keys)
    keys.deadlines[0].pass_by()
    assert pair.lower.aborted


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", b"P", b"M-SEARCH * HTTP/1.1\r\n"])
def test_a_request_in_clear(keys: Keys, first: bytes) -> None:
    """It is answered in clear, once; what follows is thrown away until the peer ends."""
    pair = Pair(keys)
    pair.transport.data_received(first)
    pair.transport.data_received(b"more")
    assert (pair.lower.written, pair.lower.ended, keys.due) == ([IN_CLEAR], True, [3])
    assert not keys.waiting
    assert not pair.transport.eof_received()
    pair.transport.connection_lost(None)
    assert (len(pair.begun), pair.above.log, keys.due) == (1, [], [])


@pytest.mark.parametrize("kind", [b"\x16", b"\x15", b"\x17"])
def test_no_tls(keys: Keys, kind: bytes) -> None:
    """The peer gets an alert, and other connections are not disturbed by the rest."""
    pair, other = Pair(keys), Pair(keys)
    pair.transport.data_received(kind + b"\x03\x01\x20\x00" + b"\xff" * 10_000)
    keys.take_turns()
    assert pair.lower.closed
    assert pair.lower.written[0][:1] == b"\x15"
    pair.transport.data_received(b"\x16\x03\x01\x20\x00")
    assert not keys.waiting
    other.open()
    other.transport.data_received(other.say(b"x"))
    assert other.above.received == b"x"


@given(st.integers(0, 200), st.integers(1, 255), st.binary(max_size=100))
def test_a_record_that_was_changed(at: int, by: int, behind: bytes) -> None:
    """What came before it counts; then the connection ends with an alert, and only that one."""
    keys = Keys()
    pair, other = Pair(keys), Pair(keys)
    for each in (pair, other):
        each.open()
    before, records = pair.say(b"before"), bytearray(pair.say(b"x" * 150))
    # The length is another matter: a longer one only waits.
    at = at % (len(records) - 5) + 5
    records[at] ^= by
    pair.transport.data_received(before + bytes(records) + behind)
    assert pair.above.received == b"before"
    assert (pair.lower.closed, keys.due) == (True, [2])
    written = len(pair.lower.written)
    pair.transport.write(b"late")
    assert (len(pair.lower.written), pair.lower.aborted) == (written, False)
    with pytest.raises(ssl.SSLError, match="ALERT"):
        pair.hear()
    other.transport.data_received(other.say(b"y"))
    assert other.above.received == b"y"


def test_what_is_said_of_a_fault(pair: Pair) -> None:
    """Why it is one, in OpenSSL's word, and nothing of what was sent."""
    before, records = pair.say(b"secret"), bytearray(pair.say(b"private"))
    records[-1] ^= 1
    with pytest.raises(TlsFault, match=r"^DECRYPTION_FAILED_OR_BAD_RECORD_MAC$") as fault:
        pair.keys.open(pair.transport.side, before + bytes(records))
    assert fault.value.received == [b"secret"]
    assert str(TlsFault(OSError(5, "broken"))) == "OSError"


def small(pair: Pair, number: int) -> bytes:
    """Return so many records of one byte."""
    return b"".join(pair.say(b"%d" % (each % 10)) for each in range(number))


def test_a_flood_of_small_records(pair: Pair, keys: Keys) -> None:
    """A slice is read, then others have their turn; in the end everything has come, in order."""
    number = 2_000
    text = b"".join(b"%d" % (each % 10) for each in range(number))
    pair.transport.data_received(small(pair, number))
    slices = 1
    assert len(pair.above.received) == FEW_RECORDS
    assert (pair.lower.reading, len(keys.waiting)) == (False, 1)
    pair.transport.data_received(pair.say(b"behind"))
    while keys.waiting:
        assert len(keys.waiting) == 1
        keys.waiting.popleft()()
        slices += 1
    assert pair.above.received == text + b"behind"
    assert pair.lower.reading
    assert slices > number / FEW_RECORDS


@given(st.lists(st.integers(0, 300), max_size=20), CUTS, st.integers(1, 5))
def test_records_are_counted(lengths: list[int], cuts: list[float], most: int) -> None:
    """However they are cut, nothing is left out, and no piece has more than it may."""
    records = [b"\x17\3\3" + length.to_bytes(2, "big") + bytes(length) for length in lengths]
    begins = [sum(map(len, records[:number])) for number in range(len(records))]
    count, begun, at = Records(), 0, 0
    for piece in pieces(b"".join(records), cuts):
        rest, more = piece, True
        while more:
            end, more = count.take(rest, most)
            rest, at = rest[end:], at + end
            # A record counts when its head is there.
            now = sum(begin + 5 <= at for begin in begins)
            assert now - begun == most if more else now - begun < most
            begun = now
        assert rest == b""
    assert begun == len(records)


def test_wishes_wait_for_turns(pair: Pair, keys: Keys) -> None:
    """A flood of what carries nothing is taken a few at a time, like any other."""
    with mock.patch.object(keys, "open", return_value=([], False)) as opened:
        pair.transport.data_received(b"\x17\3\3\0\x01x" * 1_000)
        assert opened.call_count == 1
        assert len(opened.call_args.args[1]) == 6 * FEW_RECORDS
        assert (pair.lower.reading, len(keys.waiting)) == (False, 1)
        keys.take_turns()
    assert pair.lower.reading


def test_who_does_not_read_what_is_answered_to_it(pair: Pair, keys: Keys) -> None:
    """It is let go where more than a little waits; at an answer that can go nothing happens."""

    def answer(*_: object) -> tuple[list[bytes], bool]:
        keys.outgoing.write(b"answer")
        return [], False

    pair.transport.write(b"first")
    pair.lower.take()
    with mock.patch.object(keys, "open", answer):
        pair.transport.data_received(b"\x17\3\3\0\x01x")
        assert (pair.lower.take(), pair.lower.aborted) == ([b"answer"], False)
        with mock.patch.object(pair.lower, "get_write_buffer_size", return_value=HIGH_WATER):
            pair.transport.data_received(b"\x17\3\3\0\x01x")
        assert not pair.lower.aborted
        with mock.patch.object(pair.lower, "get_write_buffer_size", return_value=HIGH_WATER + 1):
            pair.transport.data_received(b"\x17\3\3\0\x01x")
    assert pair.lower.aborted


def test_a_hello_of_ssl_2(keys: Keys) -> None:
    """It is no TLS: it has another head, which nothing here can count."""
    pair = Pair(keys)
    pair.transport.data_received(b"\x80\x2e\x01\x03\x03")
    assert pair.lower.aborted
    assert not keys.waiting


def test_large_records_wait_for_no_turn(pair: Pair, keys: Keys) -> None:
    """However much comes at once."""
    pair.transport.data_received(pair.say(b"x" * 200_000))
    assert len(pair.above.received) == 200_000
    assert not keys.waiting


def test_who_stops_reading_in_a_flood(pair: Pair, keys: Keys) -> None:
    """Nothing is given to it until it reads again."""
    pair.transport.data_received(small(pair, 1_000))
    pair.transport.pause_reading()
    before = pair.above.received
    keys.take_turns()
    assert pair.above.received == before
    assert not pair.transport.is_reading()
    pair.transport.resume_reading()
    assert (pair.lower.reading, len(keys.waiting)) == (False, 1)
    keys.take_turns()
    assert (len(pair.above.received), pair.lower.reading) == (1_000, True)


@pytest.mark.parametrize("how", ["close", "abort", "lost"])
def test_the_end_of_a_flood(pair: Pair, keys: Keys, how: str) -> None:
    """What waited is forgotten, whoever ends."""
    pair.transport.data_received(small(pair, 1_000))
    before = pair.above.received
    if how == "close":
        pair.transport.close()
        pair.transport.data_received(pair.end())
        assert not pair.lower.closed
    elif how == "abort":
        pair.transport.abort()
    else:
        pair.transport.connection_lost(None)
    keys.take_turns()
    assert pair.above.received == before


@pytest.mark.parametrize("many", [True, False])
def test_who_closes_in_a_flood(pair: Pair, keys: Keys, many: bool) -> None:
    """The rest is thrown away, and TCP's end is waited for: who talks on gets our last."""
    with mock.patch.object(pair.above, "data_received") as received:
        received.side_effect = lambda _: pair.transport.close()
        pair.transport.data_received(small(pair, 1_000 if many else FEW_RECORDS - 1))
    assert pair.lower.reading
    for _ in range(3):
        pair.transport.data_received(pair.say(b"more"))
        keys.take_turns()
    assert not pair.lower.closed
    pair.transport.data_received(pair.end())
    assert pair.lower.closed is not many, "what was not decrypted hides the end of TLS"
    assert not pair.transport.eof_received()


@pytest.mark.parametrize("many", [True, False])
def test_who_closes_at_what_came_behind_the_handshake(keys: Keys, many: bool) -> None:
    """The same: what was not decrypted hides no more than itself."""
    pair = Pair(keys)
    pair.transport.data_received(pair.shake())
    keys.take_turns()
    pair._incoming.write(b"".join(pair.lower.take()))
    with mock.patch.object(pair.above, "connection_made", lambda made: made.close()):
        pair.transport.data_received(pair.shake() + small(pair, 100 if many else 1))
        keys.take_turns()
    pair.transport.data_received(pair.say(b"more"))
    assert not pair.lower.closed
    pair.transport.data_received(pair.end())
    assert pair.lower.closed is not many


def test_who_closes_at_what_a_peer_said_last(pair: Pair, keys: Keys) -> None:
    """The peer has ended by then, and nobody is waited for."""
    pair.transport.data_received(small(pair, 1_000))
    assert pair.transport.eof_received()
    with mock.patch.object(pair.above, "data_received") as received:
        received.side_effect = lambda _: pair.transport.close()
        keys.take_turns()
    assert (received.call_count, pair.lower.closed) == (1, True)


def test_who_closes_where_the_peer_ended_behind_its_handshake(keys: Keys) -> None:
    """The same."""
    pair = Pair(keys)
    pair.transport.data_received(pair.shake())
    keys.take_turns()
    pair._incoming.write(b"".join(pair.lower.take()))
    pair.transport.data_received(pair.shake() + small(pair, 100))
    assert pair.transport.eof_received()
    with mock.patch.object(pair.above, "connection_made", lambda made: made.close()):
        keys.take_turns()
    assert pair.lower.closed


@pytest.mark.parametrize("stays_open", [True, False])
def test_a_peer_that_ends_behind_a_flood(pair: Pair, keys: Keys, stays_open: bool) -> None:
    """What came before its end is taken first, and only then is that told."""
    pair.above.stays_open = stays_open
    pair.transport.data_received(small(pair, 1_000))
    assert pair.transport.eof_received()
    assert (pair.above.log[-1], pair.lower.closed) != ("eof", True)
    keys.take_turns()
    assert len(pair.above.received) == 1_000
    assert pair.above.log[-1] == "eof"
    assert pair.lower.closed is not stays_open


def test_a_peer_that_ends_behind_a_flood_that_was_enough(pair: Pair, keys: Keys) -> None:
    """Nothing is owed to it: the plain transport may close."""
    pair.transport.data_received(small(pair, 1_000))
    pair.transport.close()
    assert not pair.transport.eof_received()


def test_closing(pair: Pair, keys: Keys) -> None:
    """What was written comes first, then the end of both TLS and TCP; the peer's is waited for."""
    pair.transport.write(b"last")
    pair.lower.pause_reading()
    pair.transport.close()
    pair.transport.close()
    pair.transport.write(b"late")
    assert (pair.lower.ended, pair.lower.closed, pair.lower.reading) == (True, False, True)
    assert not pair.lower.aborted
    assert pair.transport.is_closing()
    assert pair.hear() == b"last"
    assert pair.client.read(1) == b""
    pair.transport.data_received(pair.say(b"not heard"))
    assert (pair.lower.closed, keys.due) == (False, [2])
    pair.transport.data_received(pair.end())
    assert pair.lower.closed
    pair.transport.connection_lost(None)
    assert (pair.above.log, keys.due) == (["made", "lost"], [])


@pytest.mark.parametrize("first", [b"", b"\x16", b"GET / HTTP/1.1\r\n\r\n"])
def test_closing_before_the_handshake_is_complete(keys: Keys, first: bytes) -> None:
    """Nothing was written, and nobody is waited for."""
    pair = Pair(keys)
    if first:
        pair.transport.data_received(first)
    pair.transport.close()
    assert pair.lower.aborted


def test_a_peer_that_does_not_end(pair: Pair, keys: Keys) -> None:
    """It is not waited for longer than was said."""
    pair.transport.close()
    keys.deadlines[-1].pass_by()
    assert pair.lower.aborted


def test_closing_at_rest(pair: Pair, keys: Keys) -> None:
    """The end is said behind what was written, and the peer's is not waited for."""
    pair.transport.write(b"last")
    pair.transport.close_at_rest()
    assert (pair.lower.closed, pair.transport.is_closing()) == (True, True)
    assert pair.hear() == b"last"
    assert pair.client.read(1) == b""
    pair.transport.close_at_rest()
    assert (pair.lower.written, keys.due) == ([], [2])
    keys.deadlines[-1].pass_by()
    assert pair.lower.aborted, "it does not read"


def test_a_peer_that_reads_slowly(pair: Pair, keys: Keys) -> None:
    """As long as it reads on, what was written is not cut off; then it has the time to end."""
    pair.lower.queued = 300_000
    pair.transport.close()
    for left in (200_000, 199_999, 0):
        pair.lower.queued = left
        keys.deadlines[-1].pass_by()
        assert not pair.lower.aborted
    keys.deadlines[-1].pass_by()
    assert pair.lower.aborted


def test_a_peer_that_reads_no_more(pair: Pair, keys: Keys) -> None:
    """It is let go of, however much it has read before."""
    pair.lower.queued = 300_000
    pair.transport.close()
    pair.lower.queued = 100_000
    keys.deadlines[-1].pass_by()
    assert not pair.lower.aborted
    keys.deadlines[-1].pass_by()
    assert pair.lower.aborted


@pytest.mark.parametrize("how", ["close_notify", "end of file", "garbage"])
def test_a_peer_that_does_something_else(pair: Pair, how: str) -> None:
    """Behind our end, whatever is not the peer's data is its end."""
    pair.transport.close()
    if how == "end of file":
        assert not pair.transport.eof_received()
        return
    pair.transport.data_received(pair.end() if how == "close_notify" else b"\x17\x03\x03\0\x04junk")
    assert pair.lower.closed
    assert not pair.keys.outgoing.pending


def test_what_is_owed_to_a_peer_that_was_told_the_end(pair: Pair, keys: Keys) -> None:
    """It is forgotten: the next connection gets nothing of it."""
    pair.transport.close()

    def answer(*_: object) -> tuple[list[bytes], bool]:
        keys.outgoing.write(b"answer")
        return [], False

    pair.lower.take()
    with mock.patch.object(keys, "open", answer):
        pair.transport.data_received(b"\x17\3\3\0\x01x")
    assert (keys.outgoing.pending, pair.lower.written) == (0, [])


@pytest.mark.parametrize("at_once", [True, False])
def test_a_flood_behind_our_end(pair: Pair, at_once: bool) -> None:
    """It costs nothing: after a slice at most nothing is decrypted, and TCP's end is waited for."""
    pair.transport.close()
    flood = small(pair, 2_000) + pair.end()
    with mock.patch.object(pair.keys, "open", wraps=pair.keys.open) as opened:
        few = [flood[:400], flood[400:800], flood[800:]]
        for part in [flood] if at_once else few:
            pair.transport.data_received(part)
        assert opened.call_count == (0 if at_once else 2)
    assert not pair.lower.closed
    assert not pair.transport.eof_received()


@pytest.mark.parametrize("stays_open", [True, False])
@pytest.mark.parametrize("said", [True, False])
def test_a_peer_that_ends(pair: Pair, stays_open: bool, said: bool) -> None:
    """Who is above is told once, may still answer, or the connection closes, and says so.

    What comes behind an end is nobody's, least of all another connection's.
    """
    pair.above.stays_open = stays_open
    if said:
        pair.transport.data_received(pair.say(b"last") + pair.end() + b"behind")
        assert pair.keys.open(pair.transport.side, b"") == ([], False)
        assert pair.lower.closed is not stays_open
    else:
        pair.transport.data_received(pair.say(b"last"))
        assert pair.transport.eof_received() is stays_open
    assert pair.above.log == ["made", b"last", "eof"]
    assert pair.keys.due == ([] if stays_open else [2])
    assert pair.transport.is_closing() is not stays_open
    pair.transport.write(b"answer")
    assert pair.hear() == (b"answer" if stays_open else b"")


@pytest.mark.parametrize("by_write", [True, False])
def test_what_waits(pair: Pair, by_write: bool) -> None:
    """Who is above is told when more waits than it said, and once when nothing does any more."""
    pair.lower.queued = HIGH_WATER
    pair.transport.pause_writing()
    pair.transport.write(b"x")
    assert pair.above.log == ["made"]
    pair.lower.queued += 1
    for _ in range(2):
        if by_write:
            pair.transport.write(b"x")
        else:
            pair.transport.pause_writing()
    assert pair.above.log == ["made", "pause"]
    assert pair.transport.get_write_buffer_size() == HIGH_WATER + 1
    for _ in range(2):
        pair.transport.resume_writing()
    assert pair.above.log == ["made", "pause", "resume"]
    pair.lower.queued = 1
    pair.transport.set_write_buffer_limits(high=0)
    assert pair.above.log[-1] == "pause"


def test_records_that_are_pushed(pair: Pair) -> None:
    """They go out as they are, in their place."""
    pair.transport.set_write_buffer_limits(high=0)
    pair.transport.write(b"zero")
    pair.transport.side.write(b"one")
    records = pair.keys.outgoing.read()
    pair.lower.queued = 1
    pair.transport.push(records)
    assert pair.above.log == ["made", "pause"]
    pair.transport.write(b"two")
    assert pair.hear() == b"zeroonetwo"


def test_a_ticket_goes_with_what_is_written_first(keys: Keys) -> None:
    """Nobody waits for it; with the version before, the client does for what comes in its place."""
    pair = Pair(keys)
    pair.transport.data_received(pair.shake())
    keys.take_turns()
    pair._incoming.write(b"".join(pair.lower.take()))
    pair.transport.data_received(pair.shake())
    keys.take_turns()
    assert (pair.begun, pair.lower.written) == ([None], [])
    pair.transport.write(b"hi")
    (written,) = pair.lower.take()
    assert pair.hear(written) == b"hi"
    assert pair.client.session is not None
    assert pair.client.session.has_ticket
    pair.transport.write(b"ho")
    (written,) = pair.lower.take()
    assert len(written) == len(b"ho") + 22


@pytest.mark.parametrize("ends", ["close", "peer"])
def test_a_ticket_that_nothing_followed(pair: Pair, ends: str) -> None:
    """It goes with the end, in its place."""
    if ends == "close":
        pair.transport.close()
    else:
        pair.transport.data_received(pair.end())
    assert len(pair.lower.written) == 1
    assert pair.hear() == b""


def test_what_it_tells(pair: Pair) -> None:
    """What asks a transport of asyncio gets its answer; reading is the socket's."""
    transport = pair.transport
    assert transport.get_extra_info("sslcontext") is pair.keys.context
    assert transport.get_extra_info("ssl_object") is transport.side
    assert transport.get_extra_info("socket") is pair.lower.socket
    assert transport.get_extra_info("nothing", 7) == 7
    assert transport.get_protocol() is pair.above
    assert not transport.can_write_eof()
    assert not transport.is_closing()
    transport.pause_reading()
    assert not transport.is_reading()
    transport.resume_reading()
    assert transport.is_reading()
    other = type(pair.above)()
    transport.set_protocol(other)
    transport.data_received(pair.say(b"x"))
    assert other.log == [b"x"]
    transport.abort()
    assert pair.lower.aborted
    assert transport.is_closing()
    transport.data_received(pair.say(b"y"))
    assert other.log == [b"x"]


def test_a_connection_that_was_lost(pair: Pair) -> None:
    """It is told once, and keeps nobody."""
    for _ in range(2):
        pair.transport.connection_lost(None)
    assert pair.above.log == ["made", "lost"]
    assert pair.transport.get_protocol() is not pair.above
    assert not pair.transport.eof_received()
    pair.transport.write(b"late")
    assert pair.lower.written == []
