"""What is given for an option of an operation, as the value of its shape.

As the AWS CLI has it: JSON, shorthand, or `file://PATH` for what a file holds.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from greenroom.aws.shapes import ListShape, Shape
from greenroom.cli.operations.models import is_complex
from greenroom.cli.operations.shorthand import ShorthandInvalid, fitted, parse, scalar

FILE = "file://"


class ValueInvalid(ValueError):
    """A value cannot be used; the message says why, and does not repeat it."""


def read(text: str) -> str:
    """Return the text, or what the file holds that it names.

    Raises:
        ValueInvalid: the file cannot be read.
    """
    if not text.startswith(FILE):
        return text
    path = Path(text.removeprefix(FILE)).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueInvalid(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueInvalid(f"{path} is no text in UTF-8") from None


def value_of(shape: Shape, texts: Sequence[str]) -> object:
    """Return the value that is given by one text, or by those of a list.

    Raises:
        ValueInvalid: it does not fit the shape.
    """
    try:
        if not isinstance(shape, ListShape):
            return _one(shape, read(texts[-1]))
        texts = [read(text) for text in texts]
        if len(texts) == 1 and texts[0].lstrip().startswith("["):
            return _json(texts[0])
        return [_one(shape.member, text) for text in texts]
    except ShorthandInvalid as invalid:
        raise ValueInvalid(str(invalid)) from None


def json_of(text: str) -> dict[str, object]:
    """Return the parameters of a whole request, as `--cli-input-json` has them.

    Raises:
        ValueInvalid: the text is no JSON object.
    """
    found = _json(read(text))
    if not isinstance(found, dict):
        raise ValueInvalid("must be a JSON object, or file:// and a file with one")
    return found


def _one(shape: Shape, text: str) -> object:
    if not is_complex(shape):
        return scalar(shape, text)
    if text.lstrip()[:1] in ("{", "["):
        return _json(text)
    return fitted(shape, parse(text, read))


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        why = str(error).partition(": line")[0]
        raise ValueInvalid(f"is no valid JSON: {why}") from None
