import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.network.addresses import UNKNOWN, packed
from greenroom.network.proxy_protocol import MAXIMUM_BYTES, ProxyFault, ProxyHeader, parse

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def version_2(body: bytes, command: int = 0x21, family: int = 0x11) -> bytes:
    """Return a header of version 2."""
    return SIGNATURE + bytes((command, family)) + len(body).to_bytes(2, "big") + body


V4 = packed("192.0.2.1") + packed("10.0.0.1") + b"\x12\x34\x01\xbb"
V6 = packed("2001:db8::1") + packed("2001:db8::2") + b"\x12\x34\x01\xbb"
MAPPED = bytes(10) + b"\xff\xff" + packed("192.0.2.1") + bytes(20)
TLV = b"\x03\x00\x04\x01\x02\x03\x04"


@pytest.mark.parametrize(
    ("header", "address"),
    [
        pytest.param(version_2(V4), "192.0.2.1", id="IPv4"),
        pytest.param(version_2(V6, family=0x21), "2001:db8::1", id="IPv6"),
        pytest.param(version_2(MAPPED, family=0x21), "192.0.2.1", id="IPv4 in IPv6"),
        pytest.param(version_2(V4 + TLV), "192.0.2.1", id="with more about it"),
        pytest.param(version_2(V4 + TLV * 50), "192.0.2.1", id="longer than a byte can say"),
        pytest.param(version_2(V4 + bytes(MAXIMUM_BYTES - 28)), "192.0.2.1", id="the longest"),
        pytest.param(version_2(b"", command=0x20, family=0), None, id="local"),
        pytest.param(version_2(V4, command=0x20), None, id="local with addresses"),
        pytest.param(version_2(bytes(216), family=0x31), None, id="UNIX socket"),
        pytest.param(version_2(b"", family=0), None, id="unspecified"),
        pytest.param(b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\n", "192.0.2.1", id="1: IPv4"),
        pytest.param(b"PROXY TCP6 2001:db8::1 ::2 4660 443\r\n", "2001:db8::1", id="1: IPv6"),
        pytest.param(b"PROXY UNKNOWN\r\n", None, id="1: unknown"),
        pytest.param(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None, id="1: unknown with more"),
    ],
)
def test_headers(header: bytes, address: str | None) -> None:
    """A header gives the client's address, whatever follows; every part of it asks for more."""
    wanted = UNKNOWN if address is None else packed(address)
    for rest in (b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"):
        assert parse(header + rest) == ProxyHeader(len(header), wanted)
    for end in range(len(header)):
        assert parse(header[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXX",
        b"\r\n\r\nGET",
        b"PROXY TCP4 192.0.2.1\r\n",
        b"PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 \xff 10.0.0.1 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n",
        b"PROXY " + b"x" * 101,
        version_2(V4, command=0x11),
        version_2(V4, command=0x2F),
        version_2(V4[:-1]),
        version_2(V4, family=0x21),
        version_2(bytes(MAXIMUM_BYTES - 15)),
        version_2(bytes(MAXIMUM_BYTES)),
    ],
)
def test_faults(data: bytes) -> None:
    """What is not exactly a header is a fault."""
    with pytest.raises(ProxyFault):
        parse(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    """Any bytes are a header, a part of one or a fault, and never anything else."""
    for start in (b"", SIGNATURE, SIGNATURE + b"\x21", b"PROXY ", b"PROXY TCP4 "):
        try:
            header = parse(start + data)
        except ProxyFault:
            continue
        if header is not None:
            assert 0 < header.size <= min(MAXIMUM_BYTES, len(start + data))
            assert len(header.address) in {0, 4, 16}
        else:
            assert len(start + data) < MAXIMUM_BYTES


def test_the_longest_line() -> None:
    """A line of version 1 has 107 bytes at most, its end among them."""
    longest = b"PROXY UNKNOWN".ljust(105) + b"\r\n"
    assert parse(longest) == ProxyHeader(107, UNKNOWN)
    assert parse(longest[:-1]) is None
    with pytest.raises(ProxyFault):
        parse(b"PROXY UNKNOWN".ljust(106) + b"\r\n")
