"""SimulatePrincipalPolicy and SimulateCustomPolicy: what policies say to requests not made.

Only the page that is asked for is evaluated. One simulation runs at a time, in slices between which
other work gets its turn, and within `STEP_SECONDS` and `TOTAL_SECONDS` of CPU time.
"""

from collections.abc import Iterable, Iterator, Mapping

from greenroom.control.iam.call import IamCall
from greenroom.control.long_work import Budget, TookTooLong
from greenroom.control.pipeline import Result
from greenroom.model.identity import IdentityKind, Role, User
from greenroom.model.identity_errors import InvalidInput, NoSuchEntity
from greenroom.model.letter_case import without_case
from greenroom.model.principal import (
    AccessRequest,
    ContextValue,
    Decision,
    Principal,
    PrincipalType,
)
from greenroom.policies.decision import CompiledPolicies, CompiledPolicy
from greenroom.policies.document import parse_identity_policy
from greenroom.policies.request_context import RequestFacts, request_context, with_resource

GIVEN_CHARACTERS = 131_072
"""Characters of all policies in one request: what one may have (IAM API reference)."""

POLICY_CHARACTERS = 10_240
"""Characters of one of them, white space not counted: no policy can have more."""

VALUE_CHARACTERS = 4_096
"""Characters of one value of the context."""

STEP_SECONDS = 0.020
"""CPU time that one pair of action and resource may take, far more than is usual, and that a
policy may take to be read, and to be made ready."""

TOTAL_SECONDS = 1.0
"""CPU time that all of one request may take."""

_UNSUPPORTED = (
    "PermissionsBoundaryPolicyInputList",
    "OrderedOrganizationPolicyInputList",
    "PolicyExclusionList",
    "ResourcePolicy",
)


async def simulate_custom_policy(call: IamCall) -> Result:
    """SimulateCustomPolicy: the given policies only."""
    async with call.services.simulations.turn(STEP_SECONDS, TOTAL_SECONDS) as budget:
        policies = CompiledPolicies(await _compiled(_given(call), budget))
        return await _results(call, budget, policies, {})


async def simulate_principal_policy(call: IamCall) -> Result:
    """SimulatePrincipalPolicy: those of a user or role, and the given ones."""
    holder, attached = await _source(call)
    documents = _documents(holder, attached)
    # The request that is thought of has no address, and no user agent.
    facts = RequestFacts(region=call.facts.region, now=call.facts.now, secure=call.facts.secure)
    async with call.services.simulations.turn(STEP_SECONDS, TOTAL_SECONDS) as budget:
        policies = CompiledPolicies(await _compiled([*documents, *_given(call)], budget))
        context = request_context(_as_principal(holder, policies), facts)
        return await _results(call, budget, policies, context)


async def _compiled(documents: Iterable[tuple[str, str]], budget: Budget) -> list[CompiledPolicy]:
    compiled = []
    for id_, text in documents:
        try:
            document = parse_identity_policy(text, POLICY_CHARACTERS, budget.check)
            await budget.rest()
            compiled.append(CompiledPolicy(id_, document, budget.check))
            await budget.rest()
        except TookTooLong:
            raise _too_long(f" of {id_}") from None
    return compiled


def _given(call: IamCall) -> list[tuple[str, str]]:
    """Return the documents of the request by what results call them."""
    for name in _UNSUPPORTED:
        if call.parameters.get(name):
            raise InvalidInput(f"{name} is not supported.")
    if sum(map(len, call.texts("PolicyInputList"))) > GIVEN_CHARACTERS:
        raise InvalidInput(f"PolicyInputList may have {GIVEN_CHARACTERS} characters.")
    return [
        (f"PolicyInputList.{number}", text)
        for number, text in enumerate(call.texts("PolicyInputList"), 1)
    ]


async def _source(call: IamCall) -> tuple[User | Role, Mapping[str, str]]:
    """Return the user or role, and the documents of its managed policies by ARN."""
    arn = call.text("PolicySourceArn")
    kind, _, path = arn.removeprefix(f"arn:aws:iam::{call.account}:").partition("/")
    if not arn.startswith("arn:aws:iam::") or kind not in set(IdentityKind):
        raise InvalidInput(f"Invalid Entity Arn: {arn} does not name a user or a role here.")
    found = await call.identities.resolve_identity(
        call.account, IdentityKind(kind), path.rpartition("/")[2]
    )
    holder = found.identity
    if holder is None or holder.arn != arn:
        raise NoSuchEntity(f"Entity {arn} cannot be found.")
    return holder, {arn: policy.document for arn, policy in found.policies.items()}


def _documents(holder: User | Role, attached: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    kind = "role" if isinstance(holder, Role) else "user"
    for name, document in holder.inline_policies.items():
        yield f"{kind}_{holder.name}_{name}", document
    for arn in holder.attached_policies:
        if arn in attached:
            yield arn.rpartition("/")[2], attached[arn]


def _as_principal(holder: User | Role, policies: CompiledPolicies) -> Principal:
    role = isinstance(holder, Role)
    return Principal(
        arn=holder.arn,
        account=holder.account,
        type=PrincipalType.ASSUMED_ROLE if role else PrincipalType.USER,
        user_id=holder.id,
        permissions=policies,
        user_name=None if role else holder.name,
        tags=holder.tags,
    )


async def _results(
    call: IamCall,
    budget: Budget,
    policies: CompiledPolicies,
    context: Mapping[str, ContextValue],
) -> Result:
    context = {**context, **_entries(call)}
    actions, resources = call.texts("ActionNames"), call.texts("ResourceArns") or ["*"]
    begin, count = call.number_after(), len(actions) * len(resources)
    end = min(begin + call.limit(), count)
    results = []
    for number in range(begin, end):
        action, resource = actions[number // len(resources)], resources[number % len(resources)]
        try:
            await budget.rest()
            decision = policies.decide(
                AccessRequest(action, resource, {**with_resource({}, resource), **context})
            )
        except TookTooLong:
            raise _too_long(f" of {action} on {resource}") from None
        results.append(_result(action, resource, decision))
    return call.answer("EvaluationResults", results, str(end) if end < count else None)


def _too_long(what: str) -> InvalidInput:
    return InvalidInput(
        f"The simulation{what} takes too long: a policy, and a pair of action and resource, may"
        f" take {STEP_SECONDS * 1000:.0f} milliseconds, all of a request {TOTAL_SECONDS:.0f}"
        " second. Give shorter policies, or fewer pairs with MaxItems."
    )


def _entries(call: IamCall) -> dict[str, ContextValue]:
    entries: dict[str, ContextValue] = {}
    for entry in call.structures("ContextEntries"):
        values = entry.get("ContextKeyValues")
        if not isinstance(values, list) or not isinstance(entry.get("ContextKeyName"), str):
            raise InvalidInput("A context entry needs ContextKeyName and ContextKeyValues.")
        if max(map(len, values), default=0) > VALUE_CHARACTERS:
            raise InvalidInput(f"ContextKeyValues may have {VALUE_CHARACTERS} characters each.")
        several = str(entry.get("ContextKeyType", "")).endswith("List") or len(values) != 1
        key = without_case(str(entry["ContextKeyName"]))
        entries[key] = tuple(values) if several else values[0]
    return entries


def _result(action: str, resource: str, decision: Decision) -> Result:
    matched = [
        {"SourcePolicyId": each.policy_id, "SourcePolicyType": "IAM Policy"}
        for each in decision.statements
    ]
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": decision.outcome.value,
        "MatchedStatements": matched,
        "MissingContextValues": [],
    }
