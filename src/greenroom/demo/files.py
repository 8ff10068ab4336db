"""The files of the page, each with what a browser may do with it."""

from collections.abc import Mapping
from pathlib import Path

STATIC = Path(__file__).parent / "static"

Headers = tuple[tuple[bytes, bytes], ...]

_KINDS = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}

SAFE: Headers = (
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
"""What every answer has."""


def read_files() -> Mapping[str, tuple[bytes, bytes]]:
    """Return the kind and the bytes of each file, by its name."""
    return {
        path.name: (_KINDS[path.suffix], path.read_bytes())
        for path in STATIC.iterdir()
        if path.suffix in _KINDS
    }


def policy(origin: str) -> bytes:
    """Return the Content-Security-Policy of the page at an origin.

    Its own files, its own token, its own WebSocket, and nothing made from a text.
    """
    socket = origin.replace("http", "ws", 1)
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        f" connect-src 'self' {socket}; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ).encode("ascii")
