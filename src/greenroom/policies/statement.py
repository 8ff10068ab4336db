"""IAM policy documents as values, and as JSON in one fixed form.

Source: IAM User Guide, "Grammar of the IAM JSON policy language".
"""

import json
from enum import StrEnum

import msgspec

from greenroom.policies.conditions import Condition

VARIABLES_SINCE = "2012-10-17"
OLD_VERSION = "2008-10-17"
"""The version of a document that names none; `${` is text in it."""


class Effect(StrEnum):
    """What a statement does with the requests that it matches."""

    ALLOW = "Allow"
    DENY = "Deny"


class Elements(msgspec.Struct, frozen=True):
    """`Action`, `Resource` or `Principal`, or its `Not...` form."""

    values: tuple[str, ...]
    negated: bool = False


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement. A principal is `*` or its kind and name: `AWS:123456789012`."""

    effect: Effect
    actions: Elements
    resources: Elements | None = None
    principals: Elements | None = None
    conditions: tuple[Condition, ...] = ()
    sid: str | None = None


class PolicyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A checked document."""

    statements: tuple[Statement, ...]
    version: str = OLD_VERSION
    id: str | None = None

    @property
    def has_variables(self) -> bool:
        """Return whether `${...}` is a variable in this version of the language."""
        return self.version == VARIABLES_SINCE


def to_json(document: PolicyDocument) -> str:
    """Return the document as JSON in one fixed form; parsing that gives the document again."""
    found: dict[str, object] = {"Version": document.version}
    if document.id is not None:
        found["Id"] = document.id
    found["Statement"] = [_printed(statement) for statement in document.statements]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _printed(statement: Statement) -> dict[str, object]:
    found: dict[str, object] = {} if statement.sid is None else {"Sid": statement.sid}
    found["Effect"] = statement.effect.value
    if statement.principals is not None:
        found[_name("Principal", statement.principals)] = _principal_map(statement.principals)
    found[_name("Action", statement.actions)] = list(statement.actions.values)
    if statement.resources is not None:
        found[_name("Resource", statement.resources)] = list(statement.resources.values)
    conditions: dict[str, dict[str, list[str]]] = {}
    for each in statement.conditions:
        conditions.setdefault(each.operator, {})[each.key] = list(each.values)
    if conditions:
        found["Condition"] = conditions
    return found


def _name(element: str, elements: Elements) -> str:
    return f"Not{element}" if elements.negated else element


def _principal_map(principals: Elements) -> object:
    if principals.values == ("*",):
        return "*"
    kinds: dict[str, list[str]] = {}
    for each in principals.values:
        kind, _, name = each.partition(":")
        kinds.setdefault(kind, []).append(name)
    return kinds
