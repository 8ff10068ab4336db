"""The service model of Amazon IVS Chat: its operations, and the way from a request line to one.

- The model is the one that botocore ships (`ivschat`, API version 2020-07-14). A model that lies
  in a user's `~/.aws/models` is not looked at: the server's API must not depend on it.
- It is wider in one place: a chat token may have Greenroom's own capabilities, too.
- Routes are matched on the raw path. Every client sends an ARN as one percent-encoded segment,
  hand-written ones also plain; a path that was decoded first could not tell its slashes apart.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from greenroom.aws.shapes import Described, Model, Operation, read_model
from greenroom.model.chat_token import OWN_CAPABILITIES
from greenroom.model.errors import FieldError, ValidationException, ValidationReason

API_VERSION = "2020-07-14"

INVALID_UTF8 = "must be valid UTF-8"
"""The rule that a percent-encoded value broke, for its FieldError."""

_PATH_SHOWN = re.compile(r"/[A-Za-z0-9_.-]{0,64}")
_METHOD_SHOWN = re.compile(r"[A-Za-z]{1,16}")


def _operation(model: Described) -> Operation:
    if model.input is None:
        raise NotImplementedError(f"operation {model.name} without input")
    return Operation(
        name=model.name,
        method=model.http["method"],
        path=model.http["requestUri"],
        status=model.http["responseCode"],
        input=model.input,
        output=model.output,
        errors=frozenset(shape.name for shape in model.errors),
    )


def operations(model: Model) -> Mapping[str, Operation]:
    """Return the operations of a model by name."""
    return MappingProxyType(
        {name: _operation(model.operation(name)) for name in model.operation_names}
    )


def _served() -> Model:
    description = read_model("ivschat", API_VERSION)
    # The SDKs send what is not in the list, and leave it to the service to refuse it.
    description["shapes"]["ChatTokenCapability"]["enum"] += [str(each) for each in OWN_CAPABILITIES]
    return Model(description)


OPERATIONS: Mapping[str, Operation] = operations(_served())
"""The 17 operations by name, in alphabetical order."""

_LABEL = re.compile(r"(?P<prefix>/.*/)\{(?P<label>\w+)\}")

_FIXED = {
    (operation.method, operation.path): operation
    for operation in OPERATIONS.values()
    if "{" not in operation.path
}
_LABELLED = {
    (operation.method, match["prefix"]): (operation, match["label"])
    for operation in OPERATIONS.values()
    if (match := _LABEL.fullmatch(operation.path))
}
_PREFIXES = tuple({prefix for _, prefix in _LABELLED})


def route(method: str, raw_path: str) -> tuple[Operation, dict[str, str]]:
    """Return the operation that a request line names, and the values of its path's labels.

    `raw_path` is the path as received, still percent-encoded, without the query; bytes beyond
    ASCII as Latin-1.

    Raises:
        ValidationException: no operation has this method and path, or a label is not UTF-8.
    """
    operation = _FIXED.get((method, raw_path))
    if operation is not None:
        return operation, {}
    for prefix in _PREFIXES:
        if raw_path.startswith(prefix) and len(raw_path) > len(prefix):
            labelled = _LABELLED.get((method, prefix))
            if labelled is not None:
                operation, label = labelled
                return operation, {label: _label(label, raw_path[len(prefix) :])}
    raise ValidationException(
        f"Unknown operation: {_shown(method, raw_path)}", ValidationReason.UNKNOWN_OPERATION
    )


def _label(name: str, raw: str) -> str:
    try:
        return unquote_to_bytes(raw.encode("latin-1")).decode()
    except UnicodeError:
        raise ValidationException.of_fields(FieldError(name, INVALID_UTF8)) from None


def _shown(method: str, raw_path: str) -> str:
    """Return the method and the path's first segment, or less when they are not plain words."""
    verb = method if _METHOD_SHOWN.fullmatch(method) else "the method"
    match = _PATH_SHOWN.match(raw_path)
    if match is None:
        return f"{verb} on this path"
    rest = "" if match.end() == len(raw_path) else "..."
    return f"{verb} {match[0]}{rest}"
