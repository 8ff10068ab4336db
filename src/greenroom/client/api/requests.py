"""Turn an operation's parameters into an HTTP request, as restJson1 has it.

Parameters and members of structures may be named in snake case, as Python does, or as in the model.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

import msgspec

from greenroom.aws.shapes import ListShape, MapShape, Operation, Shape, StructureShape
from greenroom.client.api.errors import ConfigError

_UNRESERVED = "-_.~"
_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE"})


class Built(msgspec.Struct, frozen=True):
    """A request without what is added when it is sent: host, date and signature."""

    method: str
    path: str
    """Percent-encoded."""
    query: str
    body: bytes


def operation_of(name: str, service: str = "ivschat") -> Operation:
    """Return a service's operation with a name such as `create_room`, `createRoom` or `CreateRoom`.

    Raises:
        ConfigError: there is none.
    """
    found = _by_name(service).get(name.replace("_", "").lower())
    if found is None:
        raise ConfigError("ConfigError", f"{name} is no operation of {service}")
    return found


@lru_cache(maxsize=2)
def _by_name(service: str) -> dict[str, Operation]:
    # Each reads its model, which ChatRoom does not need.
    if service == "ivschat":
        from greenroom.aws.service import OPERATIONS
    else:
        from greenroom.aws.own_service import OPERATIONS
    return {name.lower(): operation for name, operation in OPERATIONS.items()}


def snake(name: str) -> str:
    """Return a name of the model in snake case."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


@lru_cache(maxsize=64)
def _names(shape: StructureShape) -> dict[str, str]:
    return {snake(name): name for name in shape.members}


def named(shape: StructureShape, members: Mapping[str, object]) -> dict[str, object]:
    """Return members under the model's names; what is None is left out."""
    found: dict[str, object] = {}
    for given, value in members.items():
        name = _names(shape).get(given, given)
        if value is not None:
            known = shape.members.get(name)
            found[name] = _named(known, value) if isinstance(known, StructureShape) else value
    return found


def _named(shape: StructureShape, value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return named(shape, msgspec.structs.asdict(value))
    return named(shape, value) if isinstance(value, Mapping) else value


def build(operation: Operation, params: Mapping[str, object]) -> Built:
    """Return the request for parameters that have the model's names."""
    path = operation.path
    query: list[str] = []
    body: dict[str, object] = {}
    for name, shape in operation.input.members.items():
        value = params.get(name)
        if value is None:
            continue
        match shape.serialization.get("location"):
            case "uri":
                path = path.replace(f"{{{name}}}", quote(str(value), safe=_UNRESERVED))
            case "querystring":
                query += _pairs(shape.serialization["name"], value)
            case _:
                body[name] = _body(shape, value)
    sent = b"" if operation.method in _WITHOUT_BODY else msgspec.json.encode(body)
    return Built(operation.method, path, "&".join(query), sent)


def _pairs(name: str, value: object) -> list[str]:
    items = value if isinstance(value, list | tuple) else [value]
    return [f"{name}={quote(str(each), safe=_UNRESERVED)}" for each in items]


def _body(shape: Shape, value: object) -> object:
    """Return a value as it stands in a body: without null, whole numbers whole."""
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        members = shape.members.items()
        return {
            name: _body(member, value[name])
            for name, member in members
            if value.get(name) is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list | tuple):
        return [_body(shape.member, each) for each in value if each is not None]
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return {key: _body(shape.value, each) for key, each in value.items() if each is not None}
    if shape.type_name == "integer" and isinstance(value, str | float):
        return _whole(value)
    return value


def _whole(value: str | float) -> str | float:
    return int(value) if isinstance(value, float) or value.isdecimal() else value
