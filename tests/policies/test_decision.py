import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.model.principal import (
    AccessRequest,
    ContextValue,
    Decision,
    MatchedStatement,
    Outcome,
    PolicyKind,
)
from greenroom.policies import wildcards
from greenroom.policies.decision import (
    MAX_ACTIONS,
    NO_POLICIES,
    CompiledPolicies,
    CompiledPolicy,
)
from greenroom.policies.document import parse_identity_policy
from tests.stand_ins.policies import OTHER_ROOM, ROOM, policies, policy, statements

ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DENY_ALL = {**ALLOW_ALL, "Effect": "Deny"}

CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "aws:username": st.sampled_from(["alice", "a*", "bob", ""]),
        "aws:sourceip": st.sampled_from(["10.1.2.3", "::1", "203.0.113.1"]),
        "aws:requesttag/team": st.sampled_from(["red", "Team"]),
        "aws:tagkeys": st.sampled_from([("Team",), ("Team", "red")]),
    },
)
REQUESTS = st.builds(
    AccessRequest,
    st.sampled_from(["ivschat:GetRoom", "ivschat:CreateRoom", "iam:GetUser"]),
    st.sampled_from([ROOM, OTHER_ROOM, ROOM + "alice", "*"]),
    CONTEXTS,
)
Statements = list[dict[str, Any]]


def outcome(given: Mapping[str, Any], action: str, resource: str, **context: str) -> Outcome:
    """Return what one statement decides."""
    values: dict[str, ContextValue] = {k.replace("__", ":"): v for k, v in context.items()}
    return policies(given).decide(AccessRequest(action, resource, values)).outcome


def decided(
    request: AccessRequest, identity: Statements, session: Statements | None = None
) -> Outcome:
    """Return what statements decide, each of them a policy of its own."""
    compiled = CompiledPolicies(
        [policy(each) for each in identity],
        None if session is None else [policy(each) for each in session],
    )
    return compiled.decide(request).outcome


@given(REQUESTS, st.lists(statements(), max_size=4), statements("Deny"))
def test_adding_a_deny_never_grants(
    request: AccessRequest, before: Statements, deny: dict[str, Any]
) -> None:
    """What was not allowed is not allowed by one more Deny."""
    if decided(request, before) is not Outcome.ALLOW:
        assert decided(request, [*before, deny]) is not Outcome.ALLOW


@given(REQUESTS, st.lists(statements(), max_size=4), statements("Allow"))
def test_adding_an_allow_never_removes(
    request: AccessRequest, before: Statements, allow: dict[str, Any]
) -> None:
    """What was allowed stays so with one more Allow, and a Deny stays a Deny."""
    expected = decided(request, before)
    if expected is not Outcome.IMPLICIT_DENY:
        assert decided(request, [*before, allow]) is expected


@given(REQUESTS, st.lists(statements(), max_size=4), st.randoms(use_true_random=False))
def test_order_never_matters(request: AccessRequest, given: Statements, random: Any) -> None:
    """Statements in another order, or in one policy, decide the same."""
    expected = decided(request, given)
    shuffled = list(given)
    random.shuffle(shuffled)
    assert decided(request, shuffled) is expected
    if given:
        assert policies(*shuffled).decide(request).outcome is expected


@given(REQUESTS, st.lists(statements(), max_size=3), st.lists(statements(), max_size=3))
def test_a_session_policy_only_narrows(
    request: AccessRequest, identity: Statements, session: Statements
) -> None:
    """A session may do what both kinds of policies allow, and nothing that one denies."""
    both = {decided(request, identity), decided(request, session)}
    expected = Outcome.ALLOW
    for worse in (Outcome.EXPLICIT_DENY, Outcome.IMPLICIT_DENY):
        if worse in both:
            expected = worse
            break
    assert decided(request, identity, session) is expected


