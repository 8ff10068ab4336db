import errno
import os
import socket
from unittest import mock

import pytest

from greenroom.entrance.sockets import (
    BACKLOG,
    AddressInUse,
    AddressRefused,
    Listening,
    bound,
    listening,
)
from greenroom.process import systemd
from greenroom.settings.load import load
from greenroom.settings.values import Settings


def settings(host: str = "127.0.0.1", port: int = 0) -> Settings:
    """Return settings that say where to listen."""
    return load({"host": host, "port": str(port)}, {}, None)


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "192.0.2.1"])
def test_addresses_that_cannot_be_listened_on(host: str) -> None:
    """An address that is none, or another machine's, is refused with its name."""
    with pytest.raises(AddressRefused, match=host), bound(host, 0):
        pass


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused with what the resolver says."""
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    monkeypatch.setattr(socket, "getaddrinfo", mock.Mock(side_effect=unknown))
    with pytest.raises(AddressRefused, match="nowhere is not an address: Name or"):
        bound("nowhere", 0)


def test_a_taken_port() -> None:
    """A port is listened on once, and free again afterwards."""
    with bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with (
            pytest.raises(AddressInUse, match=f"port {port}.*--port 0"),
            bound("127.0.0.1", port),
        ):
            pass
    with bound("127.0.0.1", port) as again:
        assert again.getsockname()[1] == port
    assert first.fileno() == -1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_listening_until_the_end(host: str) -> None:
    """A socket is bound where the settings say, and closed with the block."""
    with listening(settings(host)) as found:
        assert (found.hosts, found.by_systemd) == ([host], False)
        assert found.port > 0
        (copy,) = found.copies()
        with copy:
            assert copy.fileno() != found.sockets[0].fileno()
            assert copy.getsockname() == found.sockets[0].getsockname()
    assert found.sockets[0].fileno() == -1


def test_a_takeover_keeps_the_address() -> None:
    """What the running process gave is listened on; settings that say another are refused."""
    given = Listening([bound("127.0.0.1", 0)])
    for port in (0, given.port):
        copy = Listening(given.copies())
        with listening(settings(port=port), copy) as found:
            assert found is copy
        assert copy.sockets[0].fileno() == -1
    for host, port in (("127.0.0.2", given.port), ("127.0.0.1", given.port ^ 1), ("::1", 0)):
        with (
            pytest.raises(
                AddressRefused,
                match=rf"listens on 127\.0\.0\.1 port {given.port}.* say {host} port {port}",
            ),
            listening(settings(host, port), given),
        ):
            pass
    given.close()


def test_sockets_of_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go before the settings, and a takeover leaves their address to systemd, too."""
    for received in (False, True):
        sockets = [bound("127.0.0.1", 0), bound("127.0.0.2", 0)]
        with monkeypatch.context() as patched:
            patched.setattr(systemd, "listening_sockets", lambda s=sockets: list(s))
            before = Listening(sockets, by_systemd=True) if received else None
            with listening(settings("::1", 7), before) as found:
                assert (found.sockets, found.by_systemd) == (sockets, True)
                assert found.hosts == ["127.0.0.1", "127.0.0.2"]
                assert found.port == sockets[0].getsockname()[1]
        assert [each.fileno() for each in sockets] == [-1, -1]


def test_sockets_of_systemd_that_cannot_be_served_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is told."""

    def refuse() -> list[socket.socket]:
        raise systemd.SocketsRefused("descriptor 3 is no socket")

    monkeypatch.setattr(systemd, "listening_sockets", refuse)
    with pytest.raises(AddressRefused, match="descriptor 3 is no socket"), listening(settings()):
        pass


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EACCES, "below 1024"),
        (errno.EADDRNOTAVAIL, "--host must be"),
        (errno.EMFILE, None),
        (None, None),
    ],
)
def test_an_address_that_fails(
    number: int | None, hint: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is closed, and the reason is followed by what helps, where that is known."""
    made: list[socket.socket] = []

    class Failing(socket.socket):
        def listen(self, backlog: int = 0, /) -> None:
            made.append(self)
            raise OSError() if number is None else OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "socket", Failing)
    with pytest.raises(AddressRefused) as refused:
        bound("127.0.0.1", 0)
    assert made[0].fileno() == -1
    assert type(refused.value) is AddressRefused
    _, told, said = str(refused.value).partition(";")
    assert bool(told) is (hint is not None)
    assert (hint or "") in said


def test_how_it_listens() -> None:
    """An address is free again at once, and many may wait to be accepted."""
    with mock.patch.object(socket.socket, "listen") as waiting:
        made = bound("127.0.0.1", 0)
    with made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert made.type == socket.SOCK_STREAM
    waiting.assert_called_once_with(BACKLOG)
