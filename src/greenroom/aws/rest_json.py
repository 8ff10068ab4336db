"""Turn HTTP requests into parameters, and results and errors into HTTP answers (restJson1).

- Requests: only members of the operation's input get through, under their names in the model;
  what is absent or null is left out. All failed constraints are reported at once.
- Answers: members stand in the model's order, absent ones are left out, times are
  `YYYY-MM-DDThh:mm:ss.mmmZ`, the one form that every SDK parses.
- Errors name their type twice, in `x-amzn-ErrorType` and `__type`: each SDK reads another one.
- The request id and the headers for browsers are not made here.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

import msgspec

from greenroom.aws import valid_bodies
from greenroom.aws.constraints import FAILURES_REPORTED, check
from greenroom.aws.shapes import ListShape, MapShape, Operation, Shape, StructureShape
from greenroom.model.errors import (
    FieldError,
    ServiceError,
    UnsupportedMediaTypeException,
    ValidationException,
)

JSON_TYPES = frozenset(
    {b"application/json", b"application/x-amz-json-1.0", b"application/x-amz-json-1.1"}
)
"""Media types of a request body that are read as JSON, whatever their parameters."""

_HEADERS = ((b"content-type", b"application/json"),)

_Walk = Callable[[Any], object]
"""Brings a value that has its shape into the form in which it leaves the codec."""


Check = Callable[[object], list[FieldError]]
"""A rule for one member that the model does not state: what is wrong with a value."""


class Response(msgspec.Struct, frozen=True):
    """An HTTP answer: status, headers with lower-case names, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


# ------------------------------------------------------------------------------------ requests


def parse(
    operation: Operation,
    uri: dict[str, str],
    query_string: bytes,
    content_type: bytes | None,
    body: bytes,
    checks: Mapping[str, Check] = {},
) -> dict[str, object]:
    """Return the parameters of a request, checked against the operation's input shape.

    `checks` holds further rules for members, by name; each sees a value that has its shape.

    `uri` holds the labels of the path, from `service.route`. An empty body is `{}`; the body of
    an operation that takes none is ignored.

    Raises:
        ValidationException: a constraint failed, or the body is not a JSON object.
        UnsupportedMediaTypeException: the body is not JSON by its content type.
    """
    plan = _plan(operation)
    params: dict[str, object] = {}
    if body and plan.body:
        _refuse_other_than_json(content_type)
        valid = None if plan.decode_valid is None else plan.decode_valid(body)
        if valid is not None and not _further_errors(valid, checks, ()):
            return valid
        decoded = _decode(body)
        params = {name: decoded[name] for name in plan.body if name in decoded}
    if query_string and plan.query:
        params.update(_query_members(plan.query, query_string))
    params.update(uri)
    errors = check(operation.input, params, "")
    errors += _further_errors(params, checks, errors)
    if errors:
        raise ValidationException.of_fields(*errors)
    return _structure_of(operation.input)(params)


def _further_errors(
    params: Mapping[str, object], checks: Mapping[str, Check], errors: Sequence[FieldError]
) -> list[FieldError]:
    if checks.keys().isdisjoint(params) or len(errors) >= FAILURES_REPORTED:
        # There is nothing to check, or of the other members nothing is known.
        return []
    failed = {re.split(r"[.\[]", error.name, maxsplit=1)[0] for error in errors}
    return [
        error
        for name, value in params.items()
        if name in checks and name not in failed and value is not None
        for error in checks[name](value)
    ]


def _refuse_other_than_json(content_type: bytes | None) -> None:
    if content_type is None or content_type in JSON_TYPES:
        return
    if content_type.partition(b";")[0].strip().lower() not in JSON_TYPES:
        raise UnsupportedMediaTypeException("The body's content type must be application/json")


def _decode(body: bytes) -> dict[str, object]:
    """Return the body's object. Messages give a position at most, never content."""
    decoded: object
    try:
        decoded = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise ValidationException("The request body is not valid UTF-8") from None
    except msgspec.DecodeError as error:
        decoded = _decode_leniently(body, error)
    except RecursionError:
        raise ValidationException("The request body is nested too deeply") from None
    if not isinstance(decoded, dict):
        raise ValidationException("The request body must be a JSON object")
    return decoded


