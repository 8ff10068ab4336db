from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.network.addresses import Networks, packed, shown
from greenroom.network.forwarded import ForwardedHeader, Origin, TrustedProxies

PROXY, OUTER, CLIENT, LIE = "10.0.0.1", "10.0.0.2", "192.0.2.1", "203.0.113.66"
X = TrustedProxies(Networks(["10.0.0.0/8", "2001:db8::/32"]), proto=True)
RFC = TrustedProxies(Networks(["10.0.0.0/8", "2001:db8::/32"]), ForwardedHeader.FORWARDED)


def xff(*lines: str, proto: str | None = None) -> list[tuple[bytes, bytes]]:
    """Return headers."""
    found = [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]
    return found + ([(b"x-forwarded-proto", proto.encode())] if proto is not None else [])


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        pytest.param([CLIENT], CLIENT, id="one hop"),
        pytest.param([f"{LIE}, {CLIENT}"], CLIENT, id="what a client invented"),
        pytest.param([f"{LIE}, {CLIENT}, {OUTER}"], CLIENT, id="two proxies"),
        pytest.param([f"{LIE}", f"{CLIENT}", f"{OUTER}"], CLIENT, id="a line each"),
        pytest.param([f"{OUTER}, {CLIENT}"], CLIENT, id="a client that claims to be a proxy"),
        pytest.param([f"{OUTER},{PROXY}"], OUTER, id="only proxies"),
        pytest.param([f"{CLIENT}:4711"], CLIENT, id="with port"),
        pytest.param(["[2a00::1]:4711"], "2a00::1", id="IPv6 with port"),
        pytest.param(["2a00::1"], "2a00::1", id="IPv6"),
        pytest.param(["::ffff:192.0.2.1"], CLIENT, id="IPv4 in IPv6"),
        pytest.param([], PROXY, id="nothing said"),
        pytest.param([""], PROXY, id="empty"),
        pytest.param([f"{LIE}, unknown"], PROXY, id="unknown ends the walk"),
        pytest.param([f"{LIE}, unknown, {OUTER}"], OUTER, id="unknown behind a proxy"),
        pytest.param([f"{LIE}, ,"], PROXY, id="empty parts"),
        pytest.param([f"{LIE}, 1.2.3.4.5"], PROXY, id="no address"),
        pytest.param([f"{LIE}, fe80::1%eth0"], PROXY, id="with a zone"),
        pytest.param(["\xff\xfe"], PROXY, id="not ASCII"),
        pytest.param([f"for={LIE}"], PROXY, id="the other header's form"),
    ],
)
def test_x_forwarded_for(lines: list[str], client: str) -> None:
    """The first address from the right that is no trusted proxy is the client's."""
    assert shown(X.origin(packed(PROXY), xff(*lines)).address) == client


@pytest.mark.parametrize("peer", [CLIENT, "::1", "11.0.0.1"])
@pytest.mark.parametrize("proxies", [X, RFC, TrustedProxies()])
def test_nobody_else_is_believed(peer: str, proxies: TrustedProxies) -> None:
    """A peer that is no trusted proxy is the client, whatever it says."""
    headers = [*xff(LIE, proto="https"), (b"forwarded", f"for={LIE};proto=https".encode())]
    assert proxies.origin(packed(peer), headers) == Origin(packed(peer), None)


def test_who_is_trusted() -> None:
    """The networks say it; without any nobody is."""
    assert X
    assert packed(PROXY) in X
    assert packed(CLIENT) not in X
    assert not TrustedProxies()


def test_only_the_configured_header_is_read() -> None:
    """The proxy passes the other header on as the client wrote it."""
    headers = [*xff(CLIENT, proto="http"), (b"forwarded", f"for={LIE};proto=https".encode())]
    assert X.origin(packed(PROXY), headers) == Origin(packed(CLIENT), False)
    headers = [*xff(LIE, proto="https"), (b"forwarded", f"for={CLIENT}".encode())]
    assert RFC.origin(packed(PROXY), headers) == Origin(packed(CLIENT), None)


@pytest.mark.parametrize(
    ("lines", "proto", "secure"),
    [
        (CLIENT, "https", True),
        (CLIENT, "HTTPS", True),
        (CLIENT, "wss", True),
        (CLIENT, "http", False),
        (CLIENT, "", False),
        (CLIENT, None, None),
        (f"{CLIENT}, {OUTER}", "https", True),
        (f"{CLIENT}, {OUTER}", "https, http", True),
        (f"{LIE}, {CLIENT}", "https, http", False),
        (f"{LIE}, {CLIENT}, {OUTER}", "http, https, http", True),
        (f"{LIE}, {CLIENT}, {OUTER}", "https, http, https", False),
    ],
)
def test_x_forwarded_proto(lines: str, proto: str | None, secure: bool | None) -> None:
    """The scheme is the one of the hop that named the client."""
    assert X.origin(packed(PROXY), xff(lines, proto=proto)).secure is secure


def test_x_forwarded_proto_is_not_read_unless_the_proxies_write_it() -> None:
    """A proxy that passes it on as the client wrote it makes nobody secure."""
    proxies = TrustedProxies(Networks(["10.0.0.0/8"]))
    headers = xff(CLIENT, proto="https")
    assert proxies.origin(packed(PROXY), headers) == Origin(packed(CLIENT), None)


