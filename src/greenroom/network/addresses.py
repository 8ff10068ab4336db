"""Clients' addresses as bytes: 4 of IPv4, 16 of IPv6; IPv4 in IPv6 is IPv4.

An address as text takes twice the memory and has many spellings.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

UNKNOWN = b""
"""In place of an address: there is none, or it cannot be told any more."""

_SITE_BYTES = 8

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(4096)
def packed(text: str) -> bytes:
    """Return the bytes of an address.

    Raises:
        ValueError: the text is none.
    """
    address = ipaddress.ip_address(text)
    if address.version == 6 and address.ipv4_mapped is not None:
        return address.ipv4_mapped.packed
    return address.packed


def shown(address: bytes) -> str:
    """Return an address as text; an unknown one is empty."""
    return str(ipaddress.ip_address(address)) if address else ""


def site(address: bytes) -> bytes:
    """Return what limits per address count by: one client has a whole /64 of IPv6."""
    return address[:_SITE_BYTES]


def is_loopback(address: bytes) -> bool:
    """Return whether a connection from the address comes from this machine."""
    return (len(address) == 4 and address[0] == 127) or address == _LOOPBACK_6


def reachable(host: str) -> str:
    """Return where this machine reaches what listens on a host: nobody connects to a wildcard."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


def in_url(host: str) -> str:
    """Return a host as URLs have it."""
    return f"[{host}]" if ":" in host else host


class Networks:
    """A set of networks."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Take networks such as `10.0.0.0/8`, and single addresses.

        Raises:
            ValueError: a text is neither.
        """
        self._networks: Sequence[Network] = tuple(map(ipaddress.ip_network, networks))

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: bytes) -> bool:
        if not address:
            return False
        found = ipaddress.ip_address(address)
        return any(found in network for network in self._networks)


_LOOPBACK_6 = bytes(15) + b"\x01"