def _decode_leniently(body: bytes, error: msgspec.DecodeError) -> object:
    """Return valid JSON that the fast decoder refuses, so that constraints can name the member.

    That is numbers beyond any limit and halves of surrogate pairs.
    """
    try:
        decoded: object = json.loads(body.decode(), parse_int=_integer, parse_constant=_not_json)
    except (ValueError, RecursionError):
        what = str(error).removeprefix("JSON is malformed: ")
        raise ValidationException(f"The request body is not valid JSON: {what}") from None
    return decoded


def _integer(digits: str) -> int:
    """Return the number, or for one of many digits another that is out of every range too."""
    return int(digits[:_DIGITS])


def _not_json(_: str) -> NoReturn:
    raise ValueError


_DIGITS = 20


def _query_members(names: dict[bytes, str], query_string: bytes) -> dict[str, list[str]]:
    """Return the members that the query sets, all of them lists. `+` is a space.

    Bytes that are no UTF-8 become lone surrogates, which no shape admits.
    """
    members: dict[str, list[str]] = {}
    for pair in query_string.split(b"&"):
        raw_name, _, raw_value = pair.replace(b"+", b" ").partition(b"=")
        name = names.get(unquote_to_bytes(raw_name))
        if name is not None:
            value = unquote_to_bytes(raw_value).decode(errors="surrogateescape")
            members.setdefault(name, []).append(value)
    return members


# ------------------------------------------------------------------------------------- answers


def serialize(operation: Operation, result: Mapping[str, object] | None) -> Response:
    """Return the answer for a result, whose times are milliseconds since the epoch."""
    if operation.output is None:
        return Response(operation.status, (), b"")
    body = _structure_of(operation.output)(result or {})
    return Response(operation.status, _HEADERS, msgspec.json.encode(body))


def serialize_error(error: ServiceError) -> Response:
    """Return the answer for an error, with the members that its shape has in the model."""
    body = {"__type": error.code, "message": error.message, **error.members()}
    headers = ((b"x-amzn-errortype", error.code.encode()), *_HEADERS)
    return Response(error.status, headers, msgspec.json.encode(body))


# ----------------------------------------------------------------------------- from the model


class _Plan(msgspec.Struct, frozen=True, eq=False):
    """Where the members of an operation's input come from."""

    body: tuple[str, ...]
    query: dict[bytes, str]
    """The member that each name in the query sets."""
    decode_valid: valid_bodies.Decode | None
    """For operations all of whose input is in the body."""


@lru_cache(maxsize=64)
def _plan(operation: Operation) -> _Plan:
    body: list[str] = []
    query: dict[bytes, str] = {}
    for name, member in operation.input.members.items():
        match member.serialization.get("location"):
            case None:
                body.append(name)
            case "querystring" if isinstance(member, ListShape):
                query[member.serialization["name"].encode()] = name
            case "uri" if member.serialization["name"] == name:
                pass
            case location:
                raise NotImplementedError(f"{operation.name}.{name} in {location}")
    only_body = len(body) == len(operation.input.members)
    decode_valid = valid_bodies.decoder(operation.input) if only_body else None
    return _Plan(tuple(body), query, decode_valid)


@lru_cache(maxsize=64)
def _structure_of(
    shape: StructureShape,
) -> Callable[[Mapping[str, object]], dict[str, object]]:
    """Return what keeps a structure's members: in the model's order, without null and unknown."""
    members = [(name, _walk_of(member)) for name, member in shape.members.items()]

    def walk_structure(value: Mapping[str, object]) -> dict[str, object]:
        kept = {}
        for name, walk in members:
            member = value.get(name)
            if member is not None:
                kept[name] = member if walk is None else walk(member)
        return kept

    return walk_structure


def _walk_of(shape: Shape) -> _Walk | None:
    """Return the walk for values of the shape, or None if they may stay as they are."""
    if isinstance(shape, StructureShape):
        return _structure_of(shape)
    if isinstance(shape, ListShape):
        walk_item = _walk_of(shape.member)
        return None if walk_item is None else lambda items: [walk_item(item) for item in items]
    if isinstance(shape, MapShape) and _walk_of(shape.value) is not None:
        raise NotImplementedError(f"map {shape.name} of other than scalars")
    return _timestamp if shape.type_name == "timestamp" else None


def _timestamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
