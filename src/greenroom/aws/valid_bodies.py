"""Decode request bodies that keep every rule of their shape, in one pass: nearly all are such.

msgspec checks types, lengths, patterns and words while it decodes. A body that it does not take is
not refused for that: `constraints` looks at it, finds what is wrong, or that nothing is. Null and
unknown members are no faults, and yet left to that: what msgspec passes over it does not read.
"""

from collections.abc import Callable
from operator import getitem
from types import GenericAlias
from typing import Annotated, Literal, Union

import msgspec
from msgspec import UNSET, Meta, UnsetType

from greenroom.aws.constraints import most_items, pattern_of
from greenroom.aws.shapes import ListShape, MapShape, Shape, StringShape, StructureShape

Decode = Callable[[bytes], dict[str, object] | None]
"""Returns a body's members in the model's order, or None for one that has to be looked at."""


def decoder(shape: StructureShape) -> Decode | None:
    """Return what decodes bodies of the shape, or None if msgspec cannot check its rules."""
    kind = _structure(shape)
    if kind is None:
        return None
    decode = msgspec.json.Decoder(kind).decode

    def decode_valid(body: bytes) -> dict[str, object] | None:
        try:
            members: dict[str, object] = msgspec.to_builtins(decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return members

    return decode_valid


def _type_of(shape: Shape) -> object:
    """Return a type whose values are those that keep the shape's rules, or None."""
    match shape:
        case StructureShape():
            return _structure(shape)
        case ListShape():
            return _items(shape, list, _type_of(shape.member))
        case MapShape():
            return _items(shape, dict, _type_of(shape.key), _type_of(shape.value))
        case StringShape():
            return _string(shape)
        case Shape(type_name="integer"):
            least, most = shape.metadata.get("min"), shape.metadata.get("max")
            return getitem(Annotated, (int, Meta(ge=least, le=most)))
        case Shape(type_name="boolean"):
            return bool
        case _:
            return None


def _structure(shape: StructureShape) -> type[msgspec.Struct] | None:
    if shape.metadata.get("union"):
        return None
    fields: list[tuple[str, object] | tuple[str, object, object]] = []
    for name, member in shape.members.items():
        kind = _type_of(member)
        if kind is None:
            return None
        if name in shape.required_members:
            fields.append((name, kind))
        else:
            fields.append((name, getitem(Union, (kind, UnsetType)), UNSET))
    return msgspec.defstruct(shape.name, fields, kw_only=True, forbid_unknown_fields=True)


def _items(shape: Shape, collection: type, *kinds: object) -> object:
    if None in kinds:
        return None
    bounds = Meta(min_length=shape.metadata.get("min"), max_length=most_items(shape))
    return getitem(Annotated, (GenericAlias(collection, kinds), bounds))


def _string(shape: StringShape) -> object:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    pattern = pattern_of(shape)
    if shape.enum:
        bounded = least is not None or most is not None or pattern is not None
        return None if bounded else getitem(Literal, shape.enum)
    whole = None if pattern is None else rf"\A(?:{pattern})\Z"
    return getitem(Annotated, (str, Meta(min_length=least, max_length=most, pattern=whole)))
