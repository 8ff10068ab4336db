import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.network.addresses import (
    Networks,
    in_url,
    is_loopback,
    packed,
    reachable,
    shown,
    site,
)


@given(st.ip_addresses())
def test_an_address_is_the_same_as_bytes(address: ipaddress.IPv4Address) -> None:
    """Text to bytes and back is the address; IPv4 in IPv6 is IPv4."""
    mapped = getattr(address, "ipv4_mapped", None)
    assert shown(packed(str(address))) == str(mapped or address)


def test_spellings_of_one_address_are_one() -> None:
    """However it is written, an address is the same bytes."""
    assert packed("::ffff:192.0.2.1") == packed("192.0.2.1") == packed("::ffff:c000:201")
    assert packed("2001:db8:0::1") == packed("2001:0DB8::0001")
    assert shown(b"") == ""


@pytest.mark.parametrize(
    "text", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4:80", "[::1]", "01.2.3.4"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="does not appear to be"):
        packed(text)


def test_a_site_of_ipv6_is_a_64() -> None:
    """One client has a whole /64; of IPv4 each address is a client."""
    assert site(packed("2001:db8::1")) == site(packed("2001:db8::ffff:1"))
    assert site(packed("2001:db8::1")) != site(packed("2001:db8:0:1::1"))
    assert site(packed("192.0.2.1")) != site(packed("192.0.2.2"))


def test_loopback_addresses() -> None:
    """This machine's own addresses are known, and nobody else's."""
    assert all(is_loopback(packed(text)) for text in ("127.0.0.1", "127.9.9.9", "::1"))
    assert not any(is_loopback(packed(text)) for text in ("128.0.0.1", "::2", "7f00::1"))
    assert not is_loopback(b"")


def test_networks() -> None:
    """An address is in a network of its own kind only."""
    networks = Networks(["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"])
    inside = ("10.1.2.3", "2001:db8:1::", "192.0.2.7", "::ffff:10.0.0.1")
    assert all(packed(text) in networks for text in inside)
    assert not any(packed(text) in networks for text in ("11.0.0.1", "192.0.2.8", "::1"))
    assert b"" not in networks
    assert networks
    assert not Networks()
    with pytest.raises(ValueError, match="host bits"):
        Networks(["10.0.0.1/8"])


@pytest.mark.parametrize(
    ("host", "there"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("0:0::0", "[::1]"),
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("chat.example", "chat.example"),
    ],
)
def test_nobody_connects_to_a_wildcard(host: str, there: str) -> None:
    """What listens on every address is reached on this machine's own."""
    assert in_url(reachable(host)) == there
