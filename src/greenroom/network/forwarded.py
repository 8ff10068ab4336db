"""What trusted proxies say about a request: the client's address, and whether it came over TLS.

A proxy adds the address that it was called from at the right end; everything left of it may be the
client's invention. So the walk goes from right to left, as long as the hops are trusted, and the
first address that is not is the client's. A hop that says nothing readable ends the walk. Only the
one header that the proxies are known to write is read: they pass the other one on as it came. So
is `X-Forwarded-Proto`: it names no hop, and one that a proxy passes on looks like its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

import msgspec

from greenroom.network.addresses import Networks, packed

Headers = Iterable[tuple[bytes, bytes]]


class ForwardedHeader(StrEnum):
    """The header that the proxies write."""

    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"


class Origin(msgspec.Struct, frozen=True):
    """Where a request came from; `secure` is None when nobody said."""

    address: bytes
    secure: bool | None = None


class TrustedProxies:
    """Which peers are believed, and about what."""

    __slots__ = ("_header", "_networks", "_proto")

    def __init__(
        self,
        networks: Networks = Networks(),  # noqa: B008 - has nothing that changes
        header: ForwardedHeader = ForwardedHeader.X_FORWARDED_FOR,
        *,
        proto: bool = False,
    ) -> None:
        """Believe these, about what the header says; `proto` says that they write that, too."""
        self._networks = networks
        self._header = header
        self._proto = proto

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: bytes) -> bool:
        return address in self._networks

    def origin(self, peer: bytes, headers: Headers) -> Origin:
        """Return where a request came from that this peer sent; header names are lower-case."""
        origin = Origin(peer)
        if not self._networks or peer not in self._networks:
            return origin
        for hop in self._hops(headers):
            if hop is None:
                return origin
            origin = hop
            if origin.address not in self._networks:
                return origin
        return origin

    def _hops(self, headers: Headers) -> Iterator[Origin | None]:
        """Yield what each hop said, the nearest first; None is unreadable."""
        values = [(name, value.decode("latin-1")) for name, value in headers if name in _NAMES]
        wanted = self._header.value.encode()
        lines = [value for name, value in reversed(values) if name == wanted]
        if self._header is ForwardedHeader.FORWARDED:
            for line in lines:
                yield from map(_of_element, _split_from_right(line, ","))
            return
        schemes = [value for name, value in values if name == _PROTO and self._proto]
        proto = [_is_secure(each) for each in ",".join(schemes).split(",")][::-1] if schemes else []
        place = 0
        for line in lines:
            for text in reversed(line.split(",")):
                # One value for many hops is that of the nearest, who wrote or passed it.
                secure = proto[min(place, len(proto) - 1)] if proto else None
                yield _origin(text.strip(_BLANK), secure)
                place += 1


_PROTO = b"x-forwarded-proto"
_NAMES = frozenset({_PROTO, *(each.value.encode() for each in ForwardedHeader)})
_BLANK = " \t"


def _of_element(element: str) -> Origin | None:
    """Read one element of `Forwarded` (RFC 7239, section 4)."""
    address, secure = None, None
    for pair in _split_from_right(element, ";"):
        name, _, value = pair.partition("=")
        name, value = name.strip(_BLANK).lower(), _unquoted(value.strip(_BLANK))
        if name == "for":
            address = value
        elif name == "proto":
            secure = _is_secure(value)
    return None if address is None else _origin(address, secure)


def _origin(text: str, secure: bool | None) -> Origin | None:
    """Read `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if "%" in text:
        return None
    try:
        return Origin(packed(text), secure)
    except ValueError:
        return None


def _is_secure(scheme: str) -> bool:
    return scheme.strip(_BLANK).lower() in {"https", "wss"}


def _unquoted(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return text[1:-1].replace("\\", "")


def _split_from_right(text: str, separator: str) -> Sequence[str]:
    """Split outside of quotes, last part first: an open quote of the client ends nothing else."""
    parts, end, quoted = [], len(text), False
    for index in range(len(text) - 1, -1, -1):
        character = text[index]
        if character == '"' and not (quoted and text[index - 1 : index] == "\\"):
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[index + 1 : end])
            end = index
    parts.append(text[:end])
    return parts
