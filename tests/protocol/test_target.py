import pytest

from greenroom.protocol.target import AUTHORITY, HOSTS, fault_of


@pytest.mark.parametrize(
    ("target", "hosts", "fault"),
    [
        (b"/path", [b"h"], None),
        (b"/http://other/", [b"h"], None),
        (b"//other/path", [b"h"], None),
        (b"/", [b""], None),
        (b"/", [], HOSTS),
        (b"*", [b"h"], None),
        (b"http://h/path", [b"h"], None),
        (b"HTTP://H:80/", [b"h"], None),
        (b"http://h", [b"H:80"], None),
        (b"https://h:443?a=b", [b"h"], None),
        (b"http://h:8470/x", [b" h:8470 "], None),
        (b"http://[::1]:8470/x", [b"[::1]:8470"], None),
        (b"http://other/path", [b"h"], AUTHORITY),
        (b"http://h:81/", [b"h"], AUTHORITY),
        (b"http://h:443/", [b"h"], AUTHORITY),
        (b"http://user@h/", [b"h"], AUTHORITY),
        (b"http://h@other/", [b"h"], AUTHORITY),
        (b"http://h.other/", [b"h"], AUTHORITY),
        (b"http://h/", [], HOSTS),
        (b"http://", [b"h"], AUTHORITY),
        (b"ftp://h/", [b"h"], AUTHORITY),
        (b"h:80", [b"h:80"], AUTHORITY),
        (b"path", [b"h"], AUTHORITY),
        (b"/", [b"h", b"h"], HOSTS),
        (b"/", [b"h", b"other"], HOSTS),
    ],
)
def test_targets(target: bytes, hosts: list[bytes], fault: str | None) -> None:
    """A path is for whom `Host` names; a URL names the same; and there is one `Host`."""
    assert fault_of(target, [(b"host", host) for host in hosts]) == fault


def test_an_old_version_needs_no_host() -> None:
    """HTTP/1.0 has no rule about `Host`; two are too many, and a URL must be named by one."""
    assert fault_of(b"/", [], "1.0") is None
    assert fault_of(b"/", [(b"host", b"h")], "1.0") is None
    assert fault_of(b"/", [(b"host", b"h")] * 2, "1.0") == HOSTS
    assert fault_of(b"http://h/", [], "1.0") == AUTHORITY
