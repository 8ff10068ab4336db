import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.network.origins import AllowedOrigins, normalized

ALLOWED = AllowedOrigins(
    ["https://example.com", "http://localhost:3000", "https://[2001:db8::1]", "app://shell:1"]
)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://example.com", True),
        ("https://example.com:443", True),
        ("HTTPS://EXAMPLE.COM", True),
        ("http://localhost:3000", True),
        ("https://[2001:db8::1]", True),
        ("app://shell:1", True),
        ("http://example.com", False),
        ("https://example.com:444", False),
        ("http://example.com:443", False),
        ("https://evil.com", False),
        ("https://evilexample.com", False),
        ("https://example.com.evil.com", False),
        ("https://sub.example.com", False),
        ("https://example.co", False),
        ("https://evil.com/https://example.com", False),
        ("https://example.com@evil.com", False),
        ("https://evil.com#https://example.com", False),
        ("https://evil.com?https://example.com", False),
        ("https://example.com/", False),
        ("https://example.com\\.evil.com", False),
        ("https://example.com%2eevil.com", False),
        ("https://*", False),
        ("https://", False),
        ("https:example.com", False),
        ("//example.com", False),
        ("example.com", False),
        ("https://example.com:", False),
        ("https://example.com:x", False),
        ("https://example.com:99999", False),
        ("https://example.com, https://evil.com", False),
        ("https://example.com https://evil.com", False),
        ("http://localhost", False),
        ("http://localhost:30000", False),
        ("null", False),
        ("", False),
        ("https://ex\xe4mple.com", False),
        ("file://", False),
    ],
)
def test_only_the_same_origin_is_allowed(origin: str, allowed: bool) -> None:
    """CVE-2022-42975: scheme, host and port are compared whole; nothing is a suffix or a part."""
    assert ALLOWED.allows([(b"origin", origin.encode("latin-1"))]) is allowed


def test_without_a_list_everybody_is_allowed() -> None:
    """The list is off by default."""
    assert AllowedOrigins().allows([(b"origin", b"null")])
    assert not AllowedOrigins()


def test_who_is_no_browser_is_allowed() -> None:
    """A request without the header comes from no page; one with two is refused."""
    assert ALLOWED.allows([(b"host", b"evil.com")])
    assert not ALLOWED.allows([(b"origin", b"https://example.com")] * 2)


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "*", "https://*.example.com:", "https://a.com/", "a.com", "app://x", " "),
        *("https://a b.com", "https://a.com ", "https://a\tb.com", "https://a.com\n"),
        *("https://ä.com", "//a.com:80", "://a.com:80"),
    ],
)
def test_what_is_no_origin_is_not_listed(origin: str) -> None:
    """A list with something else in it is refused at the start."""
    with pytest.raises(ValueError, match=r"origin|ort"):
        normalized(origin)


@pytest.mark.parametrize(
    ("origin", "shown"),
    [
        ("https://a.com", "https://a.com:443"),
        ("HTTP://A.com", "http://a.com:80"),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]:443"),
        ("http://127.0.0.1:81", "http://127.0.0.1:81"),
    ],
)
def test_how_an_origin_is_written(origin: str, shown: str) -> None:
    """Lower case, the port always, an IPv6 address in brackets and nothing else."""
    assert normalized(origin) == shown


@given(st.binary(max_size=80))
def test_any_bytes_are_read(value: bytes) -> None:
    """No header is an error, and only the listed origins pass."""
    allowed = ALLOWED.allows([(b"origin", value)])
    assert not allowed or normalized(value.decode()) in {
        "https://example.com:443",
        "http://localhost:3000",
        "https://[2001:db8::1]:443",
        "app://shell:1",
    }
