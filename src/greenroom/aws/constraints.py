"""Check a value against its shape in the service model, and report every failure at once.

- A member that is absent or null is not set; null inside a list or a map is a failure.
- Unknown members are ignored, as AWS's services do.
- Lengths of strings count code points; patterns must match the whole string.
- Messages state the rule, in the protocol's wording. They never hold the value, which may be chat
  content.
- A request with very many failures reports the first `FAILURES_REPORTED` of them.
"""

import re
import sys
from collections.abc import Callable
from functools import lru_cache
from itertools import islice

import msgspec

from greenroom.aws.shapes import ListShape, MapShape, Shape, StringShape, StructureShape
from greenroom.model.errors import FieldError

FAILURES_REPORTED = 100
"""The bound on one answer: 50 tags can fail with key and value."""

ITEMS_LOOKED_AT = 4_096
"""Items of a list or a map that are looked at where the model has no bound: no valid request has as
many, and a body can have hundreds of thousands."""

KEY_SHOWN = 128
"""Code points of a map's key that appear in a field's path: the longest legal tag key."""

PATTERNS = {
    # The model has `[a-z-]/`, one character before the slash, which no real ARN matches.
    "ResourceArn": r"arn:aws:ivschat:[a-z0-9-]+:[0-9]+:[a-z-]+/[a-zA-Z0-9-]+",
    # The model ends in `.+.*`, the same language in quadratic time.
    "LambdaArn": r"$|^arn:aws:lambda:[a-z0-9-]+:[0-9]{12}:function:.+",
    # IAM's tags: `\p{L}` and its like are unknown to Python; model.tags states the same exactly.
    "tagKeyType": r"[\w \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000.:/=+\-@]+",
    "tagValueType": r"[\w \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000.:/=+\-@]*",
}
"""Patterns that stand in for the model's, by the name of their shape."""

_Bounds = Callable[[int, str, list[FieldError]], None]
_Check = Callable[[object, str, list[FieldError]], None]


class Wording(msgspec.Struct, frozen=True, eq=False):
    """How a protocol says which rule was broken, and where; `{}` stands for a rule's number."""

    required: str = "is required"
    shorter: str = "must have length at least {}"
    longer: str = "must have length at most {}"
    pattern: str = "must match the pattern {}"
    enum: str = "must be one of {}"
    below: str = "must be at least {}"
    above: str = "must be at most {}"
    fewer_items: str = "must have at least {} items"
    more_items: str = "must have at most {} items"
    item: str = "{}[{}]"
    """The path of a list's item, from the list's and the index."""
    first_index: int = 0
    member: Callable[[str], str] = str
    """A member's name in a path, from its name in the model."""
    ascii_words: bool = False
    r"""Whether `\w` and `\d` in the model's patterns stand for ASCII only, as in Java."""


PLAIN = Wording()
"""That of the ivschat API."""


def check(shape: Shape, value: object, path: str, wording: Wording = PLAIN) -> list[FieldError]:
    """Return every way in which the value, decoded, breaks the rules of its shape.

    `path` is the value's own: empty for an operation's input.
    """
    errors: list[FieldError] = []
    _compiled(shape, wording)(value, path, errors)
    return errors[:FAILURES_REPORTED]


def most_items(shape: Shape) -> int:
    """Return how many items a list or a map may have."""
    return int(shape.metadata.get("max", ITEMS_LOOKED_AT))


def pattern_of(shape: StringShape) -> str | None:
    """Return what a string must match whole, if it must."""
    pattern: str | None = PATTERNS.get(shape.name, shape.metadata.get("pattern"))
    return pattern


@lru_cache(maxsize=1024)
def _compiled(shape: Shape, words: Wording) -> _Check:
    if isinstance(shape, StructureShape):
        return _structure(shape, words)
    if isinstance(shape, ListShape):
        return _list(shape, words)
    if isinstance(shape, MapShape):
        return _map(shape, words)
    if isinstance(shape, StringShape):
        return _string(shape, words)
    if shape.type_name == "integer":
        return _integer(shape, words)
    if shape.type_name == "boolean":
        return _boolean
    raise NotImplementedError(f"shape {shape.name} of type {shape.type_name}")


