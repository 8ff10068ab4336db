"""Whether a request comes from this machine, for what needs no further proof.

- A proxy on the machine makes nobody local: what it forwards is not.
- Nor does a name: a page of others that a browser on the machine shows can have its own name lead
  to a loopback address. `Host` must be one of those, or localhost.
"""

import ipaddress
import re
from collections.abc import Mapping

_FORWARDING = frozenset(
    {
        *(b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
        *(b"x-forwarded-server", b"x-real-ip"),
    }
)
"""Headers of requests that a proxy passed on."""


def is_from_here(peer: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a request's peer is on this machine, and asks for it by its own name.

    `peer` is empty where it is not known; header names are lower-case.
    """
    return (
        bool(peer)
        and is_loopback(peer)
        and _names_this_machine(headers.get(b"host", b""))
        and not _FORWARDING & headers.keys()
    )


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches an address that a socket is bound to."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _names_this_machine(host: bytes) -> bool:
    name = re.sub(rb":[0-9]*\Z", b"", host.strip()).decode("latin-1").lower()
    if name == "localhost":
        return True
    if "%" in name:
        return False
    try:
        return is_loopback(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