@given(REQUESTS, st.lists(statements(), max_size=4))
def test_explaining_decides_the_same(request: AccessRequest, given: Statements) -> None:
    """The explanation has the decision's outcome, and its statement among all that matched."""
    compiled = CompiledPolicies([policy(*given)] if given else [])
    short, long = compiled.decide(request), compiled.explain(request)
    assert (short.outcome, short.kind) == (long.outcome, long.kind)
    assert set(short.statements) <= set(long.statements)


ALICES = {
    "Effect": "Allow",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::b/home/${aws:username}", "arn:aws:s3:::b/home/${aws:username}/*"],
}
TEAM = "arn:aws:s3:::amzn-s3-demo-bucket-${aws:PrincipalTag/team, 'company-wide'}"
MFA = {
    "Effect": "Deny",
    "NotAction": ["iam:CreateVirtualMFADevice", "sts:GetSessionToken"],
    "Resource": "*",
    "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
}
TAG_MISMATCH = {
    "Effect": "Deny",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::amzn-s3-demo-bucket/*",
    "Condition": {"StringNotEquals": {"s3:ExistingObjectTag/Team": "${aws:PrincipalTag/Team}"}},
}
NOT_BUCKET = {
    "Effect": "Deny",
    "Action": "s3:*",
    "NotResource": ["arn:aws:s3:::HRBucket/Payroll", "arn:aws:s3:::HRBucket/Payroll/*"],
}
EC2_TYPES = {
    "Effect": "Allow",
    "Action": "ec2:RunInstances",
    "Resource": "*",
    "Condition": {"StringLike": {"ec2:InstanceType": ["t1.*", "t2.*", "m3.*"]}},
}
EC2_TYPES_IF = {
    **EC2_TYPES,
    "Condition": {"StringLikeIfExists": {"ec2:InstanceType": ["t1.*", "t2.*", "m3.*"]}},
}
YES, NO, NEVER = Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY
OBJECT = "arn:aws:s3:::amzn-s3-demo-bucket/o"


@pytest.mark.parametrize(
    ("source", "statement", "action", "resource", "context", "expected"),
    [
        # IAM User Guide; the first column is the page
        ("Condition operators: String", ALICES, "s3:GetObject", "arn:aws:s3:::b/home/alice/x",
         {"aws:username": "alice"}, YES),
        ("Condition operators: String", ALICES, "s3:GetObject", "arn:aws:s3:::b/home/bob/x",
         {"aws:username": "alice"}, NO),
        ("Variables and tags: not present", ALICES, "s3:GetObject", "arn:aws:s3:::b/home//x",
         {}, NO),
        ("Variables and tags: default values", {**ALICES, "Resource": TEAM}, "s3:ListBucket",
         "arn:aws:s3:::amzn-s3-demo-bucket-yellow", {"aws:principaltag/team": "yellow"}, YES),
        ("Variables and tags: default values", {**ALICES, "Resource": TEAM}, "s3:ListBucket",
         "arn:aws:s3:::amzn-s3-demo-bucket-company-wide", {"aws:principaltag/team": "yellow"}, NO),
        ("Variables and tags: default values", {**ALICES, "Resource": TEAM}, "s3:ListBucket",
         "arn:aws:s3:::amzn-s3-demo-bucket-company-wide", {}, YES),
        ("Variables and tags: no value", TAG_MISMATCH, "s3:GetObject", OBJECT,
         {"s3:existingobjecttag/team": "red"}, NEVER),
        ("Variables and tags: no value", TAG_MISMATCH, "s3:GetObject", OBJECT,
         {"s3:existingobjecttag/team": "red", "aws:principaltag/team": "red"}, NO),
        ("Variables and tags: no value",
         {**TAG_MISMATCH, "Effect": "Allow",
          "Condition": {"StringEquals": {"s3:ExistingObjectTag/Team": "${aws:PrincipalTag/Team}"}}},
         "s3:GetObject", OBJECT, {"s3:existingobjecttag/team": "red"}, NO),
        ("Condition operators: IfExists", EC2_TYPES, "ec2:RunInstances",
         "arn:aws:ec2:us-east-1:1:image/ami", {}, NO),
        ("Condition operators: IfExists", EC2_TYPES_IF, "ec2:RunInstances",
         "arn:aws:ec2:us-east-1:1:image/ami", {}, YES),
        ("Condition operators: IfExists", EC2_TYPES_IF, "ec2:RunInstances",
         "arn:aws:ec2:us-east-1:1:instance/i", {"ec2:instancetype": "c5.large"}, NO),
        ("Condition operators: Null",
         {**ALLOW_ALL, "Condition": {"Null": {"aws:TokenIssueTime": "true"}}}, "ec2:Describe", "*",
         {"aws:tokenissuetime": "2024-01-01T00:00:00Z"}, NO),
        ("Condition operators: Date",
         {**ALLOW_ALL,
          "Condition": {"DateGreaterThan": {"aws:TokenIssueTime": "2020-01-01T00:00:01Z"}}},
         "iam:ListAccessKeys", "arn:aws:iam::1:user/a",
         {"aws:tokenissuetime": "2020-01-01T00:00:02Z"}, YES),
        ("Condition operators: Boolean",
         {**DENY_ALL, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}, "s3:GetObject",
         OBJECT, {"aws:securetransport": "false"}, NEVER),
        ("NotAction with Deny", MFA, "ec2:RunInstances", "*",
         {"aws:multifactorauthpresent": "false"}, NEVER),
        ("NotAction with Deny", MFA, "sts:GetSessionToken", "*",
         {"aws:multifactorauthpresent": "false"}, NO),
        ("NotAction with Deny", MFA, "ec2:RunInstances", "*",
         {"aws:multifactorauthpresent": "true"}, NO),
        ("NotAction with Allow", {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
         "ec2:RunInstances", "*", {}, YES),
        ("NotAction with Allow", {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
         "IAM:CreateUser", "*", {}, NO),
        ("NotResource", NOT_BUCKET, "s3:GetObject", "arn:aws:s3:::HRBucket/Payroll/may", {}, NO),
        ("NotResource", NOT_BUCKET, "s3:GetObject", "arn:aws:s3:::other/may", {}, NEVER),
        ("Action: case", {**ALLOW_ALL, "Action": "IAM:LISTaccesskeys"}, "iam:ListAccessKeys", "*",
         {}, YES),
        ("Action: wildcards", {**ALLOW_ALL, "Action": "iam:*AccessKey*"}, "iam:ListAccessKeys", "*",
         {}, YES),
        ("Action: wildcards", {**ALLOW_ALL, "Action": "iam:*AccessKey*"}, "iam:ListUsers", "*",
         {}, NO),
        ("Resource: user names have a case", {**ALLOW_ALL, "Resource": "arn:aws:iam::1:user/Bob"},
         "iam:GetUser", "arn:aws:iam::1:user/bob", {}, NO),
    ],
)  # fmt: skip
def test_published_examples(
    source: str,
    statement: Mapping[str, Any],
    action: str,
    resource: str,
    context: dict[str, ContextValue],
    expected: Outcome,
) -> None:
    """The examples of AWS's documentation decide as it says."""
    assert source
    assert policies(statement).decide(AccessRequest(action, resource, context)).outcome is expected


def test_nothing_is_allowed_by_nothing() -> None:
    """Without policies, everything is denied implicitly."""
    found = NO_POLICIES.decide(AccessRequest("ivschat:GetRoom", ROOM, {}))
    assert found == Decision(Outcome.IMPLICIT_DENY, PolicyKind.IDENTITY)


@pytest.mark.parametrize(
    ("identity", "session", "expected", "kind"),
    [
        ([ALLOW_ALL], None, YES, PolicyKind.IDENTITY),
        ([ALLOW_ALL], [ALLOW_ALL], YES, PolicyKind.SESSION),
        ([ALLOW_ALL], [], NO, PolicyKind.SESSION),
        ([], [ALLOW_ALL], NO, PolicyKind.IDENTITY),
        ([ALLOW_ALL], [ALLOW_ALL, DENY_ALL], NEVER, PolicyKind.SESSION),
        ([ALLOW_ALL, DENY_ALL], [ALLOW_ALL, DENY_ALL], NEVER, PolicyKind.IDENTITY),
    ],
)
def test_the_kind_of_policy_that_decided_is_told(
    identity: Statements, session: Statements | None, expected: Outcome, kind: PolicyKind
) -> None:
    """Of several kinds that deny, one is named: identity-based before session."""
    compiled = CompiledPolicies(
        [policy(each) for each in identity],
        None if session is None else [policy(each) for each in session],
    )
    found = compiled.decide(AccessRequest("ivschat:GetRoom", ROOM, {}))
    assert (found.outcome, found.kind) == (expected, kind)


def test_explanation_names_policies_and_statements() -> None:
    """All statements that led to a decision are named by policy, place and Sid."""
    compiled = CompiledPolicies(
        [
            policy(ALLOW_ALL, {**ALLOW_ALL, "Sid": "Rooms", "Resource": ROOM}, name="first"),
            policy({**ALLOW_ALL, "Resource": OTHER_ROOM}, ALLOW_ALL, name="second"),
        ]
    )
    assert compiled.explain(AccessRequest("ivschat:GetRoom", ROOM, {})).statements == (
        MatchedStatement("first", 0, None),
        MatchedStatement("first", 1, "Rooms"),
        MatchedStatement("second", 1, None),
    )


@pytest.mark.parametrize(
    ("statement", "uses"),
    [
        (ALLOW_ALL, False),
        ({**ALLOW_ALL, "Condition": {"StringLike": {"AWS:resourceTag/Team": "a"}}}, True),
        ({**ALLOW_ALL, "Condition": {"StringLike": {"aws:x": "${aws:ResourceTag/Team}"}}}, True),
        ({**ALLOW_ALL, "Resource": "arn:aws:s3:::b/${aws:ResourceTag/Team}"}, True),
        ({**ALLOW_ALL, "Condition": {"Null": {"aws:ResourceTag/Team": "true"}}}, True),
        (
            {
                **ALLOW_ALL,
                "Action": "ivschat:DeleteRoom",
                "Condition": {"StringLike": {"aws:ResourceTag/Team": "a"}},
            },
            False,
        ),
    ],
)
def test_use_of_resource_tags_is_known(statement: Mapping[str, Any], uses: bool) -> None:
    """Tags are needed where a statement for the action looks at them, in a key or a variable."""
    assert policies(statement).uses_resource_tags("ivschat:GetRoom") is uses


def test_actions_that_are_kept_have_a_bound() -> None:
    """Callers who ask for ever new actions fill no memory, and get right answers."""
    compiled = policies({**ALLOW_ALL, "Action": "ivschat:Get*"})
    for number in itertools.islice(itertools.count(), MAX_ACTIONS * 3):
        found = compiled.decide(AccessRequest(f"ivschat:Get{number}", ROOM, {}))
        assert found.outcome is YES
        assert len(compiled._by_action) == number % MAX_ACTIONS + 1


def test_the_statements_of_an_action_are_found_once() -> None:
    """A decision looks at resources and conditions only, as long as few actions are asked for."""
    compiled = policies(ALLOW_ALL)
    with mock.patch.object(compiled, "_find", wraps=compiled._find) as finding:
        for _ in range(3):
            for number in range(MAX_ACTIONS):
                compiled.decide(AccessRequest(f"ivschat:Get{number}", ROOM, {}))
                compiled.uses_resource_tags(f"ivschat:Get{number}")
    assert finding.call_count == MAX_ACTIONS


@pytest.mark.parametrize(
    ("resource", "matches"),
    [
        ({"Resource": ROOM}, True),
        ({"Resource": OTHER_ROOM}, False),
        ({"Resource": [OTHER_ROOM, ROOM]}, True),
        ({"Resource": "*"}, True),
        ({"NotResource": ROOM}, False),
        ({"NotResource": OTHER_ROOM}, True),
        ({"NotResource": [OTHER_ROOM, ROOM]}, False),
        ({"NotResource": "*"}, False),
        ({"Resource": f"{ROOM[:-6]}${{aws:username}}"}, True),
        ({"Resource": f"{ROOM[:-6]}${{aws:userid}}"}, False),
        ({"Resource": f"{ROOM[:-6]}x${{aws:username}}"}, False),
        ({"Resource": f"{OTHER_ROOM[:-6]}${{aws:username}}"}, False),
        ({"NotResource": f"{OTHER_ROOM[:-6]}${{aws:username}}"}, True),
    ],
)
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_resources_of_a_statement(effect: str, resource: dict[str, Any], matches: bool) -> None:
    """One of several must match, none of NotResource; a variable stands for the request's value."""
    statement = {"Effect": effect, "Action": "*", **resource}
    found = policies(ALLOW_ALL, statement) if effect == "Deny" else policies(statement)
    request = AccessRequest("ivschat:GetRoom", ROOM, {"aws:username": ROOM[-6:]})
    allowed = matches if effect == "Allow" else not matches
    assert (found.decide(request).outcome is YES) is allowed


@pytest.mark.parametrize(
    ("resource", "before", "after"),
    [
        (f"{ROOM[:-6]}*", 1, 1),
        (f"{ROOM[:-6]}${{aws:username}}", 0, 3),
        (f"{OTHER_ROOM[:-6]}${{aws:username}}", 0, 0),
    ],
)
def test_resources_are_compiled_seldom(resource: str, before: int, after: int) -> None:
    """Once without a variable; with one for each request whose resource can match at all."""
    with mock.patch.object(wildcards, "resource", wraps=wildcards.resource) as building:
        compiled = policies({**ALLOW_ALL, "Resource": resource})
        assert building.call_count == before
        for _ in range(3):
            compiled.decide(AccessRequest("ivschat:GetRoom", ROOM, {"aws:username": ROOM[-6:]}))
    assert building.call_count == after


@pytest.mark.parametrize(
    ("statement", "compiling", "matching"),
    [
        ({}, 1, 1),
        ({"Action": ["iam:x", "ivschat:*", "sts:x"]}, 3, 2),
        ({"Resource": [OTHER_ROOM, ROOM, OTHER_ROOM]}, 4, 3),
        ({"Condition": {"StringEquals": {"aws:username": ["a", "b", "c"]}}}, 4, 3),
        ({"Condition": {"StringEquals": {"aws:username": "b"}}}, 2, 2),
    ],
)
def test_each_pattern_is_metered(statement: dict[str, Any], compiling: int, matching: int) -> None:
    """A meter is called before each is compiled, and each time that one is matched."""
    calls: list[None] = []
    meter = partial(calls.append, None)
    text = {"Version": "2012-10-17", "Statement": [{**ALLOW_ALL, **statement}]}
    document = parse_identity_policy(text)
    compiled = CompiledPolicies([CompiledPolicy("p", document, meter)])
    assert len(calls) == compiling
    calls.clear()
    request = AccessRequest("ivschat:GetRoom", ROOM, {"aws:username": "b"})
    assert compiled.decide(request).outcome is YES
    assert len(calls) == matching
    parse_identity_policy(text, meter=meter)
    # A statement each, and all that it holds.
    assert len(calls) == matching + compiling + 1 + ("Resource" not in statement)


def test_session_policies_narrow() -> None:
    """Whoever has some is told apart, also where they are empty."""
    assert not CompiledPolicies([policy(ALLOW_ALL)]).is_narrowed
    for session in ([], [policy(ALLOW_ALL)]):
        assert CompiledPolicies([], session).is_narrowed
