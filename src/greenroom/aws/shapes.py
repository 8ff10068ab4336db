"""The service models that botocore ships, as values: operations and their shapes.

botocore has classes for them, too, but importing those brings its HTTP client and its signers with
it: a quarter of the start.
"""

import gzip
import pkgutil
from collections.abc import Mapping
from typing import Any

import msgspec

_SERIALIZATION = {"locationName": "name", "location": "location", "resultWrapper": "resultWrapper"}
_STRUCTURE = {"shape", "type", "members", "member", "key", "value"}
_WITHOUT_MEANING = {"documentation", "box"}
_NO_METADATA = _SERIALIZATION.keys() | _STRUCTURE | _WITHOUT_MEANING


class Shape(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What a value looks like; on its own a scalar."""

    name: str
    type_name: str
    metadata: Mapping[str, Any]
    """The model's other members, such as `min`, `max` and `pattern`."""
    serialization: Mapping[str, str]
    """`name` and `location` of a member, `resultWrapper` of an output; each if there is one."""


class StringShape(Shape, frozen=True, eq=False, kw_only=True):
    """Text; one of `enum`, unless that is empty."""

    enum: tuple[str, ...]


class StructureShape(Shape, frozen=True, eq=False, kw_only=True):
    """Members by name."""

    members: Mapping[str, Shape]
    required_members: tuple[str, ...]


class ListShape(Shape, frozen=True, eq=False, kw_only=True):
    """Values of one shape."""

    member: Shape


class MapShape(Shape, frozen=True, eq=False, kw_only=True):
    """Values of one shape by keys of another."""

    key: Shape
    value: Shape


class Described(msgspec.Struct, frozen=True, eq=False):
    """An operation as its model describes it."""

    name: str
    http: Mapping[str, Any]
    input: StructureShape | None
    output: StructureShape | None
    errors: tuple[Shape, ...]


class Operation(msgspec.Struct, frozen=True, eq=False):
    """One operation of the service, as its model states it."""

    name: str
    method: str
    path: str
    """Template: `/CreateRoom`, `/tags/{resourceArn}`."""
    status: int
    """Of a success: 204 for DeleteRoom and DeleteLoggingConfiguration, else 200."""
    input: StructureShape
    output: StructureShape | None
    errors: frozenset[str]
    """Codes of the errors that the model declares for the operation."""


class Model:
    """A service model; what is not asked for is not resolved."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._operations: Mapping[str, Any] = description["operations"]
        self._shapes: Mapping[str, Any] = description["shapes"]

    @property
    def operation_names(self) -> list[str]:
        """Return the names of all operations."""
        return list(self._operations)

    def operation(self, name: str) -> Described:
        """Return an operation that the model has."""
        found = self._operations[name]
        return Described(
            name=name,
            http=found["http"],
            input=self._structure_of(found.get("input")),
            output=self._structure_of(found.get("output")),
            errors=tuple(self._shape(each) for each in found.get("errors", ())),
        )

    def _structure_of(self, reference: Mapping[str, Any] | None) -> StructureShape | None:
        if reference is None:
            return None
        shape = self._shape(reference)
        assert isinstance(shape, StructureShape)  # noqa: S101 - as every model has it
        return shape

    def _shape(self, reference: Mapping[str, Any]) -> Shape:
        """Return the shape that is referred to; what the reference says counts for this use."""
        name: str = reference["shape"]
        model = {**self._shapes[name], **reference}
        traits: dict[str, Any] = {
            "name": name,
            "type_name": model["type"],
            "metadata": {k: v for k, v in model.items() if k not in _NO_METADATA},
            "serialization": {v: model[k] for k, v in _SERIALIZATION.items() if k in model},
        }
        match model["type"]:
            case "structure":
                members = {k: self._shape(member) for k, member in model["members"].items()}
                required = tuple(model.get("required", ()))
                return StructureShape(members=members, required_members=required, **traits)
            case "list":
                return ListShape(member=self._shape(model["member"]), **traits)
            case "map":
                key, value = self._shape(model["key"]), self._shape(model["value"])
                return MapShape(key=key, value=value, **traits)
            case "string":
                return StringShape(enum=tuple(model.get("enum", ())), **traits)
            case _:
                return Shape(**traits)


def read_model(service: str, version: str) -> dict[str, Any]:
    """Read the description of a service from the data files in botocore's package."""
    file = f"data/{service}/{version}/service-2.json"
    try:
        packed = pkgutil.get_data("botocore", file + ".gz")
    except FileNotFoundError:  # some distributions unpack them
        return _decoded(pkgutil.get_data("botocore", file))
    return _decoded(None if packed is None else gzip.decompress(packed))


def _decoded(text: bytes | None) -> dict[str, Any]:
    assert text is not None  # noqa: S101 - botocore's loader can read its data
    return msgspec.json.decode(text, type=dict[str, Any])
