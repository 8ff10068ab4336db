"""Messages to many sockets with one system call: who gets what, and what is said of it."""

import contextlib
import errno
import mmap
import os
import platform
import random
import socket
import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.messaging import bulk_sender
from greenroom.messaging.bulk_sender import LONGEST, BulkSender, open_bulk_sender
from tests.running.io_uring import needs_io_uring

MOST = 16
ENTER = 426
OWN_DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def sender() -> Iterator[BulkSender]:
    """Give a sender whose queues are short: positions soon come round."""
    made = BulkSender(MOST)
    yield made
    made.close()


class Peers:
    """Pairs of connected sockets."""

    def __init__(self, number: int) -> None:
        self._stack = contextlib.ExitStack()
        self.pairs = [socket.socketpair() for _ in range(number)]
        for mine, theirs in self.pairs:
            self._stack.enter_context(mine)
            self._stack.enter_context(theirs)
            theirs.setblocking(False)

    def __enter__(self) -> Self:
        """Keep the sockets open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close them all."""
        self._stack.close()

    def descriptors(self) -> "array[int]":
        """Return whom to send to; -1 for one that is closed."""
        return array("i", [mine.fileno() for mine, _ in self.pairs])

    def received(self) -> list[bytes]:
        """Return what has come to each since this was last asked."""
        return [_received(theirs) for _, theirs in self.pairs]


def _received(theirs: socket.socket) -> bytes:
    data = bytearray()
    with contextlib.suppress(BlockingIOError, ValueError, OSError):
        while more := theirs.recv(1 << 20):
            data += more
    return bytes(data)


MESSAGES = st.lists(
    st.tuples(
        st.lists(st.sampled_from("ggggbcn"), max_size=MOST), st.binary(min_size=1, max_size=99)
    ),
    max_size=6,
)


@needs_io_uring
@given(rounds=st.lists(MESSAGES, min_size=1, max_size=5))
def test_each_gets_its_own(rounds: list[list[tuple[list[str], bytes]]]) -> None:
    """Wherever a good, a broken, a closed and no socket stand, good ones get it, others are named.

    That holds wherever in the queues a call begins, and for messages of several calls.
    """
    sender = BulkSender(MOST)
    try:
        for messages in rounds:
            with contextlib.ExitStack() as stack:
                peers = [stack.enter_context(Peers(len(kinds))) for kinds, _ in messages]
                sending, expected = [], []
                for index, (these, (kinds, data)) in enumerate(zip(peers, messages, strict=True)):
                    for kind, (mine, theirs) in zip(kinds, these.pairs, strict=True):
                        if kind == "b":
                            theirs.close()
                        elif kind == "c":
                            mine.close()
                    descriptors = these.descriptors()
                    for number, kind in enumerate(kinds):
                        if kind == "n":
                            descriptors[number] = -1
                        if kind != "g":
                            expected.append((index, number, 0))
                    sending.append((descriptors, data))
                assert sender.send(sending) == expected
                for these, (kinds, data) in zip(peers, messages, strict=True):
                    assert these.received() == [data if kind == "g" else b"" for kind in kinds]
    finally:
        sender.close()


