"""Decide: may this request be made, by the policies in force?

An explicit deny in any policy wins; then an identity-based policy must allow, and a session policy
too where the session has some; else the request is denied implicitly (IAM User Guide, "Policy
evaluation logic").

Documents are compiled once. For each action that is asked for, the statements that can match it
are found once and kept: a decision then looks at resources and conditions only.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ParamSpec

import msgspec

from greenroom.model.letter_case import without_case
from greenroom.model.principal import (
    AccessRequest,
    Decision,
    MatchedStatement,
    Outcome,
    PolicyKind,
)
from greenroom.policies import wildcards
from greenroom.policies.conditions import Meter, Test, compile_condition, each_metered
from greenroom.policies.statement import Effect, Elements, PolicyDocument, Statement
from greenroom.policies.variables import Context, fixed, keys, resolve, template
from greenroom.policies.wildcards import tokens

P = ParamSpec("P")

MAX_ACTIONS = 256
"""Actions whose statements are kept for one set of policies; at the bound they are forgotten."""

_RESOURCE_TAG = "aws:resourcetag/"

ResourceTest = Callable[[str, Context], bool]


class CompiledStatement:
    """One statement, ready to be matched."""

    __slots__ = (
        "_actions", "_not_actions", "_resource", "_tests", "deny", "matched", "uses_resource_tags",
    )  # fmt: skip

    def __init__(
        self,
        policy_id: str,
        index: int,
        statement: Statement,
        variables: bool,
        meter: Meter | None = None,
    ) -> None:
        self.matched = MatchedStatement(policy_id, index, statement.sid)
        self.deny = statement.effect is Effect.DENY
        self.uses_resource_tags = _uses_resource_tags(statement, variables)
        named = each_metered(statement.actions.values, meter)
        actions = [wildcards.glob(tokens(each.lower())) for each in named]
        self._actions = [_metered(each, meter) for each in actions]
        self._not_actions = statement.actions.negated
        self._resource = _resource_test(statement.resources, variables, meter)
        self._tests: Sequence[Test] = [
            compile_condition(each, variables=variables, deny=self.deny, meter=meter)
            for each in statement.conditions
        ]

    def concerns(self, action: str) -> bool:
        """Return whether the statement can match the action, given in lower case."""
        return any(matches(action) for matches in self._actions) is not self._not_actions

    def applies(self, resource: str, context: Context) -> bool:
        """Return whether the statement matches a request for an action that it concerns."""
        if self._resource is not None and not self._resource(resource, context):
            return False
        for test in self._tests:  # noqa: SIM110 - a generator would double the time
            if not test(context):
                return False
        return True


class CompiledPolicy:
    """The statements of one document.

    A `meter` is called before each pattern that is compiled, and each time that one is matched.
    With none, deciding costs less.
    """

    def __init__(
        self, policy_id: str, document: PolicyDocument, meter: Meter | None = None
    ) -> None:
        self.statements = [
            CompiledStatement(policy_id, i, statement, document.has_variables, meter)
            for i, statement in enumerate(document.statements)
        ]


class _Candidates(msgspec.Struct, frozen=True):
    """The statements that concern one action. The allowing ones of a session: None without any."""

    denying: tuple[CompiledStatement, ...]
    session_denying: tuple[CompiledStatement, ...]
    allowing: tuple[CompiledStatement, ...]
    session_allowing: tuple[CompiledStatement, ...] | None
    uses_resource_tags: bool


class CompiledPolicies:
    """The policies in force for a principal; fulfils `Permissions`.

    `session` is None without session policies. An empty sequence is a session that allows nothing.
    """

    def __init__(
        self, identity: Iterable[CompiledPolicy], session: Iterable[CompiledPolicy] | None = None
    ) -> None:
        self._identity = _statements(identity)
        self._session = None if session is None else _statements(session)
        self._by_action: dict[str, _Candidates] = {}

    def decide(self, request: AccessRequest) -> Decision:
        """Return what the policies say, with the first statement of each that says so."""
        resource, context = request.resource, request.context
        found = self._by_action.get(request.action) or self._find(request.action)
        for statement in found.denying:
            if statement.applies(resource, context):
                return Decision(Outcome.EXPLICIT_DENY, PolicyKind.IDENTITY, (statement.matched,))
        for statement in found.session_denying:
            if statement.applies(resource, context):
                return Decision(Outcome.EXPLICIT_DENY, PolicyKind.SESSION, (statement.matched,))
        allow = _first(found.allowing, resource, context)
        if allow is None:
            return _NOT_ALLOWED
        if found.session_allowing is None:
            return Decision(Outcome.ALLOW, PolicyKind.IDENTITY, (allow.matched,))
        session_allow = _first(found.session_allowing, resource, context)
        if session_allow is None:
            return _NOT_ALLOWED_IN_SESSION
        return Decision(Outcome.ALLOW, PolicyKind.SESSION, (allow.matched, session_allow.matched))

    def explain(self, request: AccessRequest) -> Decision:
        """Return the same decision as `decide`, with all statements that led to it."""
        decision = self.decide(request)
        found = self._find(request.action)
        by_outcome = {
            Outcome.EXPLICIT_DENY: (*found.denying, *found.session_denying),
            Outcome.ALLOW: (*found.allowing, *(found.session_allowing or ())),
            Outcome.IMPLICIT_DENY: (),
        }
        matched = tuple(
            statement.matched
            for statement in by_outcome[decision.outcome]
            if statement.applies(request.resource, request.context)
        )
        return Decision(decision.outcome, decision.kind, matched)

    @property
    def is_narrowed(self) -> bool:
        """Return whether there are session policies."""
        return self._session is not None

    def uses_resource_tags(self, action: str) -> bool:
        """Return whether a decision on this action can depend on `aws:ResourceTag/...`."""
        return (self._by_action.get(action) or self._find(action)).uses_resource_tags

    def _find(self, action: str) -> _Candidates:
        """Find the statements that concern an action, and keep them."""
        name = action.lower()
        identity = [each for each in self._identity if each.concerns(name)]
        session = [each for each in self._session or () if each.concerns(name)]
        found = _Candidates(
            denying=tuple(each for each in identity if each.deny),
            session_denying=tuple(each for each in session if each.deny),
            allowing=tuple(each for each in identity if not each.deny),
            session_allowing=(
                None if self._session is None else tuple(each for each in session if not each.deny)
            ),
            uses_resource_tags=any(each.uses_resource_tags for each in (*identity, *session)),
        )
        if len(self._by_action) >= MAX_ACTIONS:
            self._by_action.clear()
        self._by_action[action] = found
        return found


_NOT_ALLOWED = Decision(Outcome.IMPLICIT_DENY, PolicyKind.IDENTITY)
_NOT_ALLOWED_IN_SESSION = Decision(Outcome.IMPLICIT_DENY, PolicyKind.SESSION)


def _first(
    statements: Iterable[CompiledStatement], resource: str, context: Context
) -> CompiledStatement | None:
    for statement in statements:
        if statement.applies(resource, context):
            return statement
    return None


def _statements(policies: Iterable[CompiledPolicy]) -> list[CompiledStatement]:
    return [statement for policy in policies for statement in policy.statements]


def _metered(test: Callable[P, bool], meter: Meter | None) -> Callable[P, bool]:
    if meter is None:
        return test

    def metered(*given: P.args, **named: P.kwargs) -> bool:
        meter()
        return test(*given, **named)

    return metered


def _resource_test(
    resources: Elements | None, variables: bool, meter: Meter | None
) -> ResourceTest | None:
    """Return a test of the resource, or None when every resource passes."""
    if resources is None or (resources.values == ("*",) and not resources.negated):
        return None
    named = each_metered(resources.values, meter)
    tests = [_metered(_one_resource(text, variables), meter) for text in named]
    if len(tests) == 1 and not resources.negated:
        return tests[0]
    negated = resources.negated

    def test(resource: str, context: Context) -> bool:
        return any(each(resource, context) for each in tests) is not negated

    return test


def _one_resource(text: str, variables: bool) -> ResourceTest:
    pieces = template(text, variables=variables)
    known = fixed(pieces)
    if known is not None:
        matches = wildcards.resource(known)
        return lambda resource, _: matches(resource)
    can_match = wildcards.landmarks(pieces)

    def test(resource: str, context: Context) -> bool:
        # "the resource that includes a policy variable with no value will not match any resource"
        if not can_match(resource):
            return False
        resolved = resolve(pieces, context)
        return resolved is not None and wildcards.resource(resolved)(resource)

    return test


def _uses_resource_tags(statement: Statement, variables: bool) -> bool:
    return any(key.startswith(_RESOURCE_TAG) for key in _keys(statement, variables))


def _keys(statement: Statement, variables: bool) -> Iterator[str]:
    """Yield the condition keys that a statement looks at, in lower case."""
    texts = list(statement.resources.values) if statement.resources else []
    for condition in statement.conditions:
        yield without_case(condition.key)
        if condition.operator.rpartition(":")[2].startswith(("String", "Arn", "Bool")):
            texts += condition.values
    for text in texts:
        yield from keys(template(text, variables=variables))


NO_POLICIES = CompiledPolicies(())
"""Of a principal whom nothing allows anything."""
