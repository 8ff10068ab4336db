r"""The shorthand syntax of the AWS CLI: `Key=Value,Other=a,b`, `Key={Name=x},List=[a,b]`.

Source: AWS CLI User Guide, "Using shorthand syntax". A value ends at a comma; one that is followed
by further values without a key is a list. Quotes keep everything, `\,` is a comma, and `Key@=`
takes what the file has that its value names.
"""

import re
from collections.abc import Callable, Mapping

from greenroom.aws.shapes import ListShape, MapShape, Shape, StructureShape

Parsed = object

_KEY = re.compile(r"\s*([\w\-.#/:]*)\s*(@?)\s*=\s*", re.ASCII)
_FIRST = re.compile(r"(?:\\,|[^,\"'\[{\s=])(?:\\,|[^,\"'\]}])*")
_FURTHER = re.compile(r"(?:\\,|[^,\"'\[{\s=])(?:\\,|[^,\"'=])*")
_QUOTED = {"'": re.compile(r"'((?:\\'|[^'])*)'"), '"': re.compile(r'"((?:\\"|[^"])*)"')}


class ShorthandInvalid(ValueError):
    """A text is no shorthand, or does not fit; the message says where or why, without the text."""


def parse(text: str, read: Callable[[str], str] = lambda text: text) -> dict[str, Parsed]:
    """Return the members of a structure or a map; `read` gives what a `file://` URL names.

    Raises:
        ShorthandInvalid: the text is none.
    """
    return _Reader(text, read).whole()


def fitted(shape: Shape, value: Parsed) -> Parsed:
    """Return a parsed value as its shape has it: numbers, truth values, lists of one.

    Raises:
        ShorthandInvalid: it does not fit.
    """
    match shape:
        case StructureShape():
            return _members(value, lambda name: _member(shape, name))
        case MapShape():
            return _members(value, lambda _name: shape.value)
        case ListShape():
            items = value if isinstance(value, list) else [value]
            return [fitted(shape.member, each) for each in items]
        case _:
            return scalar(shape, value)


def scalar(shape: Shape, value: Parsed) -> Parsed:
    """Return a number, a truth value or a text.

    Raises:
        ShorthandInvalid: the value is something else.
    """
    if not isinstance(value, str):
        raise ShorthandInvalid("must be one value")
    try:
        if shape.type_name in ("integer", "long"):
            return int(value)
        if shape.type_name in ("float", "double"):
            return float(value)
    except ValueError:
        raise ShorthandInvalid("must be a number") from None
    return value.lower() != "false" if shape.type_name == "boolean" else value


def _members(value: Parsed, shape_of: Callable[[str], Shape]) -> dict[str, Parsed]:
    if not isinstance(value, Mapping):
        raise ShorthandInvalid("must be KEY=VALUE, or JSON")
    found = {}
    for name, each in value.items():
        try:
            found[name] = fitted(shape_of(name), each)
        except ShorthandInvalid as invalid:
            if isinstance(invalid, _UnknownKey):
                raise
            raise ShorthandInvalid(f"{name} {invalid}") from None
    return found


class _UnknownKey(ShorthandInvalid):
    pass


def _member(shape: StructureShape, name: str) -> Shape:
    if name not in shape.members:
        raise _UnknownKey(f"has no key {name!r}: there are {', '.join(shape.members)}")
    return shape.members[name]


class _Reader:
    """Reads a text from left to right."""

    def __init__(self, text: str, read: Callable[[str], str]) -> None:
        self._text = text
        self._at = 0
        self._read = read

    def whole(self) -> dict[str, Parsed]:
        found: dict[str, Parsed] = {}
        while True:
            key, is_file = self._key()
            if key in found:
                raise ShorthandInvalid(
                    f"has {key} twice: parts of a list are apart by a space, keys by a comma"
                )
            found[key] = self._values(is_file=is_file)
            if self._at >= len(self._text):
                return found
            self._take(",")

    def _key(self) -> tuple[str, bool]:
        match = _KEY.match(self._text, self._at)
        if match is None:
            raise self._expected("KEY=")
        self._at = match.end()
        return match[1], bool(match[2])

    def _values(self, *, is_file: bool) -> Parsed:
        """Read a value and those that follow without a key."""
        first = self._value(_FIRST, is_file=is_file)
        self._space()
        if not isinstance(first, str) or not self._is_value_next():
            return first
        values = [first]
        while self._is_value_next():
            self._take(",")
            values.append(str(self._value(_FURTHER, is_file=is_file)))
            self._space()
        return values

    def _is_value_next(self) -> bool:
        """Return whether a comma is next, and behind it a value and not a key."""
        if not self._text.startswith(",", self._at):
            return False
        behind = self._text[self._at + 1 :].lstrip()
        if behind[:1] in _QUOTED:
            return True
        match = _FURTHER.match(behind)
        return match is not None and not behind[match.end() :].startswith("=")

    def _value(self, plain: re.Pattern[str], *, is_file: bool) -> Parsed:
        self._space()
        start = self._text[self._at : self._at + 1]
        if start == "[":
            return self._list(is_file=is_file)
        if start == "{":
            return self._structure()
        if start in _QUOTED:
            match = _QUOTED[start].match(self._text, self._at)
            if match is None:
                raise self._expected(f"a closing {start}")
            text = match[1].replace(f"\\{start}", start).replace("\\\\", "\\")
        else:
            match = plain.match(self._text, self._at)
            text = "" if match is None else match.group().replace("\\,", ",").rstrip()
        self._at = self._at if match is None else match.end()
        return self._read(text) if is_file else text

    def _list(self, *, is_file: bool) -> list[Parsed]:
        self._take("[")
        values: list[Parsed] = []
        while not self._is_end("]"):
            values.append(self._value(_FIRST, is_file=is_file))
            if not self._is_end("]"):
                self._take(",")
        self._take("]")
        return values

    def _structure(self) -> dict[str, Parsed]:
        self._take("{")
        members: dict[str, Parsed] = {}
        while not self._is_end("}"):
            key, is_file = self._key()
            members[key] = self._value(_FIRST, is_file=is_file)
            if not self._is_end("}"):
                self._take(",")
        self._take("}")
        return members

    def _is_end(self, char: str) -> bool:
        self._space()
        return self._text.startswith(char, self._at)

    def _take(self, char: str) -> None:
        self._space()
        if not self._text.startswith(char, self._at):
            raise self._expected(char)
        self._at += 1
        self._space()

    def _space(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1

    def _expected(self, what: str) -> ShorthandInvalid:
        return ShorthandInvalid(f"needs {what} at character {self._at + 1}")
