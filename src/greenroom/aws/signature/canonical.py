"""The canonical form of an HTTP request, over which Signature Version 4 is made.

Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request".

- The path as received is percent-encoded once more, as for every service but S3.
- Text stands for bytes: headers, path and query hold the received bytes as Latin-1, so that the
  canonical request has the bytes that were signed.
"""

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

import msgspec

from greenroom.model.errors import IncompleteSignatureException

SIGNATURE_PARAMETER = "X-Amz-Signature"

_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~%-]+)+")
_BLANKS = re.compile(r"[ \t]+")

Pair = tuple[str, str]
"""Name and value of a query, both percent-encoded as RFC 3986 has it."""


class Request(msgspec.Struct, frozen=True):
    """What a signature covers of an HTTP request, as it was received or will be sent."""

    method: str
    raw_path: str
    query_string: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in order, repeated ones each for itself."""
    body: bytes
    other_paths: tuple[str, ...] = ()
    """What may have been the path before something on the way changed it."""


def canonical_path(raw_path: str) -> str:
    """Return the path without dot segments and empty segments, percent-encoded again."""
    if _PLAIN_PATH.fullmatch(raw_path):
        return raw_path.replace("%", "%25")
    kept: list[str] = []
    for segment in raw_path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    path = "/" + "/".join(kept)
    if kept and raw_path.endswith("/"):
        path += "/"
    return quote(path.encode("latin-1", "replace"), safe="/-_.~")


def canonical_paths(request: Request) -> Iterator[str]:
    """Return the forms of the path that clients sign.

    The SDK for JavaScript v2 leaves empty segments in it, which it sends where an endpoint ends
    with slashes.
    """
    for raw_path in (request.raw_path, *request.other_paths):
        yield canonical_path(raw_path)
        if "//" in raw_path:
            yield quote(raw_path.encode("latin-1", "replace"), safe="/-_.~")


def query_pairs(query_string: str) -> list[Pair]:
    """Return the query's pairs in the order received; `+` is a space, empty pairs do not count."""
    if not query_string:
        return []
    pairs = []
    for text in query_string.split("&"):
        if text:
            name, _, value = text.partition("=")
            pairs.append((_encoded(name), _encoded(value)))
    return pairs


def canonical_queries(pairs: list[Pair]) -> Iterator[str]:
    """Return the forms of the query that clients sign.

    The specified one is sorted by the encoded pairs. The SDKs for Go sort by the decoded ones and
    send them so: their form is the order received.
    """
    ordered = sorted(pairs) if len(pairs) > 1 else pairs
    yield _joined(ordered)
    if ordered != pairs:
        yield _joined(pairs)


def canonical_request(
    request: Request, query: str, headers: Mapping[str, list[str]], path: str | None = None
) -> bytes:
    """Return the canonical request, with one of its canonical queries and its signed headers.

    `path` is one of its canonical paths, by default the first.

    Raises:
        IncompleteSignatureException: a line break hides in the method or in a header.
    """
    names = sorted(headers)
    lines = [
        request.method,
        canonical_path(request.raw_path) if path is None else path,
        query,
        *[f"{name}:{','.join([_trimmed(value) for value in headers[name]])}" for name in names],
        "",
        ";".join(names),
        sha256(request.body).hexdigest(),
    ]
    text = "\n".join(lines)
    if text.count("\n") != len(lines) - 1:
        raise IncompleteSignatureException("The method and the headers must not hold line breaks.")
    return text.encode("latin-1", "replace")


def _encoded(text: str) -> str:
    if _UNRESERVED.fullmatch(text):
        return text
    octets = text.replace("+", " ").encode("latin-1", "replace")
    return quote(unquote_to_bytes(octets), safe="-_.~")


def _joined(pairs: list[Pair]) -> str:
    return "&".join([f"{name}={value}" for name, value in pairs])


def _trimmed(value: str) -> str:
    value = value.strip(" \t")
    return _BLANKS.sub(" ", value) if "  " in value or "\t" in value else value
