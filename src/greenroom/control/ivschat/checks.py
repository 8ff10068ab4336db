"""The rules for members that the service model does not state, by the member's name.

They run beside the model's constraints, so that all failures of a request are reported at once.
"""

import msgspec

from greenroom.aws.rest_json import Check
from greenroom.model.errors import FieldError
from greenroom.model.message import attributes_problem
from greenroom.model.tags import tag_errors

_STRINGS = dict[str, str]
"""Made once: each use of the expression makes another type."""


def _tags(value: object) -> list[FieldError]:
    return tag_errors(msgspec.convert(value, _STRINGS))


def _attributes(value: object) -> list[FieldError]:
    problem = attributes_problem(msgspec.convert(value, _STRINGS))
    return [] if problem is None else [FieldError("attributes", problem)]


def _attachments(value: object) -> list[FieldError]:
    identifiers = msgspec.convert(value, list[str])
    return [
        FieldError(f"loggingConfigurationIdentifiers[{index}]", "must not repeat")
        for index, identifier in enumerate(identifiers)
        if identifier in identifiers[:index]
    ]


MEMBER_CHECKS: dict[str, Check] = {
    "tags": _tags,
    "attributes": _attributes,
    "loggingConfigurationIdentifiers": _attachments,
}
