"""What a server says, cut anywhere: messages go to their listeners, all else to nats-py."""

import asyncio
import itertools
from unittest import mock

import pytest

from greenroom.bus.nats.straight import Straight, command

MESSAGES = [(b"a.b", b"", b"plain"), (b"a.c", b"NATS/1.0\r\nA: 1\r\n\r\n", b"with\r\nPING\r\n")]
ALL = (
    b"PING\r\n"
    b"MSG a.b 1 5\r\nplain\r\n"
    b"MSG other 2 reply 3\r\nnot\r\n"
    b"HMSG a.c 1 reply 18 30\r\nNATS/1.0\r\nA: 1\r\n\r\nwith\r\nPING\r\n\r\n"
    b"HMSG other 2 12 12\r\nNATS/1.0\r\n\r\n\r\n"
    b"+OK\r\n"
)
OTHERS = b"PING\r\nMSG other 2 reply 3\r\nnot\r\nHMSG other 2 12 12\r\nNATS/1.0\r\n\r\n\r\n+OK\r\n"


class Behind(asyncio.Protocol):
    """Keeps what it is given. A mock takes fifty times as long, in twenty thousand cuts."""

    def __init__(self) -> None:
        self.given = b""

    def data_received(self, data: bytes) -> None:
        self.given += data


class Made:
    """One that has a listener, and nats-py behind it."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, bytes, bytes]] = []
        self.behind = Behind()
        self.whole = True
        listeners = {b"1": lambda *message: self.heard.append(message)}
        self.straight = Straight(self.behind, listeners, lambda: self.whole)

    @property
    def others(self) -> bytes:
        """What nats-py was given."""
        return self.behind.given


def test_what_a_server_says_may_be_cut_anywhere() -> None:
    """Into two or three parts, or all its bytes."""
    cuts = [*itertools.combinations(range(len(ALL) + 1), 2), tuple(range(1, len(ALL)))]
    for cut in cuts:
        made = Made()
        for begin, end in itertools.pairwise((0, *cut, len(ALL))):
            made.straight.data_received(ALL[begin:end])
        assert (made.heard, made.others) == (MESSAGES, OTHERS)


def test_nats_py_ends_what_it_has_begun() -> None:
    """While it has a half of something it reads all by itself; after that it does not again."""
    made = Made()
    made.whole = False
    made.straight.data_received(b"MSG a.b 1 5\r\npl")
    made.straight.data_received(b"ain\r\n")
    assert (made.heard, made.others) == ([], b"MSG a.b 1 5\r\nplain\r\n")
    made.whole = True
    made.straight.data_received(b"MSG a.b 1 5\r\npl")
    made.whole = False
    made.straight.data_received(b"ain\r\n")
    assert made.heard == MESSAGES[:1]


@pytest.mark.parametrize(
    "fault",
    [
        b"MSG a.b 1 x\r\n",
        b"MSG a.b 1 -9\r\n",
        b"MSG\r\n",
        b"MSG a.b 1\r\n",
        b"MSG a b c d e 1\r\n",
        b"HMSG a.b 1 9 5\r\nplain\r\n",
        b"HMSG a.b 1 -1 5\r\nplain\r\n",
        b"\r\n",
        b"what\r\n",
    ],
)
def test_what_no_server_says(fault: bytes) -> None:
    """It is nats-py that ends the connection; nothing loops, and nobody hears of it."""
    made = Made()
    made.straight.data_received(b"MSG a.b 1 5\r\nplain\r\n" + fault)
    assert (made.heard, made.others) == (MESSAGES[:1], fault)
    alone = Made()
    alone.straight.data_received(fault)
    assert (alone.heard, alone.others) == ([], fault)


def test_a_fault_of_a_listener_is_no_fault_of_the_server() -> None:
    """It is raised, which ends the connection; nats-py is not given the message as well."""
    listener = mock.Mock(side_effect=ValueError)
    behind = Behind()
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        Straight(behind, {b"1": listener}, lambda: True).data_received(ALL)
    assert (listener.call_count, behind.given) == (1, b"")


def test_the_rest_is_told_to_nats_py() -> None:
    """Who waits there until more may be written, or the end, goes on."""
    behind = mock.create_autospec(asyncio.Protocol, instance=True)
    straight = Straight(behind, {}, lambda: True)
    error = ConnectionResetError()
    straight.pause_writing()
    straight.resume_writing()
    straight.connection_lost(error)
    behind.eof_received.return_value = True
    assert straight.eof_received() is True
    assert behind.mock_calls == [
        mock.call.pause_writing(),
        mock.call.resume_writing(),
        mock.call.connection_lost(error),
        mock.call.eof_received(),
    ]


def test_what_is_said() -> None:
    """As nats-server reads it: with and without an answer's subject, and headers."""
    assert command("a", b"xyz") == b"PUB a 3\r\nxyz\r\n"
    assert command("a", b"", "b") == b"PUB a b 0\r\n\r\n"
    head = b"NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n"
    assert command("a", b"xyz", "b", {"A": "1", "B": "2"}) == (
        b"HPUB a b %d %d\r\n%bxyz\r\n" % (len(head), len(head) + 3, head)
    )
