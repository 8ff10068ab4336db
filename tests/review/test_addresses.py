"""Which addresses an endpoint may have."""

import ipaddress

import pytest

from greenroom.review.addresses import is_permitted

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1"),
        *("127.255.255.254", "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255"),
        *("192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "203.0.113.1"),
        *("224.0.0.1", "224.0.1.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1"),
        *("ff0e::1", "2001:db8::1", "64:ff9b:1::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("::ffff:169.254.169.254", "::127.0.0.1", "::10.0.0.1", "2002:7f00:1::", "2002:a00:1::1"),
        *("2002:a9fe:a9fe::1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "2001::1"),
        # Teredo carries its server's address, and its client's with each bit turned round.
        *("2001:0:a9fe:a9fe::1", "2001:0:a9fe:a9fe::f7f7:f7f7", "2001:0:808:808::5601:5601"),
    ],
)
def test_closed_addresses(address: str) -> None:
    """Nothing that is, or carries, an address of the operator's own networks is permitted."""
    assert not is_permitted(ipaddress.ip_address(address), ())


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"),
        *("::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::8.8.8.8"),
        "2001:0:808:808::fefe:fefe",
    ],
)
def test_public_addresses(address: str) -> None:
    """Public addresses are permitted, also where an IPv6 address carries one."""
    assert is_permitted(ipaddress.ip_address(address), ())


def test_listed_networks() -> None:
    """What the operator lists is permitted, and no neighbour of it."""
    for address, permitted in {
        "127.0.0.1": True,
        "127.3.2.1": True,
        "::ffff:127.0.0.1": True,
        "10.0.0.1": False,
        "::1": False,
    }.items():
        assert is_permitted(ipaddress.ip_address(address), (LOOPBACK,)) is permitted


def test_an_allowance_is_to_the_bit() -> None:
    """Every form of one listed address is permitted, and none of the next ones."""
    listed = (ipaddress.ip_network("10.0.0.5/32"),)
    for last in range(8):
        forms = {
            f"10.0.0.{last}",
            f"::ffff:10.0.0.{last}",
            f"64:ff9b::10.0.0.{last}",
            f"::10.0.0.{last}",
            f"2002:a00:{last:x}::1",
        }
        for form in forms:
            assert is_permitted(ipaddress.ip_address(form), listed) is (last == 5), form


def test_the_lowest_addresses_carry_none() -> None:
    """`::` and `::1` are addresses of their own; from `::2` on they are old forms of IPv4's."""
    listed = (ipaddress.ip_network("0.0.0.0/8"),)
    for text, permitted in {"::": False, "::1": False, "::2": True, "::255": True}.items():
        assert is_permitted(ipaddress.ip_address(text), listed) is permitted, text
