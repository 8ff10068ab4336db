"""Which web pages may open a WebSocket: an allow-list of origins, compared exactly.

Scheme, host and port must all be the same; nothing is a suffix or a part of another (a matcher that
was not exact is CVE-2022-42975). A request without `Origin` comes from no browser, and is allowed.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

Headers = Iterable[tuple[bytes, bytes]]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = b"origin"


def normalized(text: str) -> str:
    """Return an origin as browsers write it, with the port in any case.

    Raises:
        ValueError: it is not `scheme://host` or `scheme://host:port` and nothing more.
    """
    if not text.isascii() or any(character <= " " for character in text):
        raise ValueError("an origin is ASCII, an international name in its xn-- form")
    scheme, separator, rest = text.partition("://")
    parts = urlsplit(text)
    host, port = parts.hostname, parts.port
    if port is None:
        port = _DEFAULT_PORTS.get(scheme.lower())
    odd = set(rest) & set("/?#@\\*%") or rest.endswith(":")
    if not separator or not scheme or not host or port is None or odd:
        raise ValueError("an origin is scheme://host or scheme://host:port and nothing more")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme.lower()}://{shown}:{port}"


class AllowedOrigins:
    """The origins of pages that may connect; an empty list allows all."""

    __slots__ = ("_origins",)

    def __init__(self, origins: Iterable[str] = ()) -> None:
        """Take origins; raises ValueError as `normalized` does."""
        self._origins = frozenset(map(normalized, origins))

    def __bool__(self) -> bool:
        return bool(self._origins)

    def allows(self, headers: Headers) -> bool:
        """Return whether an upgrade request may go on; header names are lower-case.

        `null`, which pages have that are sandboxed or come from a file, is no origin of anybody.
        """
        if not self._origins:
            return True
        given = [value for name, value in headers if name == _ORIGIN]
        if not given:
            return True
        try:
            return len(given) == 1 and normalized(given[0].decode("ascii")) in self._origins
        except ValueError:
            return False
