"""Read requests of the AWS query protocol: a form, or a query, to an operation's parameters.

- A name is a path: `Tags.member.1.Key`. What the operation's input does not have is ignored, as
  AWS does; the items of a list stand in the order of their numbers, which may have gaps.
- The work is bounded by the form's size: at most `PAIRS_AT_MOST` parameters, of at most
  `DEPTH_AT_MOST` parts each, and no number of an item makes a list longer than its items.
- All failed constraints are reported at once, in IAM's words. No message repeats a value.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote_to_bytes

import msgspec

from greenroom.aws.constraints import Wording, check
from greenroom.aws.query_service import VERSIONS, QueryOperation
from greenroom.aws.shapes import ListShape, MapShape, Shape, StructureShape
from greenroom.model.errors import FieldError, UnsupportedMediaTypeException
from greenroom.model.iam_errors import (
    InvalidAction,
    MalformedInput,
    MalformedQueryString,
    MissingAction,
    ValidationError,
)

FORM_TYPE = b"application/x-www-form-urlencoded"

PAIRS_AT_MOST = 4096
"""Parameters of a request: far more than any real one; a simulation names dozens of actions."""

DEPTH_AT_MOST = 12
"""Parts of a parameter's name; the deepest of the operations has 6."""

INDEX_AT_MOST = 9999
"""The largest number of an item of a list or a map."""


def _member(name: str) -> str:
    return name[:1].lower() + name[1:]


WORDING = Wording(
    required="Member must not be null",
    shorter="Member must have length greater than or equal to {}",
    longer="Member must have length less than or equal to {}",
    pattern="Member must satisfy regular expression pattern: {}",
    enum="Member must satisfy enum value set: [{}]",
    below="Member must have value greater than or equal to {}",
    above="Member must have value less than or equal to {}",
    fewer_items="Member must have length greater than or equal to {}",
    more_items="Member must have length less than or equal to {}",
    item="{}.{}.member",
    first_index=1,
    member=_member,
    ascii_words=True,
)
"""The sentences of IAM's answers. It leaves the value out, as AWS does where it is sensitive."""


class Form(msgspec.Struct, frozen=True):
    """A request's parameters by name, decoded and each once."""

    values: dict[str, str]

    def action(self, service: str) -> str:
        """Return the name of the action, whose version is the service's.

        Raises:
            MissingAction: there is none.
            InvalidAction: the version is missing, or not the one that is served.
        """
        action = self.values.get("Action", "")
        if not action:
            raise MissingAction("The request is missing an action or a required parameter.")
        version = self.values.get("Version", "NO_VERSION_SPECIFIED")
        if version != VERSIONS[service]:
            raise unknown(action, version)
        return action


def unknown(action: str, version: str) -> InvalidAction:
    """Return the error for an action that is not served in this version, in AWS's words."""
    return InvalidAction(f"Could not find operation {_shown(action)} for version {_shown(version)}")


def read_form(query_string: bytes, content_type: bytes | None, body: bytes) -> Form:
    """Return the parameters of the query and of the body's form together. `+` is a space.

    Raises:
        MalformedQueryString: a name is given twice, an escape is not valid, there are too many.
        UnsupportedMediaTypeException: the body is not a form by its content type.
    """
    stated = FORM_TYPE if content_type is None else content_type.partition(b";")[0].strip()
    if body and stated.lower() != FORM_TYPE:
        raise UnsupportedMediaTypeException(f"The body's content type must be {_FORM_TYPE}")
    if query_string.count(b"&") + body.count(b"&") + 2 > PAIRS_AT_MOST:
        raise MalformedQueryString(f"A request may have {PAIRS_AT_MOST} parameters.")
    values: dict[str, str] = {}
    for raw_name, raw_value in (*_pairs(query_string), *_pairs(body)):
        name = _decoded(raw_name)
        if name in values:
            raise MalformedQueryString(f"The parameter {_shown(name)} is given more than once.")
        values[name] = _decoded(raw_value)
    return Form(values)


def parse(operation: QueryOperation, form: Form) -> dict[str, object]:
    """Return the parameters of a request, checked against the operation's input shape.

    Raises:
        ValidationError: a constraint failed.
        MalformedInput: a list, a map or a structure is not written as one.
    """
    if operation.input is None:
        return {}
    tree = _tree(operation.input, form.values)
    errors: list[FieldError] = []
    parameters = _structure(operation.input, tree, "", errors)
    if not errors:
        errors = check(operation.input, parameters, "", WORDING)
    if errors:
        raise ValidationError.of_fields(*errors)
    return parameters


# ---------------------------------------------------------------------------------------- pairs

_FORM_TYPE = FORM_TYPE.decode()
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PLAIN = re.compile(r"[\w.:-]{1,64}", re.ASCII)


