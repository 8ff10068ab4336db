"""`GET /` in a browser: what this is, and where to go on.

Only a browser asks for `text/html`; the clients of the API sign their requests, and get their
answers as ever. The page is the same for everybody: nothing of a request is in it.
"""

import base64
from collections.abc import Iterable
from hashlib import sha256
from html import escape

from greenroom import __version__
from greenroom.control.asgi import Scope, Send, answer

_STYLE = (
    "body{font:1.1rem/1.6 system-ui,sans-serif;max-width:42rem;margin:4rem auto;padding:0 1.5rem}"
    ":root{color-scheme:light dark}dt{font-weight:600;margin-top:1rem}dd{margin:0}"
    "code{font-size:.95em}"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Greenroom</title>
<style>{style}</style>
</head>
<body>
<h1>Greenroom</h1>
<p>This is a chat service for live streams. It speaks the protocols of Amazon IVS Chat: it is made
for applications, not for browsers, and it is running. Version {version}.</p>
<dl>
<dt>Your application</dt>
<dd>Give the AWS SDK this address as its endpoint URL for <code>ivschat</code>, and the key that
<code>greenroom serve</code> has printed. Chat clients open a WebSocket here with a chat token.</dd>
{links}
<dt>Documentation</dt>
<dd>The folder <code>docs</code> of the source, from <code>docs/index.md</code> on;
<code>greenroom --help</code> lists the commands, and <code>greenroom config --explain</code> the
settings.</dd>
</dl>
</body>
</html>
"""

_LINK = '<dt>{name}</dt>\n<dd><a href="{href}">{href}</a>: {meaning}</dd>'

LINKS = (("Health", "health", "whether the service is well."),)
"""Where a browser can go: name, path, meaning."""


class FrontPage:
    """Answers who opens the service's address in a browser."""

    def __init__(self, base_path: str = "", links: Iterable[tuple[str, str, str]] = LINKS) -> None:
        """Make the page; without a base path its links are relative, a proxy may cut one off."""
        front = f"{base_path}/" if base_path else ""
        shown = [
            _LINK.format(name=escape(name), href=escape(front + path), meaning=escape(meaning))
            for name, path, meaning in links
        ]
        self._body = _PAGE.format(
            style=_STYLE, version=escape(__version__), links="\n".join(shown)
        ).encode()

    def wants(self, scope: Scope) -> bool:
        """Return whether a request is a browser's, for the page."""
        if scope["raw_path"] != b"/" or scope["method"] not in ("GET", "HEAD"):
            return False
        headers = scope["headers"]
        return (
            not scope["query_string"]
            and any(name == b"accept" and b"text/html" in value for name, value in headers)
            and all(name != b"authorization" for name, _ in headers)
        )

    async def __call__(self, send: Send) -> None:
        """Answer one request."""
        await answer(send, 200, _HEADERS, self._body)


_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'sha256-%b'; base-uri 'none'; form-action 'none';"
        b" frame-ancestors 'none'" % base64.b64encode(sha256(_STYLE.encode()).digest()),
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