def _structure(shape: StructureShape, words: Wording) -> _Check:
    required = frozenset(shape.required_members)
    members = [
        (name, words.member(name), name in required, _compiled(member, words))
        for name, member in shape.members.items()
    ]
    is_union = bool(shape.metadata.get("union"))
    one_member = f"must have exactly one member: {', '.join(shape.members)}"

    def check_structure(value: object, path: str, errors: list[FieldError]) -> None:
        if not isinstance(value, dict):
            errors.append(FieldError(path, "must be an object"))
            return
        prefix = f"{path}." if path else ""
        members_set = 0
        for name, shown, is_required, check_member in members:
            member = value.get(name)
            if member is not None:
                members_set += 1
                check_member(member, prefix + shown, errors)
            elif is_required:
                errors.append(FieldError(prefix + shown, words.required))
        if is_union and members_set != 1:
            errors.append(FieldError(path, one_member))

    return check_structure


def _list(shape: ListShape, words: Wording) -> _Check:
    check_item = _compiled(shape.member, words)
    most = most_items(shape)
    check_size = _size_check(shape, most, words.fewer_items, words.more_items)

    def check_list(value: object, path: str, errors: list[FieldError]) -> None:
        if not isinstance(value, list):
            errors.append(FieldError(path, "must be an array"))
            return
        check_size(len(value), path, errors)
        for index, item in enumerate(value[:most], words.first_index):
            if item is None:
                errors.append(FieldError(words.item.format(path, index), "must not be null"))
            else:
                check_item(item, words.item.format(path, index), errors)
            if len(errors) >= FAILURES_REPORTED:
                return

    return check_list


def _map(shape: MapShape, words: Wording) -> _Check:
    check_key, check_value = _compiled(shape.key, words), _compiled(shape.value, words)
    most = most_items(shape)
    check_size = _size_check(
        shape, most, "must have at least {} entries", "must have at most {} entries"
    )

    def check_map(value: object, path: str, errors: list[FieldError]) -> None:
        if not isinstance(value, dict):
            errors.append(FieldError(path, "must be an object"))
            return
        check_size(len(value), path, errors)
        for key, item in islice(value.items(), most):
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


def _string(shape: StringShape, words: Wording) -> _Check:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", sys.maxsize)
    check_length = _bounds(shape, words.shorter, words.longer)
    stated = shape.metadata.get("pattern")
    source = pattern_of(shape)
    ascii_words = words.ascii_words and source == stated
    matches = re.compile(f"(?a:{source})" if ascii_words else source).fullmatch if source else None
    must_match = words.pattern.format(stated if words.ascii_words else source)
    enum = frozenset(shape.enum)
    one_of = words.enum.format(", ".join(shape.enum))

    def check_string(value: object, path: str, errors: list[FieldError]) -> None:
        if not isinstance(value, str):
            errors.append(FieldError(path, "must be a string"))
            return
        # Nearly all are within their bounds: it is not a call for each.
        if not least <= len(value) <= most:
            check_length(len(value), path, errors)
        if matches is not None and matches(value) is None:
            errors.append(FieldError(path, must_match))
        if enum and value not in enum:
            errors.append(FieldError(path, one_of))
        if not value.isascii() and _has_lone_surrogate(value):
            errors.append(FieldError(path, "must be valid Unicode"))

    return check_string


def _integer(shape: Shape, words: Wording) -> _Check:
    check_range = _bounds(shape, words.below, words.above)

    def check_integer(value: object, path: str, errors: list[FieldError]) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            errors.append(FieldError(path, "must be an integer"))
        else:
            check_range(value, path, errors)

    return check_integer


def _boolean(value: object, path: str, errors: list[FieldError]) -> None:
    if not isinstance(value, bool):
        errors.append(FieldError(path, "must be true or false"))


def _size_check(shape: Shape, most: int, below: str, above: str) -> _Bounds:
    return _between(shape.metadata.get("min"), most, below, above)


def _bounds(shape: Shape, below: str, above: str) -> _Bounds:
    return _between(shape.metadata.get("min"), shape.metadata.get("max"), below, above)


def _between(minimum: int | None, maximum: int | None, below: str, above: str) -> _Bounds:

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
