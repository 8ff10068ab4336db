"""Tags: their naming rules (AWS General Reference, "Tagging AWS resources")."""

import re
from collections.abc import Iterable, Mapping

from greenroom.model.errors import FieldError

TAGS_PER_RESOURCE = 50
"""At most 50 tags can be applied to a resource (ivschat API reference)."""

_SPACES = " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's separators, as a part of a character class; a tab or a line break is none of them."""

_ALLOWED = re.compile(rf"[\w{_SPACES}.:/=+\-@]*")


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


def tag_count_errors(count: int, quota: int, path: str = "tags") -> list[FieldError]:
    """Return what is wrong with a resource's number of tags; a quota of 0 is no limit."""
    if not quota or count <= quota:
        return []
    return [FieldError(path, f"at most {quota} tags per resource, not {count}")]


_CHARACTERS = "tag {} may hold letters, digits, spaces and _ . : / = + - @ only"


def _letters_digits_or_allowed(text: str) -> bool:
    return _ALLOWED.fullmatch(text) is not None
