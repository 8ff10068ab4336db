"""IAM policy documents: read JSON, and say where it breaks which rule.

Two kinds: identity-based policies (also session policies), which name resources and no principal;
and trust policies of roles, which name principals and no resource.
Source: IAM User Guide, "Grammar of the IAM JSON policy language" and "IAM and AWS STS quotas".
"""

import re
from collections.abc import Callable, Iterable, Mapping

from greenroom.policies.conditions import (
    Condition,
    Meter,
    compile_condition,
    each_metered,
    qualified,
)
from greenroom.policies.statement import (
    OLD_VERSION,
    VARIABLES_SINCE,
    Effect,
    Elements,
    PolicyDocument,
    Statement,
)
from greenroom.policies.text import JsonNumber, JsonObject, MalformedPolicyDocument, load
from greenroom.policies.variables import Variable, template

MANAGED_POLICY_SIZE = 6_144
"""Characters of a managed policy, white space not counted."""

USER_INLINE_SIZE = 2_048
"""Characters of all inline policies of a user."""

ROLE_INLINE_SIZE = 10_240
"""Characters of all inline policies of a role."""

TRUST_POLICY_SIZE = 2_048
"""Characters of a trust policy."""


def parse_identity_policy(
    document: str | Mapping[str, object],
    limit: int | None = None,
    meter: Meter | None = None,
) -> PolicyDocument:
    """Read an identity-based or session policy.

    `limit` is the number of characters that it may have, white space not counted; `meter` is called
    before each value is checked.

    Raises:
        MalformedPolicyDocument: it breaks a rule; the message says where and which.
    """
    return _Parser(trust=False, meter=meter).document(load(document, limit))


def parse_trust_policy(
    document: str | Mapping[str, object], limit: int | None = TRUST_POLICY_SIZE
) -> PolicyDocument:
    """Read the trust policy of a role: who may assume it.

    Raises:
        MalformedPolicyDocument: it breaks a rule; the message says where and which.
    """
    return _Parser(trust=True).document(load(document, limit))


_SID = re.compile(r"[A-Za-z0-9]*")
_ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_STS_ACTION = re.compile(r"(?i)sts:[a-z*?]+")
_KEY = re.compile(r"[A-Za-z0-9-]+:[^:].*")
_AWS_PRINCIPAL = re.compile(
    r"(?a)\*|[0-9]{12}|A[A-Z]{3}[A-Z0-9]{8,124}(:[\w+=,.@-]+)?"
    r"|arn:aws:iam::[0-9]{12}:(root|(user|role)/[\x21-\x29\x2b-\x3e\x40-\x7e]+)"
    r"|arn:aws:sts::[0-9]{12}:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+"
)
_PRINCIPAL_KINDS = ("AWS", "Federated", "Service", "CanonicalUser")
_TOP = ("Version", "Statement")
_STATEMENT = ("Sid", "Effect", "Action", "NotAction", "Condition")


class _Parser:
    """Checks one document; `trust` says which kind it must be."""

    def __init__(self, *, trust: bool, meter: Meter | None = None) -> None:
        self._trust = trust
        self._meter = meter
        self._variables = False

    def document(self, value: object) -> PolicyDocument:
        top = _mapping(value, "", (*_TOP, "Id") if self._trust else _TOP)
        version = top.get("Version", OLD_VERSION)
        if version not in (VARIABLES_SINCE, OLD_VERSION):
            raise _fault("Version", f"must be {VARIABLES_SINCE} or {OLD_VERSION}")
        self._variables = version == VARIABLES_SINCE
        if "Statement" not in top:
            raise _fault("Statement", "is missing")
        return PolicyDocument(
            version=str(version),
            id=_text(top["Id"], "Id") if "Id" in top else None,
            statements=self._statements(top["Statement"]),
        )

    def _statements(self, value: object) -> tuple[Statement, ...]:
        if not isinstance(value, list):
            return (self._statement(value, "Statement"),)
        if not value:
            raise _fault("Statement", "must hold a statement")
        found = tuple(
            self._statement(each, f"Statement[{i}]")
            for i, each in each_metered(enumerate(value), self._meter)
        )
        sids: set[str] = set()
        for i, statement in enumerate(found):
            if statement.sid in sids:
                raise _fault(f"Statement[{i}].Sid", "must be unique in the policy")
            if statement.sid:
                sids.add(statement.sid)
        return found

    def _statement(self, value: object, path: str) -> Statement:
        kind = ("Principal", "NotPrincipal") if self._trust else ("Resource", "NotResource")
        entries = _mapping(value, path, (*_STATEMENT, *kind), self._reason)
        if "Effect" not in entries:
            raise _fault(f"{path}.Effect", "is missing")
        if entries["Effect"] not in ("Allow", "Deny"):
            raise _fault(f"{path}.Effect", "must be Allow or Deny")
        effect = Effect(str(entries["Effect"]))
        sid = _text(entries["Sid"], f"{path}.Sid") if "Sid" in entries else None
        if sid is not None and not _SID.fullmatch(sid):
            raise _fault(f"{path}.Sid", "must be letters and digits only")
        return Statement(
            effect=effect,
            sid=sid,
            actions=self._actions(entries, path),
            resources=None if self._trust else self._resources(entries, path),
            principals=_principals(entries, path) if self._trust else None,
            conditions=self._conditions(
                entries.get("Condition", JsonObject()), f"{path}.Condition"
            ),
        )

    def _reason(self, name: str) -> str:
        """Return why a statement may not have an element."""
        if name in ("Principal", "NotPrincipal"):
            return "belongs in trust policies only: an identity-based policy names no principal"
        if name in ("Resource", "NotResource"):
            return "does not belong in a trust policy: its resource is the role"
        return _UNKNOWN

    def _actions(self, entries: Mapping[str, object], path: str) -> Elements:
        name, value = _either(entries, path, "Action")
        values = _texts(value, f"{path}.{name}")
        for place, action in each_metered(values, self._meter):
            if not _ACTION.fullmatch(action):
                raise _fault(place, "must be * or SERVICE:ACTION, with * and ? in the action only")
            if self._trust and not _STS_ACTION.fullmatch(action):
                raise _fault(place, "must be an action of sts in a trust policy")
        return Elements(tuple(action for _, action in values), name.startswith("Not"))

    def _resources(self, entries: Mapping[str, object], path: str) -> Elements:
        name, value = _either(entries, path, "Resource")
        values = _texts(value, f"{path}.{name}")
        for place, resource in each_metered(values, self._meter):
            _check_resource(resource, place, self._variables)
        return Elements(tuple(resource for _, resource in values), name.startswith("Not"))

    def _conditions(self, value: object, path: str) -> tuple[Condition, ...]:
        found = []
        for operator, keys in _mapping(value, path).items():
            for key, values in _mapping(keys, f"{path}.{operator}").items():
                place = f"{path}.{operator}.{key}"
                texts = _texts(values, place, scalars=True)
                self._check_condition(operator, key, f"{path}.{operator}", texts)
                found.append(Condition(operator, key, tuple(text for _, text in texts)))
        return tuple(found)

    def _check_condition(
        self, operator: str, key: str, path: str, texts: Iterable[tuple[str, str]]
    ) -> None:
        try:
            qualified(operator)
        except ValueError as error:
            raise _fault(path, str(error)) from None
        if not _KEY.fullmatch(key):
            raise _fault(f"{path}.{key}", "is not a condition key: SERVICE:NAME")
        for place, value in each_metered(texts, self._meter):
            one = Condition(operator, key, (value,))
            try:
                compile_condition(one, variables=self._variables, deny=False)
            except ValueError as error:
                raise _fault(place, str(error)) from None


