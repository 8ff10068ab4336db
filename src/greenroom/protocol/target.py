"""Whether a request says, once, whom it is for (RFC 9112, section 3.2).

What stands in front takes the authority of a target in absolute form, and this service looks at
the path and at `Host`: where they differ, the two would not agree about whose request it is.
"""

from collections.abc import Iterable

_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}

HOSTS = "The request must have one Host"
AUTHORITY = "The request target must be a path, or a URL with the authority that Host names"


def fault_of(
    target: bytes, headers: Iterable[tuple[bytes, bytes]], version: str = "1.1"
) -> str | None:
    """Return what is wrong with a request's target, or its `Host`; header names are lower-case.

    Requests of HTTP/1.0 need none.
    """
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 and (hosts or version != "1.0"):
        return HOSTS
    if target.startswith(b"/") or target == b"*":
        return None
    scheme, colon, rest = target.partition(b"://")
    port = _DEFAULT_PORTS.get(scheme.lower())
    authority = rest.partition(b"/")[0].partition(b"?")[0].lower()
    if not colon or port is None or not hosts:
        return AUTHORITY
    host = hosts[0].strip(b" \t").lower()
    if authority.removesuffix(port) != host.removesuffix(port):
        return AUTHORITY
    return None
