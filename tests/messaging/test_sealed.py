"""Writing to many encrypted connections: each gets its own records, whole and in order."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.messaging.bulk_sender import BulkSender
from greenroom.messaging.members import SealedPart
from greenroom.messaging.sealed import AROUND, SLICE_BYTES, SealedSender
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.protocol.wishes import View
from greenroom.tls.keys import RECORD_BYTES
from tests.stand_ins.stage import claims_of
from tests.stand_ins.tls_pair import Keys, Pair


class Viewer:
    """A viewer's encrypted connection over a real socket; also what the hub sees of it."""

    user_id = key_id = ""
    view = View.PLAIN
    may_moderate = False
    is_bot = False
    is_open = True
    origin = b""
    claims = claims_of()
    attributes: Mapping[str, str] = {}
    shown_names = ()

    def __init__(self, keys: Keys) -> None:
        self.pair = Pair(keys)
        self.pair.open()
        # Nobody is written to before he was answered.
        self.pair.transport.write(b"101")
        assert self.pair.hear() == b"101"
        mine, self.theirs = socket.socketpair()
        self.mine = self.pair.lower.socket = mine
        mine.setblocking(False)
        self.theirs.setblocking(False)
        self.pair.transport.descriptor = mine.fileno()
        self.heard = b""

    def write(self, data: bytes) -> None:
        self.pair.transport.write(data)

    def renew(self, claims: ChatTokenClaims) -> None: ...

    def revoke(self) -> None: ...

    def expel(self) -> None: ...

    def disconnect(self, reason: str, last: bytes = b"") -> None: ...

    def drain(self) -> None: ...

    def fill(self) -> int:
        """Fill the socket's buffer; return how many bytes that took."""
        written = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                written += self.mine.send(bytes(4096))
        return written

    def hear(self, skip: int = 0) -> bytes:
        """Return what came, behind so many bytes that are no records."""
        came = b""
        with contextlib.suppress(BlockingIOError):
            while piece := self.theirs.recv(1 << 20):
                came += piece
        # What the socket did not take went through the transport, behind it.
        came += b"".join(self.pair.lower.take())
        return self.pair.hear(came[skip:])

    def close(self) -> None:
        self.mine.close()
        self.theirs.close()


@pytest.fixture(scope="module")
def keys() -> Keys:
    """Give the keys of a port."""
    return Keys()


@pytest.fixture(scope="module")
def viewers(keys: Keys) -> Iterator[list[Viewer]]:
    """Give open connections, more than are sent to one by one."""
    made = [Viewer(keys) for _ in range(50)]
    yield made
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def ring() -> BulkSender | None:
    """Give a sender by one system call, where the system has one."""
    try:
        return BulkSender(64)
    except OSError:
        return None


def part(viewers: list[Viewer]) -> SealedPart:
    """Return a part of a room."""
    return SealedPart([(each, each.pair.transport) for each in viewers])


@pytest.mark.parametrize("number", [1, 31, 32, 50])
@pytest.mark.parametrize("size", [1, 420, 4_200, RECORD_BYTES, RECORD_BYTES + 1])
@pytest.mark.parametrize("by_ring", [True, False])
def test_everybody_gets_everything(
    viewers: list[Viewer], ring: BulkSender | None, number: int, size: int, by_ring: bool
) -> None:
    """By one system call or many, in records of any size, in slices."""
    sender = SealedSender(ring if by_ring else None)
    here = viewers[:number]
    for text in (b"a" * size, b"b" * size):
        sender.send([(part(here), text)])
        assert all(each.hear() == text for each in here)


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 3_000)), max_size=6))
def test_many_rooms_at_once(
    viewers: list[Viewer], ring: BulkSender | None, rooms: list[tuple[int, int]]
) -> None:
    """Each room hears its own, however many share a call."""
    left = iter(viewers)
    expected: dict[Viewer, bytes] = {}
    messages = []
    for number, size in rooms:
        here = [each for each, _ in zip(left, range(number), strict=False)]
        text = b"%d" % size * (size // 4 + 1)
        if here:
            messages.append((part(here), text))
            expected |= dict.fromkeys(here, text)
    SealedSender(ring).send(messages)
    assert {each: each.hear() for each in viewers} == {
        each: expected.get(each, b"") for each in viewers
    }


@given(st.lists(st.integers(-1, 700), min_size=40, max_size=40))
def test_what_a_socket_does_not_take(viewers: list[Viewer], keys: Keys, took: list[int]) -> None:
    """The rest goes through the transport: the same records, not new ones, wherever they break."""
    sender = mock.Mock(BulkSender, most=1024)

    def send_each(descriptors: list[int], ends: list[int], data: bytes) -> list[tuple[int, int]]:
        short, begin = [], 0
        for number, (end, share) in enumerate(zip(ends, took, strict=True)):
            sent = max(0, min(share, end - begin))
            viewers[number].mine.send(data[begin : begin + sent])
            if sent != end - begin:
                short.append((number, sent))
            begin = end
        return short

    sender.send_each.side_effect = send_each
    here = viewers[:40]
    SealedSender(sender).send([(part(here), b"x" * 400)])
    assert all(each.hear() == b"x" * 400 for each in here)


@pytest.mark.parametrize("by_ring", [True, False])
def test_a_full_socket(keys: Keys, ring: BulkSender | None, by_ring: bool) -> None:
    """Nobody else is delayed, and its own come in order when there is room."""
    made = [Viewer(keys) for _ in range(40)]
    written = made[7].fill()
    sender = SealedSender(ring if by_ring else None)
    sender.send([(part(made), b"one")])
    assert made[7].pair.lower.written
    sender.send([(part(made[:7] + made[8:]), b"two")])
    made[7].write(b"two")
    for number, each in enumerate(made):
        assert each.hear(written if number == 7 else 0) == b"onetwo"
        each.close()


@pytest.mark.parametrize("by_ring", [True, False])
def test_who_has_ended(keys: Keys, ring: BulkSender | None, by_ring: bool) -> None:
    """A connection that is closing, or whose peer is gone, takes nothing from the others."""
    made = [Viewer(keys) for _ in range(40)]
    made[3].pair.transport.close()
    assert made[3].hear() == b""
    made[5].mine.close()
    SealedSender(ring if by_ring else None).send([(part(made), b"x")])
    heard = [each.hear() for number, each in enumerate(made) if number not in {3, 5}]
    assert heard == [b"x"] * 38
    assert made[3].hear() == b""
    for each in made:
        each.close()


def test_slices(viewers: list[Viewer]) -> None:
    """No call is given more than its buffer holds, nor more sockets than it can take."""
    sender = mock.Mock(BulkSender, most=45)
    sizes = []

    def send_each(descriptors: list[int], ends: list[int], data: bytes) -> list[object]:
        sizes.append((len(descriptors), len(ends), len(data)))
        return []

    sender.send_each.side_effect = send_each
    SealedSender(sender).send([(part(viewers), b"x" * 10), (part(viewers[:40]), b"y" * 10)])
    assert [number for number, _, _ in sizes] == [45, 45]
    sizes.clear()
    SealedSender(sender).send([(part(viewers), b"x" * 3_900)])
    assert sum(number for number, _, _ in sizes) + 50 % (SLICE_BYTES // (3_900 + AROUND)) >= 32
    assert all(size <= SLICE_BYTES for _, _, size in sizes)
    for each in viewers:
        # What the stand-in was given is lost: these connections are over.
        each.close()
