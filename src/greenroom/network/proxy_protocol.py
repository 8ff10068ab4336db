"""The PROXY protocol, versions 1 and 2: the address that a TCP proxy was called from.

Source: "The PROXY protocol, Versions 1 & 2" (HAProxy). A header comes before everything else, also
before TLS. What is not exactly a header is a fault: a proxy always sends one.
"""

import msgspec

from greenroom.network.addresses import UNKNOWN, packed

MAXIMUM_BYTES = 4096
"""The longest header that is read: the addresses, and what a proxy may add about itself."""


class ProxyFault(Exception):
    """The bytes do not begin with a header."""


class ProxyHeader(msgspec.Struct, frozen=True):
    """A header: its length, and the client's address; `UNKNOWN` for the proxy's own calls."""

    size: int
    address: bytes


def parse(data: bytes) -> ProxyHeader | None:
    """Return the header that the bytes begin with; None when more of them are needed.

    Raises:
        ProxyFault: they begin with none, or with one that is too long.
    """
    if data[:1] == _SIGNATURE_2[:1]:
        return _parse_2(data)
    return _parse_1(data)


_SIGNATURE_2 = b"\r\n\r\n\x00\r\nQUIT\n"
_SIGNATURE_1 = b"PROXY "
_HEAD_2 = 16
_LINE_1 = 107
"""The longest line of version 1, with its end."""

_LOCAL, _PROXY = 0x20, 0x21
_ADDRESS_BYTES = {0x10: 4, 0x20: 16}
"""By address family; of the others (unspecified, UNIX sockets) no address is taken."""


def _parse_2(data: bytes) -> ProxyHeader | None:
    if not _SIGNATURE_2.startswith(data[: len(_SIGNATURE_2)]):
        raise ProxyFault("no PROXY header")
    if len(data) < _HEAD_2:
        return None
    command, family = data[12], data[13]
    size = _HEAD_2 + int.from_bytes(data[14:16], "big")
    if command not in {_LOCAL, _PROXY} or size > MAXIMUM_BYTES:
        raise ProxyFault("a PROXY header of an unknown kind")
    if len(data) < size:
        return None
    width = _ADDRESS_BYTES.get(family & 0xF0)
    if command == _LOCAL or width is None:
        return ProxyHeader(size, UNKNOWN)
    if size < _HEAD_2 + 2 * width + 4:
        raise ProxyFault("a PROXY header that is too short")
    return ProxyHeader(size, _plain(data[_HEAD_2 : _HEAD_2 + width]))


def _parse_1(data: bytes) -> ProxyHeader | None:
    if not _SIGNATURE_1.startswith(data[: len(_SIGNATURE_1)]):
        raise ProxyFault("no PROXY header")
    line, ended, _ = data[:_LINE_1].partition(b"\r\n")
    if not ended:
        if len(data) >= _LINE_1:
            raise ProxyFault("a PROXY header that does not end")
        return None
    size = len(line + ended)
    words = line.split(b" ")
    if words[1:2] == [b"UNKNOWN"]:
        return ProxyHeader(size, UNKNOWN)
    if len(words) != 6 or words[1] not in {b"TCP4", b"TCP6"}:
        raise ProxyFault("a PROXY header of an unknown kind")
    try:
        return ProxyHeader(size, packed(words[2].decode("ascii")))
    except ValueError:
        raise ProxyFault("a PROXY header without an address") from None


_MAPPED = bytes(10) + b"\xff\xff"


def _plain(address: bytes) -> bytes:
    """Return IPv4 in IPv6 as IPv4."""
    return address[12:] if address.startswith(_MAPPED) else address