@pytest.mark.parametrize(
    ("value", "client", "secure"),
    [
        pytest.param(f"for={CLIENT}", CLIENT, None, id="plain"),
        pytest.param(f'For="{CLIENT}:80";Proto=HTTPS', CLIENT, True, id="quoted"),
        pytest.param('for="[2a00::1]:80";proto=http;by=10.0.0.1', "2a00::1", False, id="IPv6"),
        pytest.param(f"for={LIE};proto=https, for={CLIENT};proto=http", CLIENT, False, id="lie"),
        pytest.param(f"for={CLIENT};proto=https, for={OUTER}", CLIENT, True, id="two proxies"),
        pytest.param(f'for="{LIE}, for={CLIENT}', CLIENT, None, id="an open quote"),
        pytest.param(f'for="{LIE}\\", for={CLIENT}', CLIENT, None, id="an escaped quote"),
        pytest.param(f'for="a,b;c", for={CLIENT}', CLIENT, None, id="separators in quotes"),
        pytest.param(f'for="{CLIENT}"', CLIENT, None, id="quoted without a port"),
        pytest.param(f'for="{CLIENT}2', PROXY, None, id="a quote that never ends"),
        pytest.param(f'for={CLIENT}"', PROXY, None, id="a quote that never begins"),
        pytest.param(f'for={CLIENT};by="a,b"', CLIENT, None, id="a comma in quotes"),
        pytest.param(f'for={CLIENT};by="a;for={LIE}"', CLIENT, None, id="a pair in quotes"),
        pytest.param(f'for={CLIENT};by="a\\",b"', CLIENT, None, id="an escape in quotes"),
        pytest.param(f'by="x";for={CLIENT}', CLIENT, None, id="quotes on the left"),
        pytest.param(f'for={LIE};by="x", for={CLIENT}', CLIENT, None, id="an element of quotes"),
        pytest.param(f'for={CLIENT};by="x", for={OUTER};by="y"', CLIENT, None, id="quotes in all"),
        pytest.param("for=_hidden", PROXY, None, id="hidden"),
        pytest.param("for=unknown;proto=https", PROXY, None, id="unknown"),
        pytest.param("proto=https", PROXY, None, id="no address"),
        pytest.param("", PROXY, None, id="empty"),
        pytest.param(";;,,==", PROXY, None, id="rubbish"),
    ],
)
def test_forwarded(value: str, client: str, secure: bool | None) -> None:
    """RFC 7239's header is read from the right, and a client's quotes end nothing else."""
    origin = RFC.origin(packed(PROXY), [(b"forwarded", value.encode("latin-1"))])
    assert (shown(origin.address), origin.secure) == (client, secure)


@given(st.binary(max_size=200), st.sampled_from([X, RFC]))
def test_what_a_client_writes_never_matters(lie: bytes, proxies: TrustedProxies) -> None:
    """Whatever stands left of the proxy's own word, its word holds."""
    name = b"x-forwarded-for" if proxies is X else b"forwarded"
    word = CLIENT.encode() if proxies is X else b"for=" + CLIENT.encode()
    for headers in ([(name, lie + b", " + word)], [(name, lie), (name, word)]):
        assert shown(proxies.origin(packed(PROXY), headers).address) == CLIENT


@given(st.lists(st.binary(max_size=100), max_size=5), st.sampled_from([X, RFC]))
def test_any_bytes_are_read(values: list[bytes], proxies: TrustedProxies) -> None:
    """No header is an error, and what comes out is an address."""
    names = (b"x-forwarded-for", b"forwarded", b"x-forwarded-proto")
    headers = [(name, value) for value in values for name in names]
    assert shown(proxies.origin(packed(PROXY), headers).address)


class Counted(str):
    """A text that counts the characters that are looked at, in it and in what is cut out of it."""

    __slots__ = ()
    looked_at = 0

    @staticmethod
    def _of(part: str) -> "Counted":
        Counted.looked_at += len(part) + 1
        return Counted(part)

    def __getitem__(self, key: Any) -> "Counted":
        return self._of(super().__getitem__(key))

    def split(self, *separator: Any) -> Any:
        return list(map(self._of, super().split(*separator)))

    def partition(self, separator: str) -> Any:
        return tuple(map(self._of, super().partition(separator)))

    def strip(self, *characters: Any) -> "Counted":
        return self._of(super().strip(*characters))

    def lower(self) -> "Counted":
        return self._of(super().lower())

    def replace(self, *change: Any) -> "Counted":
        return self._of(super().replace(*change))


class Value(bytes):
    """A header's value whose text is counted."""

    __slots__ = ()

    def decode(self, *encoding: Any) -> Counted:
        return Counted(super().decode(*encoding))


def work(proxies: TrustedProxies, name: bytes, value: bytes) -> int:
    """Return how many characters are looked at to find where a request came from."""
    Counted.looked_at = 0
    proxies.origin(packed(PROXY), [(name, Value(value))])
    return Counted.looked_at


@pytest.mark.parametrize(
    "part", [b'"', b"\\", b",", b";", b"10.0.0.1,", b"for=10.0.0.1,", b'for="']
)
@pytest.mark.parametrize(("proxies", "name"), [(X, b"x-forwarded-for"), (RFC, b"forwarded")])
def test_a_long_header_is_read_in_linear_time(
    proxies: TrustedProxies, name: bytes, part: bytes
) -> None:
    """A header of the largest size costs twice what half of it does, and no character much."""
    parts = 65_536 // len(part)
    all_of_it = work(proxies, name, part * parts)
    assert all_of_it <= 2 * work(proxies, name, part * (parts // 2)) + 100
    assert 50_000 <= all_of_it <= 20 * 65_536