_UNKNOWN = "is not an element of the policy language here"


def _fault(path: str, rule: str) -> MalformedPolicyDocument:
    return MalformedPolicyDocument(f"{path or 'The policy'}: {rule}.")


def _mapping(
    value: object,
    path: str,
    names: tuple[str, ...] | None = None,
    reason: Callable[[str], str] = lambda _: _UNKNOWN,
) -> Mapping[str, object]:
    """Return an object, when its keys are all known and none stands twice."""
    if not isinstance(value, JsonObject):
        raise _fault(path, "must be an object")
    prefix = f"{path}." if path else ""
    if value.repeated is not None:
        raise _fault(f"{prefix}{value.repeated}", "stands twice")
    for name in value:
        if names is not None and name not in names:
            raise _fault(f"{prefix}{name}", reason(name))
    return value


def _either(entries: Mapping[str, object], path: str, name: str) -> tuple[str, object]:
    """Return the element or its `Not...` form, whichever is there."""
    present = [each for each in (name, f"Not{name}") if each in entries]
    if not present:
        raise _fault(f"{path}.{name}", f"is missing: a statement has {name} or Not{name}")
    if len(present) > 1:
        raise _fault(f"{path}.Not{name}", f"cannot stand beside {name}")
    return present[0], entries[present[0]]


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or isinstance(value, JsonNumber):
        raise _fault(path, "must be a string")
    return value


def _texts(value: object, path: str, *, scalars: bool = False) -> list[tuple[str, str]]:
    """Return one or several strings, each with its place; `scalars` takes numbers and booleans."""
    if isinstance(value, list):
        if not value:
            raise _fault(path, "must not be empty")
        return [
            (f"{path}[{i}]", _scalar(each, f"{path}[{i}]", scalars)) for i, each in enumerate(value)
        ]
    return [(path, _scalar(value, path, scalars))]


def _scalar(value: object, path: str, scalars: bool) -> str:
    if scalars and isinstance(value, bool):
        return str(value).lower()
    if scalars and isinstance(value, JsonNumber):
        return str(value)
    return _text(value, path)


def _check_resource(text: str, path: str, variables: bool) -> None:
    try:
        pieces = template(text, variables=variables)
    except ValueError as error:
        raise _fault(path, str(error)) from None
    if text == "*":
        return
    head = ""
    for piece in pieces:
        if isinstance(piece, Variable):
            if head.count(":") < 5:
                raise _fault(path, "can have variables after its fifth colon only")
            break
        head += piece if isinstance(piece, str) else piece.value
    if not head.startswith("arn:") or (head.count(":") < 5 and not head.endswith("*")):
        raise _fault(path, "must be * or an ARN of six parts")


def _principals(entries: Mapping[str, object], path: str) -> Elements:
    name, value = _either(entries, path, "Principal")
    negated = name.startswith("Not")
    if value == "*":
        return Elements(("*",), negated)
    if not isinstance(value, JsonObject):
        raise _fault(f"{path}.{name}", "must be * or an object")
    found = []
    for kind, names in _mapping(value, f"{path}.{name}", _PRINCIPAL_KINDS).items():
        for place, each in _texts(names, f"{path}.{name}.{kind}"):
            if kind == "AWS" and not _AWS_PRINCIPAL.fullmatch(each):
                raise _fault(
                    place,
                    "must be *, an account, or the ARN or id of a user, role or role session",
                )
            found.append(f"{kind}:{each}")
    if not found:
        raise _fault(f"{path}.{name}", "must not be empty")
    return Elements(tuple(found), negated)