def _pairs(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    for pair in text.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name:
            yield name, value


def _decoded(raw: bytes) -> str:
    if b"%" in raw and _BAD_ESCAPE.search(raw):
        raise MalformedQueryString("An escape in the request is not a % and two digits.")
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise MalformedQueryString("The request is not valid UTF-8.") from None


def _shown(text: str) -> str:
    """Return a short plain word as it is; what else a client sent is not repeated."""
    return text if _PLAIN.fullmatch(text) else "(unprintable)"


# ----------------------------------------------------------------------------------------- tree


class _Node(msgspec.Struct):
    """What has one path: a value, and what lies below."""

    value: str | None = None
    below: dict[str, "_Node"] = {}


def _tree(shape: StructureShape, values: Mapping[str, str]) -> _Node:
    """Return the parameters as a tree, without those of names that the shape does not have."""
    known = {member.serialization.get("name", name) for name, member in shape.members.items()}
    root = _Node()
    for path, value in values.items():
        if path.partition(".")[0] not in known:
            continue
        if path.count(".") >= DEPTH_AT_MOST:
            raise MalformedInput("The name of a parameter has too many parts.")
        node = root
        for part in path.split("."):
            child = node.below.get(part)
            if child is None:
                child = node.below[part] = _Node()
            node = child
        node.value = value
    return root


def _structure(
    shape: StructureShape, node: _Node, path: str, errors: list[FieldError]
) -> dict[str, object]:
    _refuse_value(node, path)
    members: dict[str, object] = {}
    prefix = f"{path}." if path else ""
    for name, member in shape.members.items():
        below = node.below.get(member.serialization.get("name", name))
        if below is not None:
            members[name] = _value(member, below, prefix + _member(name), errors)
    return members


def _value(shape: Shape, node: _Node, path: str, errors: list[FieldError]) -> object:
    if isinstance(shape, StructureShape):
        return _structure(shape, node, path, errors)
    if isinstance(shape, ListShape):
        return _list(shape, node, path, errors)
    if isinstance(shape, MapShape):
        return _map(shape, node, path, errors)
    return _scalar(shape, node, path, errors)


def _list(shape: ListShape, node: _Node, path: str, errors: list[FieldError]) -> list[object]:
    """Read `Name.member.1`. `Name=` is an empty list, as SDKs write it."""
    _refuse_value(node, path)
    items = node.below.get(shape.member.serialization.get("name", "member"))
    return [
        _value(shape.member, item, WORDING.item.format(path, number), errors)
        for number, item in enumerate(_numbered(items, path), WORDING.first_index)
    ]


def _map(shape: MapShape, node: _Node, path: str, errors: list[FieldError]) -> dict[str, object]:
    """Read `Name.entry.1.key` and `Name.entry.1.value`."""
    _refuse_value(node, path)
    found: dict[str, object] = {}
    for entry in _numbered(node.below.get("entry"), path):
        key = entry.below.get(shape.key.serialization.get("name", "key"))
        value = entry.below.get(shape.value.serialization.get("name", "value"))
        if key is None or key.value is None or value is None or key.value in found:
            raise MalformedInput(f"An entry of '{path}' must have a key of its own and a value.")
        found[key.value] = _value(shape.value, value, f"{path}.entry", errors)
    return found


def _numbered(items: _Node | None, path: str) -> list[_Node]:
    """Return what stands below the numbers of a list, in their order."""
    if items is None:
        return []
    numbers = []
    for part in items.below:
        if not part.isascii() or not part.isdigit() or part[0] == "0" or len(part) > _DIGITS:
            raise MalformedInput(f"The items of '{path}' are numbered from 1 to {INDEX_AT_MOST}.")
        numbers.append(int(part))
    return [items.below[str(number)] for number in sorted(numbers)]


_DIGITS = len(str(INDEX_AT_MOST))


def _refuse_value(node: _Node, path: str) -> None:
    if node.value:
        raise MalformedInput(f"'{path}' has members: it cannot be a value itself.")


_INTEGER = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}


def _scalar(shape: Shape, node: _Node, path: str, errors: list[FieldError]) -> object:
    if node.value is None or node.below:
        raise MalformedInput(f"'{path}' is a value: it cannot have members.")
    text = node.value
    if shape.type_name == "string":
        return text
    if shape.type_name == "integer":
        if _INTEGER.fullmatch(text):
            return int(text)
        errors.append(FieldError(path, "Member must be an integer"))
        return None
    if shape.type_name == "boolean":
        if text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        errors.append(FieldError(path, "Member must be true or false"))
        return None
    raise NotImplementedError(f"{path}: {shape.type_name} in a request")
