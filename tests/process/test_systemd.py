"""systemd's two protocols, without systemd: variables, descriptors and a datagram socket."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from greenroom.process import systemd
from greenroom.process.systemd import SocketsRefused, listening_sockets, notify


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """Give a socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def given(number: int, **variables: str) -> dict[str, str]:
    """Return the variables of a process that was given so many sockets."""
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(number), **variables}


def test_sockets_are_taken_once(listening: socket.socket) -> None:
    """Each descriptor becomes a socket that no child inherits; the variables are gone then."""
    environment = given(1, LISTEN_FDNAMES="chat", OTHER="kept")
    descriptor = os.dup(listening.fileno())
    os.set_inheritable(descriptor, True)
    (taken,) = listening_sockets(environment, descriptor)
    with taken:
        assert taken.getsockname() == listening.getsockname()
        assert not os.get_inheritable(taken.fileno())
    assert environment == {"OTHER": "kept"}
    assert listening_sockets(environment, descriptor) == []


def test_several_sockets(listening: socket.socket) -> None:
    """They have the descriptors that follow, and the names in their order, as far as there are."""
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as deaf:
        descriptors = [os.dup(listening.fileno()), os.dup(other.fileno())]
        first = 900
        for number, descriptor in enumerate((*descriptors, os.dup(deaf.fileno()))):
            os.dup2(descriptor, first + number)
            os.close(descriptor)
        taken = listening_sockets(given(2, LISTEN_FDNAMES="one:two"), first)
        addresses = [each.getsockname() for each in taken]
        with pytest.raises(SocketsRefused, match=rf"{first + 2} \(three\) of LISTEN_FDS"):
            listening_sockets(given(1, LISTEN_FDNAMES="three"), first + 2)
        assert addresses == [listening.getsockname(), other.getsockname()]
        for each in taken:
            each.close()


def test_fewer_names_than_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those behind the last one have none."""
    taken: list[tuple[int, str]] = []
    monkeypatch.setattr(systemd, "_listening", lambda *each: taken.append(each))
    listening_sockets(given(3, LISTEN_FDNAMES="one:two"), 7)
    assert taken == [(7, "one"), (8, "two"), (9, "")]


def test_a_socket_without_a_name() -> None:
    """It is told of as unnamed."""
    with socket.socket() as deaf:
        descriptor = os.dup(deaf.fileno())
        with pytest.raises(SocketsRefused, match=rf"{descriptor} \(unnamed\) of LISTEN_FDS"):
            listening_sockets(given(1), descriptor)


@pytest.mark.parametrize(
    "variables",
    [{}, given(1, LISTEN_PID="1"), given(1, LISTEN_FDS="many"), given(0)],
    ids=["none", "another process", "no number", "no socket"],
)
def test_nothing_is_given(variables: dict[str, str]) -> None:
    """What is not for this process is left alone."""
    assert listening_sockets(variables) == []


def test_what_cannot_be_served_on(tmp_path: Path) -> None:
    """A descriptor that does not listen on TCP is refused with its number and name."""
    with ExitStack() as stack:
        file = stack.enter_context((tmp_path / "file").open("wb"))
        connected, _ = [stack.enter_context(each) for each in socket.socketpair()]
        deaf = stack.enter_context(socket.socket())
        for what in (file, connected, deaf):
            descriptor = os.dup(what.fileno())
            with pytest.raises(SocketsRefused, match=rf"{descriptor} \(chat\) of LISTEN_FDS is no"):
                listening_sockets(given(1, LISTEN_FDNAMES="chat"), descriptor)
            if what is file:
                os.close(descriptor)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool
) -> None:
    """Lines arrive in one datagram, at a path or an abstract name."""
    path = f"@{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind("\0" + path[1:] if abstract else path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        notify(systemd.READY, "MAINPID=1")
        assert told.recv(100) == b"READY=1\nMAINPID=1"


def test_who_does_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue loses the message and stops nobody."""
    monkeypatch.setattr(systemd, "PATIENCE_SECONDS", 0.001)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        for _ in range(1000):
            notify(systemd.READY, path=str(tmp_path / "notify"))


def test_nobody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd, or when it does not listen, nothing happens."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify(systemd.READY)
    notify(systemd.READY, path=str(tmp_path / "missing"))
