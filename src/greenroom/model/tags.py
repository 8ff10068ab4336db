"""Tags: their naming rules (AWS General Reference, "Tagging AWS resources")."""

import re
from collections.abc import Iterable, Mapping

from greenroom.model.errors import FieldError

TAGS_PER_RESOURCE = 50
"""At most 50 tags can be applied to a resource (ivschat API reference)."""

_ALLOWED = re.compile(r"[\w\s.:/=+\-@]*")


def tag_key_errors(keys: Iterable[str], path: str) -> list[FieldError]:
    """Return what is wrong with the keys; `path` names the member that holds them.

    Keys may hold letters, digits, spaces and `_ . : / = + - @`; the prefix `aws:` is reserved.
    """
    errors = []
    for key in keys:
        if key.lower().startswith("aws:"):
            errors.append(FieldError(f"{path}.{key}", "tag keys must not start with aws:"))
        elif not _letters_digits_or_allowed(key):
            errors.append(FieldError(f"{path}.{key}", _CHARACTERS.format("keys")))
    return errors


def tag_errors(tags: Mapping[str, str], path: str = "tags") -> list[FieldError]:
    """Return what is wrong with the tags beyond the sizes that the service model states."""
    errors = tag_key_errors(tags, path)
    for key, value in tags.items():
        if value.lower().startswith("aws:"):
            errors.append(FieldError(f"{path}.{key}", "tag values must not start with aws:"))
        elif not _letters_digits_or_allowed(value):
            errors.append(FieldError(f"{path}.{key}", _CHARACTERS.format("values")))
    return errors


_CHARACTERS = "tag {} may hold letters, digits, spaces and _ . : / = + - @ only"


def _letters_digits_or_allowed(text: str) -> bool:
    return _ALLOWED.fullmatch(text) is not None
