"""Read the JSON of a policy document: within its size, and remembering keys that stand twice."""

import json
from collections.abc import Iterable, Mapping

from greenroom.model.errors import ServiceError

MAX_TEXT = 131_072
"""Characters of a document with its white space (IAM API reference, policyDocumentType)."""


class MalformedPolicyDocument(ServiceError):
    """The document is not a policy; the message names the place and the rule."""

    status = 400


class JsonObject(dict[str, object]):
    """A JSON object that remembers a key that it had twice."""

    repeated: str | None = None


class JsonNumber(str):
    """A JSON number as it was written."""

    __slots__ = ()


def load(document: str | Mapping[str, object], limit: int | None) -> object:
    """Return a document's JSON. `limit` is its characters at most, white space not counted.

    Raises:
        MalformedPolicyDocument: it is too large or no JSON.
    """
    if not isinstance(document, str):
        try:
            document = json.dumps(document)
        except (TypeError, ValueError, RecursionError):
            raise MalformedPolicyDocument("The policy holds what JSON cannot.") from None
    if len(document) > MAX_TEXT:
        raise MalformedPolicyDocument(f"The policy is longer than {MAX_TEXT} characters.")
    if limit is not None and (size := policy_size(document)) > limit:
        raise MalformedPolicyDocument(
            f"The policy has {size} characters, white space not counted; at most {limit} can be."
        )
    try:
        return json.loads(
            document,
            object_pairs_hook=_object,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        where = ""
        if isinstance(error, json.JSONDecodeError):
            where = f" (line {error.lineno}, column {error.colno}): {error.msg}"
        raise MalformedPolicyDocument(f"The policy is not valid JSON{where}.") from None


def policy_size(text: str) -> int:
    """Return the characters of a document that count: all but white space."""
    return len(text) - sum(map(str.isspace, text))


def _object(pairs: Iterable[tuple[str, object]]) -> JsonObject:
    found = JsonObject()
    for key, value in pairs:
        if key in found:
            found.repeated = key
        found[key] = value
    return found


def _no_constant(text: str) -> object:
    raise ValueError(text)
