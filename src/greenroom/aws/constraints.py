"""Check a value against its shape in the service model, and report every failure at once.

- A member that is absent or null is not set; null inside a list or a map is a failure.
- Unknown members are ignored, as AWS's services do.
- Lengths of strings count code points; patterns must match the whole string.
- Messages state the rule. They never hold the value, which may be chat content.
- A request with very many failures reports the first `FAILURES_REPORTED` of them.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from greenroom.model.errors import FieldError

FAILURES_REPORTED = 100
"""The bound on one answer: 50 tags can fail with key and value."""

KEY_SHOWN = 128
"""Code points of a map's key that appear in a field's path: the longest legal tag key."""

PATTERNS = {
    # The model has `[a-z-]/`, one character before the slash, which no real ARN matches.
    "ResourceArn": r"arn:aws:ivschat:[a-z0-9-]+:[0-9]+:[a-z-]+/[a-zA-Z0-9-]+",
    # The model ends in `.+.*`, the same language in quadratic time.
    "LambdaArn": r"$|^arn:aws:lambda:[a-z0-9-]+:[0-9]{12}:function:.+",
}
"""Patterns that stand in for the model's, by the name of their shape."""

_Check = Callable[[object, str, list[FieldError]], None]


def check(shape: Shape, value: object, path: str) -> list[FieldError]:
    """Return every way in which the value, decoded from JSON, breaks the rules of its shape.

    `path` is the value's own: empty for an operation's input.
    """
    errors: list[FieldError] = []
    _compiled(shape)(value, path, errors)
    return errors[:FAILURES_REPORTED]


@lru_cache(maxsize=512)
def _compiled(shape: Shape) -> _Check:
    if isinstance(shape, StructureShape):
        return _structure(shape)
    if isinstance(shape, ListShape):
        return _list(shape)
    if isinstance(shape, MapShape):
        return _map(shape)
    if isinstance(shape, StringShape):
        return _string(shape)
    if shape.type_name == "integer":
        return _integer(shape)
    raise NotImplementedError(f"shape {shape.name} of type {shape.type_name}")


def _structure(shape: StructureShape) -> _Check:
    required = frozenset(shape.required_members)
    members = [
        (name, name in required, _compiled(member)) for name, member in shape.members.items()
    ]
    is_union = bool(shape.metadata.get("union"))
    one_member = f"must have exactly one member: {', '.join(shape.members)}"

    def check_structure(value: object, path: str, errors: list[FieldError]) -> None:
        if not isinstance(value, dict):
            errors.append(FieldError(path, "must be an object"))
            return
        prefix = f"{path}." if path else ""
        members_set = 0
        for name, is_required, check_member in members:
            member = value.get(name)
            if member is not None:
                members_set += 1
                check_member(member, prefix + name, errors)
            elif is_required:
                errors.append(FieldError(prefix + name, "is required"))
        if is_union and members_set != 1:
            errors.append(FieldError(path, one_member))

    return check_structure


def _list(shape: ListShape) -> _Check:
    check_item = _compiled(shape.member)
    check_size = _bounds(shape, "must have at least {} items", "must have at most {} items")

    def check_list(value: object, path: str, errors: list[FieldError]) -> None:
        if not isinstance(value, list):
            errors.append(FieldError(path, "must be an array"))
            return
        check_size(len(value), path, errors)
        for index, item in enumerate(value):
            if item is None:
                errors.append(FieldError(f"{path}[{index}]", "must not be null"))
            else:
                check_item(item, f"{path}[{index}]", errors)
            if len(errors) >= FAILURES_REPORTED:
                return

    return check_list


def _map(shape: MapShape) -> _Check:
    check_key, check_value = _compiled(shape.key), _compiled(shape.value)
    check_size = _bounds(shape, "must have at least {} entries", "must have at most {} entries")

    def check_map(value: object, path: str, errors: list[FieldError]) -> None:
        if not isinstance(value, dict):
            errors.append(FieldError(path, "must be an object"))
            return
        check_size(len(value), path, errors)
        for key, item in value.items():
            entry = f"{path}.{_shown(key)}"
            before = len(errors)
            check_key(key, entry, errors)
            for index in range(before, len(errors)):
                errors[index] = FieldError(entry, f"key {errors[index].message}")
            if item is None:
                errors.append(FieldError(entry, "must not be null"))
            else:
                check_value(item, entry, errors)
            if len(errors) >= FAILURES_REPORTED:
                return

    return check_map


def _string(shape: StringShape) -> _Check:
    check_length = _bounds(shape, "must have length at least {}", "must have length at most {}")
    source = PATTERNS.get(shape.name, shape.metadata.get("pattern"))
    matches = re.compile(source).fullmatch if source else None
    enum = frozenset(shape.enum)
    one_of = f"must be one of {', '.join(shape.enum)}"

    def check_string(value: object, path: str, errors: list[FieldError]) -> None:
        if not isinstance(value, str):
            errors.append(FieldError(path, "must be a string"))
            return
        check_length(len(value), path, errors)
        if matches is not None and matches(value) is None:
            errors.append(FieldError(path, f"must match the pattern {source}"))
        if enum and value not in enum:
            errors.append(FieldError(path, one_of))
        if not value.isascii() and _has_lone_surrogate(value):
            errors.append(FieldError(path, "must be valid Unicode"))

    return check_string


def _integer(shape: Shape) -> _Check:
    check_range = _bounds(shape, "must be at least {}", "must be at most {}")

    def check_integer(value: object, path: str, errors: list[FieldError]) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            errors.append(FieldError(path, "must be an integer"))
        else:
            check_range(value, path, errors)

    return check_integer


def _bounds(shape: Shape, below: str, above: str) -> Callable[[int, str, list[FieldError]], None]:
    minimum, maximum = shape.metadata.get("min"), shape.metadata.get("max")

    def check_bounds(size: int, path: str, errors: list[FieldError]) -> None:
        if minimum is not None and size < minimum:
            errors.append(FieldError(path, below.format(minimum)))
        elif maximum is not None and size > maximum:
            errors.append(FieldError(path, above.format(maximum)))

    return check_bounds


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _shown(key: str) -> str:
    """Return a map's key as a part of a field's path, which must be encodable itself."""
    shown = key[:KEY_SHOWN]
    return shown if shown.isascii() else shown.encode(errors="replace").decode()
