"""Where the service's paths begin, for clients whose endpoint has a path: `https://host/chat`.

- A request is taken with the path in front or without: a proxy may pass it on or cut it off.
- A signature covers the path as the client wrote it. Of a request that arrives without the path in
  front nobody knows whether it was cut off: it is good as it came, and with the path put back.
- Both name the same: what is signed for `/chat/X` is never taken for anything but `X`, and no two
  paths with the same rest are different requests.
- Slashes at the beginning count as one: clients join an endpoint that ends with one and a path.
"""

import re
from collections.abc import Callable

import msgspec

FORM = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[a-z0-9._~-]{1,64}){1,8}")
"""No segment of dots, which clients and proxies resolve; no capitals, as operations have."""

TAKEN = frozenset({"console", "demo", "health", "metrics", "tags"})
"""What the service's own paths begin with: below them nobody could tell the two apart."""


class Paths(msgspec.Struct, frozen=True):
    """The path that is asked for, and those that a signature may be about, the likeliest first."""

    asked: bytes
    signed: tuple[bytes, ...]


class BasePath:
    """The path in front; "" is none. `is_own` knows paths that have it in front by themselves."""

    __slots__ = ("_is_own", "_path")

    def __init__(self, path: str = "", is_own: Callable[[bytes], bool] = lambda _: False) -> None:
        self._path = path.encode("ascii")
        self._is_own = is_own

    def paths(self, arrived: bytes) -> Paths:
        """Return what a request is about that arrived with this raw path."""
        if not self._path and arrived[:2] != b"//":
            return Paths(arrived, (arrived,))
        asked = b"/" + arrived.lstrip(b"/")
        if not self._path:
            return Paths(asked, (arrived,))
        below = asked == self._path or asked.startswith(self._path + b"/")
        if below and not self._is_own(asked):
            return Paths(b"/" + asked[len(self._path) :].lstrip(b"/"), (arrived,))
        cut = (self._path, self._path + b"/") if asked == b"/" else (self._path + asked,)
        return Paths(asked, (arrived, *cut))


def checked(raw: object) -> str:
    """Return a base path.

    Raises:
        ValueError: it is none; the message is the rule.
    """
    if not isinstance(raw, str) or FORM.fullmatch(raw) is None:
        raise ValueError(
            "must be a path such as /chat, of lower-case letters, digits and ._~- between slashes,"
            " without a slash at its end"
        )
    first = raw.split("/")[1]
    if first in TAKEN:
        raise ValueError(f"must not begin with /{first}, where the service has paths of its own")
    return raw
