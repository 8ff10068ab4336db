"""The same bytes to many sockets with one system call: who gets what, and what is said of it."""

import contextlib
import errno
import mmap
import platform
import socket
from array import array
from collections.abc import Iterator
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.messaging.bulk_sender import FEWEST, LONGEST, BulkSender, open_bulk_sender
from tests.io_uring import needs_io_uring

MOST = 16


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

    def received(self, number: int) -> bytes:
        """Return what has come to one of them since it was last looked at."""
        data = bytearray()
        with contextlib.suppress(BlockingIOError):
            while more := self.pairs[number][1].recv(1 << 20):
                data += more
        return bytes(data)


def next_descriptor() -> int:
    """Return the lowest that is free: one that leaked shifts it."""
    with socket.socket() as probe:
        return probe.fileno()


@needs_io_uring
@given(
    rounds=st.lists(
        st.tuples(
            st.lists(st.sampled_from("ggggbcn"), max_size=MOST), st.binary(min_size=1, max_size=99)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_each_gets_its_own(rounds: list[tuple[list[str], bytes]]) -> None:
    """Wherever a good, a broken, a closed and no socket stand, good ones get it, others are named.

    That holds wherever in the queues the round begins.
    """
    sender = BulkSender(MOST)
    try:
        for kinds, data in rounds:
            with Peers(len(kinds)) as peers:
                for kind, (mine, theirs) in zip(kinds, peers.pairs, strict=True):
                    if kind == "b":
                        theirs.close()
                    elif kind == "c":
                        mine.close()
                descriptors = peers.descriptors()
                for number, kind in enumerate(kinds):
                    if kind == "n":
                        descriptors[number] = -1
                good = [number for number, kind in enumerate(kinds) if kind == "g"]
                expected = [(number, 0) for number in range(len(kinds)) if number not in good]
                assert sorted(sender.send(descriptors, data)) == expected
                assert [peers.received(number) for number in good] == [data] * len(good)
    finally:
        sender.close()


@needs_io_uring
def test_a_socket_that_is_full(sender: BulkSender) -> None:
    """What it did not take is told to the byte, and the call does not wait for it."""
    data = bytes(range(256)) * (LONGEST // 256)
    with Peers(3) as peers:
        # Its socket would wait, if the request did not say otherwise.
        assert peers.pairs[1][0].getblocking()
        peers.pairs[0][0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * LONGEST)
        peers.pairs[2][0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * LONGEST)
        taken = b""
        for _ in range(3):
            ((who, sent),) = sender.send(peers.descriptors(), data)
            assert who == 1
            taken += data[:sent]
            assert [peers.received(number) for number in (0, 2)] == [data, data]
        assert peers.received(1) == taken
        assert sender.send(peers.descriptors(), b"again") == []


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
            short = sender.send(peers.descriptors(), b"%d" % taken)
            assert short == [(number, 0) for number in range(taken, 6)]
        received = [peers.received(number) for number in range(6)]
        assert received == [b"46"] * 4 + [b"6"] * 2


@needs_io_uring
def test_a_wait_that_a_signal_interrupts(
    sender: BulkSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on: the kernel may still read the data."""
    call, done = sender._call, sender._done
    waits: list[int] = []

    class Late:
        """The kernel's position, which comes to the end after three looks."""

        def __getitem__(self, index: int) -> int:
            return done[index] - (1 if len(waits) < 3 else 0)

    def interrupted(*arguments: int) -> int:
        if arguments[2] == 0:
            waits.append(arguments[3])
            raise InterruptedError
        return call(*arguments)

    monkeypatch.setattr(sender, "_call", interrupted)
    monkeypatch.setattr(sender, "_done", Late())
    with Peers(2) as peers:
        assert sender.send(peers.descriptors(), b"x") == []
        assert waits == [1, 1, 1]


@needs_io_uring
def test_what_it_takes(sender: BulkSender) -> None:
    """Few connections are cheaper one at a time; what does not fit is not cut."""
    made = BulkSender(1024)
    made.close()
    assert [made.takes(number, 1) for number in (FEWEST - 1, FEWEST, 1024, 1025)] == [
        False,
        True,
        True,
        False,
    ]
    assert [made.takes(FEWEST, size) for size in (LONGEST, LONGEST + 1)] == [True, False]


@needs_io_uring
def test_it_gives_its_descriptors_back() -> None:
    """Neither one that works nor one that failed half-way leaves any behind."""
    before = next_descriptor()
    for _ in range(20):
        made = open_bulk_sender(MOST)
        assert made is not None
        made.close()
        del made
    assert next_descriptor() == before


@pytest.mark.parametrize("refusal", ["machine", "kernel", "memory", "silence"])
def test_a_system_that_has_none(refusal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service does without: nothing is raised, and no descriptor stays open."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EPERM, "not permitted")

    if refusal == "machine":
        monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    elif refusal == "kernel":
        monkeypatch.setattr(BulkSender, "_call", refuse)
    elif refusal == "memory":
        monkeypatch.setattr(mmap, "mmap", refuse)
    else:
        monkeypatch.setattr(BulkSender, "send", lambda *_: [(0, 0)])
    before = next_descriptor()
    assert open_bulk_sender(MOST) is None
    assert next_descriptor() == before
