"""Write answers of the AWS query protocol: results and errors to XML, as IAM and STS do.

- Members stand in the model's order, absent ones are left out; times are `YYYY-MM-DDThh:mm:ssZ`.
- Errors of the shared pipeline carry the codes that IAM and STS have for them.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from xml.sax.saxutils import escape

from greenroom.aws.query_service import QueryOperation, namespace
from greenroom.aws.rest_json import Response
from greenroom.aws.shapes import ListShape, MapShape, Shape, StructureShape
from greenroom.model.errors import ServiceError

_HEADERS = ((b"content-type", b"text/xml"),)

CODES: dict[str, tuple[str, int]] = {
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "ExpiredTokenException": ("ExpiredToken", 403),
    "AccessDeniedException": ("AccessDenied", 403),
    "ValidationException": ("ValidationError", 400),
    "ThrottlingException": ("Throttling", 400),
    "InternalServerException": ("ServiceFailure", 500),
    "ServiceUnavailableException": ("ServiceUnavailable", 503),
}
"""Code and status that IAM and STS have for an error of the ivschat API ("Common Error Types")."""

_Write = Callable[[object, list[str]], None]
"""Appends a value's XML, without the element around it."""


def serialize(
    operation: QueryOperation, result: Mapping[str, object] | None, request_id: str
) -> Response:
    """Return the answer for a result, whose times are milliseconds since the epoch."""
    parts: list[str] = [f'<{operation.name}Response xmlns="{operation.namespace}">']
    if operation.output is not None:
        wrapper = operation.output.serialization.get("resultWrapper", f"{operation.name}Result")
        _element(wrapper, _structure(operation.output), result or {}, parts)
    parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
    parts.append(f"</{operation.name}Response>")
    return Response(200, _HEADERS, "".join(parts).encode())


def serialize_error(error: ServiceError, service: str, request_id: str) -> Response:
    """Return the answer for an error."""
    code, status = CODES.get(error.code, (error.code, error.status))
    fault = "Sender" if status < 500 else "Receiver"
    body = (
        f'<ErrorResponse xmlns="{namespace(service)}"><Error><Type>{fault}</Type>'
        f"<Code>{code}</Code><Message>{_text(error.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Response(status, _HEADERS, body.encode())


def _element(name: str, write: _Write, value: object, parts: list[str]) -> None:
    parts.append(f"<{name}>")
    write(value, parts)
    parts.append(f"</{name}>")


@lru_cache(maxsize=512)
def _writer(shape: Shape) -> _Write:
    if isinstance(shape, StructureShape):
        return _structure(shape)
    if isinstance(shape, ListShape):
        return _list(shape)
    if isinstance(shape, MapShape):
        return _map(shape)
    return lambda value, parts: parts.append(_SCALARS[shape.type_name](value))


@lru_cache(maxsize=256)
def _structure(shape: StructureShape) -> _Write:
    members = [
        (name, member.serialization.get("name", name), _writer(member))
        for name, member in shape.members.items()
    ]

    def write_structure(value: object, parts: list[str]) -> None:
        assert isinstance(value, Mapping)  # noqa: S101 - what an operation returns has its shape
        for name, element, write in members:
            member = value.get(name)
            if member is not None:
                _element(element, write, member, parts)

    return write_structure


def _list(shape: ListShape) -> _Write:
    name = shape.member.serialization.get("name", "member")
    write_item = _writer(shape.member)

    def write_list(value: object, parts: list[str]) -> None:
        assert isinstance(value, list)  # noqa: S101 - likewise
        for item in value:
            _element(name, write_item, item, parts)

    return write_list


def _map(shape: MapShape) -> _Write:
    key = shape.key.serialization.get("name", "key")
    element = shape.value.serialization.get("name", "value")
    write_key, write_value = _writer(shape.key), _writer(shape.value)

    def write_map(value: object, parts: list[str]) -> None:
        assert isinstance(value, Mapping)  # noqa: S101 - likewise
        for name, item in value.items():
            parts.append("<entry>")
            _element(key, write_key, name, parts)
            _element(element, write_value, item, parts)
            parts.append("</entry>")

    return write_map


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say in any way."""


def _text(text: str) -> str:
    # A bare carriage return would be read as a line feed.
    return escape(_NOT_XML.sub("\ufffd", text), {"\r": "&#13;"})


def _boolean(value: object) -> str:
    return "true" if value else "false"


def _timestamp(value: object) -> str:
    assert isinstance(value, int)  # noqa: S101 - milliseconds
    return datetime.fromtimestamp(value // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_SCALARS: dict[str, Callable[[object], str]] = {
    "string": lambda value: _text(str(value)),
    "integer": str,
    "boolean": _boolean,
    "timestamp": _timestamp,
}