@needs_io_uring
def test_a_socket_that_is_full(sender: BulkSender) -> None:
    """What it did not take is told to the byte, and the call does not wait for it."""
    data = bytes(range(256)) * (LONGEST // 256)
    with Peers(3) as peers:
        # Its socket would wait, if the request did not say otherwise.
        assert peers.pairs[1][0].getblocking()
        for number in (0, 2):
            peers.pairs[number][0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * LONGEST)
        taken = b""
        for _ in range(3):
            ((message, who, sent),) = sender.send([(peers.descriptors(), data)])
            assert (message, who) == (0, 1)
            taken += data[:sent]
            assert [_received(peers.pairs[number][1]) for number in (0, 2)] == [data, data]
        assert peers.received() == [b"", taken, b""]
        assert sender.send([(peers.descriptors(), b"again")]) == []


@needs_io_uring
def test_a_socket_twice(sender: BulkSender) -> None:
    """Messages for the same socket come in their order, though more than fit into one call."""
    with Peers(1) as peers:
        descriptors = peers.descriptors()
        messages = [(descriptors, b"%03d" % number) for number in range(5 * MOST)]
        assert sender.send(messages) == []
        assert peers.received() == [b"".join(data for _, data in messages)]
        long = [(descriptors, bytes([number]) * (LONGEST // 2 + 1)) for number in range(3)]
        short = sender.send(long)
        (received,) = peers.received()
        assert short
        taken = {index: sent for index, _, sent in short}
        expected = [data[: taken.get(number, len(data))] for number, (_, data) in enumerate(long)]
        assert received == b"".join(expected)


@needs_io_uring
@pytest.mark.parametrize(
    ("messages", "calls"),
    [
        ([(MOST, 1)], 1),
        ([(MOST - 1, 1), (1, 1)], 1),
        ([(MOST - 1, 1), (2, 1)], 2),
        ([(1, LONGEST)], 1),
        ([(1, LONGEST - 1), (1, 1)], 1),
        ([(1, LONGEST - 1), (1, 2)], 2),
        ([(MOST, 1), (MOST, 1), (MOST, 1)], 3),
    ],
)
def test_as_much_as_fits_into_a_call(
    sender: BulkSender, messages: list[tuple[int, int]], calls: int
) -> None:
    """So many sockets and bytes go with one call, and one more of either needs another."""
    with mock.patch.object(sender, "_submit", wraps=sender._submit) as submitting:
        sender.send([(array("i", (-1,) * number), b"x" * size) for number, size in messages])
    assert submitting.call_count == calls


@needs_io_uring
def test_what_the_kernel_says_is_told(sender: BulkSender) -> None:
    """A call that it refuses is an error with the kernel's reason; one of nothing is none."""
    with pytest.raises(OSError, match=os.strerror(errno.ENOSYS)) as refused:
        sender._call(1 << 20)
    assert refused.value.errno == errno.ENOSYS
    assert sender._call(ENTER, sender._ring, 0, 0, 0) == 0
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        sender._call(ENTER, -1, 0, 0, 0)


@needs_io_uring
def test_a_kernel_that_takes_fewer(sender: BulkSender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those it did not take are named, once and for all: a later call does not send it to them."""
    call = sender._call
    with Peers(6) as peers:
        for taken in (4, 0, 6):

            def scarce(*arguments: int, taken: int = taken) -> int:
                number, ring, *_ = arguments
                if not taken:
                    raise OSError(errno.ENOMEM, "no memory")
                return call(number, ring, taken, 0, 0)

            monkeypatch.setattr(sender, "_call", scarce)
            short = sender.send([(peers.descriptors(), b"%d" % taken)])
            assert short == [(0, number, 0) for number in range(taken, 6)]
        assert peers.received() == [b"46"] * 4 + [b"6"] * 2


@needs_io_uring
def test_a_wait_that_a_signal_interrupts(
    sender: BulkSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on: the kernel may still read the data."""
    call, done = sender._call, sender._done
    waits: list[int] = []
    submitted: list[tuple[int, ...]] = []

    class Late:
        """The kernel's position, which comes to the end after three looks."""

        def __getitem__(self, index: int) -> int:
            return done[index] - (1 if submitted and len(waits) < 3 else 0)

    def interrupted(*arguments: int) -> int:
        if arguments[2] == 0:
            waits.append(arguments[3])
            raise InterruptedError
        submitted.append(arguments)
        return call(*arguments)

    monkeypatch.setattr(sender, "_call", interrupted)
    monkeypatch.setattr(sender, "_done", Late())
    with Peers(2) as peers:
        assert sender.send([(peers.descriptors(), b"x")]) == []
        assert waits == [1, 1, 1]


@needs_io_uring
def test_after_a_failure(sender: BulkSender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that nobody looked at are not taken for those of the next call."""

    def fail(*_: object) -> None:
        raise MemoryError

    with Peers(3) as peers:
        with monkeypatch.context() as patched:
            patched.setattr(bulk_sender, "_get", fail)
            with pytest.raises(MemoryError):
                sender.send([(array("i", (-1, -1, peers.descriptors()[2])), b"one")])
        assert peers.received() == [b"", b"", b"one"]
        assert sender.send([(peers.descriptors(), b"two")]) == []
        assert peers.received() == [b"two"] * 3


@needs_io_uring
def test_another_thread(sender: BulkSender) -> None:
    """The kernel refuses it: nothing is sent, and all are named."""
    with Peers(2) as peers:
        said: list[object] = []
        message = (peers.descriptors(), b"x")
        thread = threading.Thread(target=lambda: said.extend(sender.send([message])))
        thread.start()
        thread.join()
        assert said == [(0, 0, 0), (0, 1, 0)]
        assert peers.received() == [b"", b""]
        assert sender.send([message]) == []
        assert peers.received() == [b"x", b"x"]


class Kernel:
    """In place of the kernel: takes some requests, and ends them in any order."""

    def __init__(self, requests: int, position: int, chance: random.Random) -> None:
        self.chance, self.requests = chance, requests
        sender = self.sender = BulkSender.__new__(BulkSender)
        sender.most, sender._ring, sender._data_at = requests, -1, 1000
        words = [memoryview(array("I", [position % (1 << 32)])) for _ in range(4)]
        sender._submitted, sender._taken, sender._seen, sender._done = words
        sender._descriptors, sender._lengths, sender._sent, sender._places = (
            memoryview(array("i", [0] * number))
            for number in (requests, requests, 2 * requests, 2 * requests)
        )
        sender._addresses = memoryview(array("Q", [0] * requests))
        sender._data = memoryview(bytearray(LONGEST))
        sender._call = self._enter  # type: ignore[method-assign,assignment]
        self.ended: dict[int, int] = {}
        """What each descriptor took of its message; those that were not asked are not there."""

    def _enter(self, number: int, ring: int, submit: int, *_: int) -> int:
        assert (number, ring) == (ENTER, -1)
        sender, results = self.sender, []
        assert (sender._submitted[0] - sender._taken[0]) % (1 << 32) == submit
        self.ended = {}
        taken = self.chance.choice((submit, submit, self.chance.randint(0, submit)))
        for place in ((sender._taken[0] + index) % self.requests for index in range(taken)):
            begin, length = sender._addresses[place] - 1000, sender._lengths[place]
            descriptor = sender._descriptors[place]
            assert sender._data[begin : begin + length] == b"%d" % (descriptor // 100) * length
            sent = self.chance.choice((length, length, length, 0, length - 1, -errno.EAGAIN))
            self.ended[descriptor] = max(sent, 0)
            results.append((place, sent))
        self.chance.shuffle(results)
        for index, (place, sent) in enumerate(results):
            at = (sender._done[0] + index) % (2 * self.requests)
            sender._places[at], sender._sent[at] = place, sent
        sender._done[0] = (sender._done[0] + taken) % (1 << 32)
        sender._taken[0] = (sender._taken[0] + taken) % (1 << 32)
        return taken


@given(seed=st.integers(0, 1 << 32))
def test_any_kernel(seed: int) -> None:
    """Whatever it takes, in whatever order it ends, also where the positions begin anew.

    That is after 2**32 deliveries, half a day of a busy node.
    """
    chance = random.Random(seed)
    kernel = Kernel(chance.choice((8, 16)), -chance.randint(0, 30), chance)
    for _ in range(5):
        numbers = [chance.randint(0, 3) for _ in range(chance.randint(0, 2))]
        # A descriptor tells its message and its own number.
        messages = [
            (array("i", range(100 * index, 100 * index + number)), b"%d" % index * 5)
            for index, number in enumerate(numbers)
        ]
        everybody = {
            each: (index, each % 100) for index, (d, _) in enumerate(messages) for each in d
        }
        short = kernel.sender.send(messages)
        took = {each: kernel.ended.get(each, 0) for each in everybody}
        expected = [(*everybody[each], sent) for each, sent in took.items() if sent != 5]
        assert short == expected
        assert kernel.sender._submitted[0] == kernel.sender._taken[0]
        assert kernel.sender._seen[0] == kernel.sender._done[0]


# -------------------------------------------------------------------------- a system without it


def rings() -> int:
    """Return how many queues this process holds."""
    links = []
    for entry in OWN_DESCRIPTORS.iterdir() if OWN_DESCRIPTORS.exists() else ():
        with contextlib.suppress(OSError):
            links.append(str(entry.readlink()))
    return links.count("anon_inode:[io_uring]")


@needs_io_uring
def test_it_gives_its_descriptors_back() -> None:
    """Nothing is left of one that was closed."""
    before = rings()
    made = open_bulk_sender(MOST)
    assert made is not None
    assert rings() > before
    made.close()
    del made
    assert rings() == before


def _refuse(error: int) -> Callable[..., int]:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(error, os.strerror(error))

    return refuse


def _refuse_enter(call: Callable[..., int]) -> Callable[..., int]:
    def refuse(self: BulkSender, *arguments: int) -> int:
        return _refuse(errno.EPERM)() if arguments[0] == ENTER else call(self, *arguments)

    return refuse


@needs_io_uring
def test_queues_that_cannot_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are given back, and whoever asked is told why."""
    before = rings()
    monkeypatch.setattr(mmap, "mmap", _refuse(errno.ENOMEM))
    with pytest.raises(OSError, match=os.strerror(errno.ENOMEM)):
        BulkSender(MOST)
    assert rings() == before


@pytest.mark.parametrize(
    ("short", "sends", "good"),
    [([(0, 0, 0)], True, True), ([(0, 0, 0)], False, False), ([], True, False)],
)
def test_a_sender_is_seen_to_work(
    short: list[tuple[int, int, int]], sends: bool, good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message must arrive where it was sent, and its failure where it cannot be told."""

    def send(_: object, messages: list[tuple["array[int]", bytes]]) -> list[tuple[int, int, int]]:
        ((descriptors, data),) = messages
        if sends:
            os.write(descriptors[1], data)
        return short

    monkeypatch.setattr(BulkSender, "__init__", lambda *_: None)
    monkeypatch.setattr(BulkSender, "close", lambda _: None)
    monkeypatch.setattr(BulkSender, "send", send)
    assert (open_bulk_sender(MOST) is not None) is good


@pytest.mark.parametrize(
    ("where", "name", "what"),
    [
        (platform, "machine", lambda: "pdp11"),
        (BulkSender, "_call", _refuse(errno.EPERM)),
        (BulkSender, "_call", _refuse_enter(BulkSender._call)),
        (mmap, "mmap", _refuse(errno.ENOMEM)),
        (socket, "socketpair", _refuse(errno.EMFILE)),
        (BulkSender, "send", lambda *_: []),
    ],
    ids=["machine", "setup", "enter", "memory", "descriptors", "silence"],
)
def test_a_system_that_has_none(
    where: object, name: str, what: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service does without: nothing is raised, and no descriptor stays open."""
    before = rings()
    monkeypatch.setattr(where, name, what)
    assert open_bulk_sender(MOST) is None
    assert rings() == before
