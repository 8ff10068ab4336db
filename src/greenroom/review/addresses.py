"""Which addresses a review endpoint may have: public ones, and those that the operator lists.

An address that carries another one, as IPv6 forms of IPv4 addresses do, is judged by both.
"""

import ipaddress
from collections.abc import Iterator, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_CLOSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # carriers' own; also the metadata service of Alibaba Cloud
        "168.63.129.16/32",  # the platform service of Azure, at an address that looks public
        "192.88.99.0/24",  # relays of 6to4, given up
        "64:ff9b:1::/48",  # translation within one network
        "fec0::/10",  # what private addresses of IPv6 were once
    )
)
"""What Python's tables of special addresses do not call closed in every version."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def is_permitted(address: Address, allowed: Sequence[Network]) -> bool:
    """Return whether a review endpoint may have this address."""
    carried = list(_carried(address))
    if any(each in network for each in (address, *carried) for network in allowed):
        return True
    if carried:
        return all(_is_public(each) for each in carried)
    return _is_public(address)


def _carried(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Give the IPv4 addresses that packets to this address may end at."""
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo
    elif address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _is_public(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _CLOSED)
    )
