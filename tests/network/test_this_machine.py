"""Who counts as being on this machine."""

import pytest

from greenroom.network.this_machine import is_from_here, is_loopback

HERE = b"127.0.0.1:8470"


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_loopback(address: str, local: bool) -> None:
    """An address that means every interface is not this machine's alone."""
    assert is_loopback(address) is local
    assert is_from_here(address, {b"host": HERE}) is local


@pytest.mark.parametrize(
    "header",
    [
        *("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
        *("x-forwarded-server", "x-real-ip"),
    ],
)
def test_what_a_proxy_here_passes_on_is_not_local(header: str) -> None:
    """A proxy on the machine does not make everybody local who calls it."""
    assert not is_from_here("127.0.0.1", {b"host": HERE, header.encode(): b"127.0.0.1"})


def test_nobody_knows_the_peer() -> None:
    """Without an address nobody is local."""
    assert not is_from_here("", {b"host": HERE})


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in ("localhost", "LOCALHOST:8470", "127.0.0.1", "127.1.2.3:1")),
        *((host, True) for host in ("[::1]", "[::1]:8470")),
        *(
            (host, False)
            for host in ("evil.com", "evil.com:8470", "", ":8470", "localhost.evil.com")
        ),
        *(
            (host, False)
            for host in ("127.0.0.1.evil.com", "192.0.2.1", "0.0.0.0", "[::]", "[", "]")
        ),
        *((host, False) for host in ("localhost:80:80", "evil.com\xff", "127.0.0.1@evil.com")),
        *((host, False) for host in ("[::1%eth0]", "[::1%; script-src *]", "127.0.0.1%x")),
        *((host, False) for host in ("[::1x", "x::1]")),
    ],
)
def test_names_that_others_gave_this_machine(host: str, local: bool) -> None:
    """A page whose own name leads to this machine is not local: a browser says that name."""
    assert is_from_here("127.0.0.1", {b"host": host.encode("latin-1")}) is local
