"""What every ASGI application of the control plane does with a request's bytes and its answer's."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from greenroom.aws import sigv4
from greenroom.model.errors import RequestEntityTooLargeException, ValidationException

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

DISCARDED_BYTES = 67_108_864
"""How much of a body that is too large is read before the refusal goes out."""


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the body. One that is too large is refused after its end, or after `DISCARDED_BYTES`.

    A connection that is closed with bytes unread is reset: the client would not see the answer.

    Raises:
        RequestEntityTooLargeException: it has more than `limit` bytes.
        ValidationException: the client is gone.
    """
    chunks, size, more = bytearray(), 0, True
    while more and size <= DISCARDED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ValidationException("The request ended before its body was complete.")
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            chunks += part
        more = message.get("more_body", False)
    if size > limit:
        raise RequestEntityTooLargeException(f"The request body is larger than {limit} bytes.")
    return bytes(chunks)


def signed_request(scope: Scope, body: bytes) -> sigv4.Request:
    """Return what a signature is about."""
    return sigv4.Request(
        method=scope["method"],
        raw_path=scope["raw_path"].decode("latin-1"),
        query_string=scope["query_string"].decode("latin-1"),
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ),
        body=body,
    )


async def answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send an answer; 204 has no body."""
    length = () if status == 204 else ((b"content-length", str(len(body)).encode()),)
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})
