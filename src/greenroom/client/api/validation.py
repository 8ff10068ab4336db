"""Look at parameters before they are sent, as the SDK for JavaScript version 2 does.

- Codes and texts are that SDK's, with the model's names. All failures are found, not the first.
- Required, unknown and mistyped members are always looked at; `min`, `max`, `pattern` and `enum`
  by choice. As there, a pattern may match anywhere, and lengths are in UTF-16 units.
- A member that is None is absent.
"""

import re
from collections.abc import Mapping
from typing import Protocol

from greenroom.aws.shapes import ListShape, MapShape, Shape, StringShape, StructureShape
from greenroom.client.api.errors import ParameterError


class Rules(Protocol):
    """Which rules are looked at beside required, unknown and mistyped members."""

    @property
    def min(self) -> bool: ...
    @property
    def max(self) -> bool: ...
    @property
    def pattern(self) -> bool: ...
    @property
    def enum(self) -> bool: ...


def validate(shape: StructureShape, params: Mapping[str, object], rules: Rules) -> None:
    """Accept parameters that fit an operation's input.

    Raises:
        ParameterError: they do not.
    """
    validator = _Validator(rules)
    validator.structure(shape, params, "params")
    errors = tuple(validator.errors)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        listed = "\n* ".join(str(each) for each in errors)
        raise ParameterError(
            "MultipleValidationErrors",
            f"There were {len(errors)} validation errors:\n* {listed}",
            errors,
        )


class _Validator:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.errors: list[ParameterError] = []

    def structure(self, shape: StructureShape, value: object, context: str) -> None:
        members = value if isinstance(value, Mapping) else {}
        if not isinstance(value, Mapping):
            self._mistyped(context, "structure")
        for name in shape.required_members:
            if members.get(name) is None:
                self._fail(
                    "MissingRequiredParameter", f"Missing required key '{name}' in {context}"
                )
        for name, member in members.items():
            if member is None:
                continue
            known = shape.members.get(name)
            if known is None:
                self._fail("UnexpectedParameter", f"Unexpected key '{name}' found in {context}")
            else:
                self._member(known, member, f"{context}.{name}")

    def _member(self, shape: Shape, value: object, context: str) -> None:
        if value is None:
            return
        if isinstance(shape, StructureShape):
            self.structure(shape, value, context)
        elif isinstance(shape, ListShape):
            self._list(shape, value, context)
        elif isinstance(shape, MapShape):
            self._map(shape, value, context)
        elif isinstance(shape, StringShape):
            self._string(shape, value, context)
        elif shape.type_name == "boolean":
            if not isinstance(value, bool):
                self._mistyped(context, "boolean")
        else:
            self._number(shape, value, context)

    def _list(self, shape: ListShape, value: object, context: str) -> None:
        if not isinstance(value, list | tuple):
            self._mistyped(context, "Array")
            return
        self._range(shape, len(value), context, "list member count")
        for index, item in enumerate(value):
            self._member(shape.member, item, f"{context}[{index}]")

    def _map(self, shape: MapShape, value: object, context: str) -> None:
        if not isinstance(value, Mapping):
            self._mistyped(context, "map")
            return
        for key, item in value.items():
            self._member(shape.key, key, f"{context}[key='{key}']")
            self._member(shape.value, item, f"{context}['{key}']")
        self._range(shape, len(value), context, "map member count")

    def _string(self, shape: StringShape, value: object, context: str) -> None:
        if not isinstance(value, str):
            self._mistyped(context, "string")
            return
        if self._rules.enum and shape.enum and value not in shape.enum:
            expected = "|".join(shape.enum)
            self._fail(
                "EnumError",
                f"Found string value of {value}, but expected {expected} for {context}",
            )
        length = len(value.encode("utf-16-le", "surrogatepass")) // 2
        self._range(shape, length, context, "string length")
        pattern = shape.metadata.get("pattern")
        if self._rules.pattern and pattern is not None and not re.search(pattern, value):
            self._fail(
                "PatternMatchError",
                f'Provided value "{value}" does not match regex pattern /{pattern}/ for {context}',
            )
        if shape.serialization.get("location") == "uri" and not value:
            self._fail(
                "UriParameterError",
                f'Expected uri parameter to have length >= 1, but found "" for {context}',
            )

    def _number(self, shape: Shape, value: object, context: str) -> None:
        if isinstance(value, str) and value.isascii() and value.isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._mistyped(context, "number")
        else:
            self._range(shape, value, context, "numeric value")

    def _range(self, shape: Shape, value: float, context: str, what: str) -> None:
        least, most = shape.metadata.get("min"), shape.metadata.get("max")
        if self._rules.min and least is not None and value < least:
            self._fail(
                "MinRangeError", f"Expected {what} >= {least}, but found {value} for {context}"
            )
        if self._rules.max and most is not None and value > most:
            self._fail(
                "MaxRangeError", f"Expected {what} <= {most}, but found {value} for {context}"
            )

    def _mistyped(self, context: str, kind: str) -> None:
        article = "an" if kind[0] in "aeiouAEIOU" else "a"
        self._fail("InvalidParameterType", f"Expected {context} to be {article} {kind}")

    def _fail(self, code: str, message: str) -> None:
        self.errors.append(ParameterError(code, message))
