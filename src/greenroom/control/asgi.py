"""What every ASGI application of the control plane does with a request's bytes and its answer's."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from greenroom.aws.signature import sigv4

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
"""Answers one HTTP request."""

CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"x-amzn-ErrorType,x-amzn-RequestId,Date"),
)
"""What lets scripts of any page read an answer: as with AWS, a signature is what protects."""


def signed_request(scope: Scope, body: bytes) -> sigv4.Request:
    """Return what a signature is about: of a path that was not taken as it came, `signed_paths`."""
    raw_path, *others = scope.get("signed_paths") or (scope["raw_path"],)
    # Lists first: a generator is resumed for each header.
    return sigv4.Request(
        method=scope["method"],
        raw_path=raw_path.decode("latin-1"),
        other_paths=tuple([path.decode("latin-1") for path in others]),
        query_string=scope["query_string"].decode("latin-1"),
        headers=tuple(
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        ),
        body=body,
    )


async def answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send an answer; 204 has no body."""
    length = () if status == 204 else ((b"content-length", str(len(body)).encode()),)
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})


def header_of(headers: Headers, name: bytes) -> bytes | None:
    """Return the first header of a name in lower case, if there is one."""
    for each, value in headers:
        if each == name:
            return value
    return None
