import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from greenroom.model.principal import AccessRequest, Principal, PrincipalType
from greenroom.policies.decision import NO_POLICIES, CompiledPolicies
from greenroom.policies.document import parse_trust_policy
from greenroom.policies.trust import CompiledTrustPolicy, Trust, named_arns, with_names

ACCOUNT, OTHER = "123456789012", "999999999999"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Moderator"
ALICE = Principal(
    arn=f"arn:aws:iam::{ACCOUNT}:user/team/alice",
    account=ACCOUNT,
    type=PrincipalType.USER,
    user_id="AIDAJQABLZS4A3QDU576Q",
    user_name="alice",
    permissions=NO_POLICIES,
)
SESSION = Principal(
    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/Backend/one",
    account=ACCOUNT,
    type=PrincipalType.ASSUMED_ROLE,
    user_id="AROAJQABLZS4A3QDU576Q:one",
    role_arn=f"arn:aws:iam::{ACCOUNT}:role/Backend",
    permissions=NO_POLICIES,
)


IDS = {
    ALICE.arn: ALICE.user_id,
    f"arn:aws:iam::{ACCOUNT}:role/Backend": SESSION.user_id[:21],
    SESSION.arn: SESSION.user_id,
}
"""Who had these ARNs when the trust policy was saved."""


def trust(
    *statements: Mapping[str, Any],
    principal: Principal = ALICE,
    trusted: Mapping[str, str] | None = None,
    action: str = "sts:AssumeRole",
    **context: str,
) -> Trust:
    """Return what a trust policy of these statements says."""
    defaults = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [{**defaults, **s} for s in statements]}
    values = {key.replace("__", ":"): value for key, value in context.items()}
    request = AccessRequest(action, ROLE, values)
    ids = IDS if trusted is None else trusted
    return CompiledTrustPolicy(parse_trust_policy(document), ids).decide(principal, request)


@pytest.mark.parametrize(
    ("principal", "of_user", "of_session"),
    [
        # IAM User Guide, "AWS JSON policy elements: Principal"
        ("*", Trust.ACCOUNT, Trust.ACCOUNT),
        ({"AWS": "*"}, Trust.ACCOUNT, Trust.ACCOUNT),
        ({"AWS": ACCOUNT}, Trust.ACCOUNT, Trust.ACCOUNT),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, Trust.ACCOUNT, Trust.ACCOUNT),
        ({"AWS": OTHER}, Trust.NONE, Trust.NONE),
        ({"AWS": ALICE.arn}, Trust.PRINCIPAL, Trust.NONE),
        ({"AWS": [OTHER, ALICE.arn]}, Trust.PRINCIPAL, Trust.NONE),
        ({"AWS": [ACCOUNT, ALICE.arn]}, Trust.PRINCIPAL, Trust.ACCOUNT),
        ({"AWS": ALICE.user_id}, Trust.PRINCIPAL, Trust.NONE),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:user/team/Alice"}, Trust.NONE, Trust.NONE),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:role/Backend"}, Trust.NONE, Trust.PRINCIPAL),
        ({"AWS": SESSION.arn}, Trust.NONE, Trust.PRINCIPAL),
        ({"AWS": SESSION.user_id[:21]}, Trust.NONE, Trust.PRINCIPAL),
        ({"AWS": SESSION.user_id}, Trust.NONE, Trust.PRINCIPAL),
        ({"Service": "lambda.amazonaws.com"}, Trust.NONE, Trust.NONE),
        ({"Federated": "accounts.google.com"}, Trust.NONE, Trust.NONE),
        ({"Service": ACCOUNT}, Trust.NONE, Trust.NONE),
        ({"Federated": [ALICE.user_id, SESSION.user_id]}, Trust.NONE, Trust.NONE),
    ],
)
def test_principals(principal: object, of_user: Trust, of_session: Trust) -> None:
    """A principal is trusted by its own name, or with its account."""
    assert trust({"Principal": principal}) is of_user
    assert trust({"Principal": principal}, principal=SESSION) is of_session


@pytest.mark.parametrize("principal", [ALICE, SESSION])
def test_a_later_owner_of_a_name_is_not_trusted(principal: Principal) -> None:
    """An ARN stands for whom it named when the policy was saved, and for nobody without that."""
    for arn in IDS:
        others = {arn: "AIDAOFSOMEBODYBEFORE1"}
        assert trust({"Principal": {"AWS": arn}}, principal=principal, trusted=others) is Trust.NONE
        assert trust({"Principal": {"AWS": arn}}, principal=principal, trusted={}) is Trust.NONE


def test_who_is_excluded_is_so_by_id() -> None:
    """A Deny for all but one spares that one, not the next of the name."""
    deny = {"NotPrincipal": {"AWS": ALICE.arn}, "Effect": "Deny"}
    allow = {"Principal": {"AWS": ACCOUNT}}
    assert trust(allow, deny) is Trust.ACCOUNT
    assert trust(allow, deny, trusted={ALICE.arn: "AIDAOFSOMEBODYBEFORE1"}) is Trust.DENIED


@pytest.mark.parametrize(
    "other",
    [
        {"Principal": {"AWS": OTHER}},
        {"Principal": "*", "Action": "sts:TagSession"},
        {"Principal": "*", "Condition": {"StringEquals": {"sts:ExternalId": "x"}}},
        {"Principal": {"AWS": OTHER}, "Effect": "Deny"},
        {"Principal": "*", "Action": "sts:TagSession", "Effect": "Deny"},
        {
            "Principal": "*",
            "Effect": "Deny",
            "Condition": {"Bool": {"aws:SecureTransport": "true"}},
        },
    ],
)
def test_statements_about_others_stand_in_nobodys_way(other: Mapping[str, Any]) -> None:
    """Every statement counts, whatever stands before or behind it: order says nothing."""
    allow: Mapping[str, Any] = {"Principal": {"AWS": ALICE.arn}}
    deny: Mapping[str, Any] = {"Principal": "*", "Effect": "Deny"}
    for some in itertools.permutations((allow, other)):
        assert trust(*some) is Trust.PRINCIPAL
    for all_three in itertools.permutations((allow, other, deny)):
        assert trust(*all_three) is Trust.DENIED


@pytest.mark.parametrize("order", [1, -1])
def test_the_nearer_name_counts(order: int) -> None:
    """Who is trusted by name and with the account is so by name, in whichever order."""
    statements = [{"Principal": {"AWS": ACCOUNT}}, {"Principal": {"AWS": ALICE.arn}}]
    assert trust(*statements[::order]) is Trust.PRINCIPAL


def test_named_arns_and_other_names() -> None:
    """Users, roles and sessions are named by ARN; each can be shown under another name."""
    account_root = f"arn:aws:iam::{ACCOUNT}:root"
    other_user = f"arn:aws:iam::{ACCOUNT}:user/other"
    document = parse_trust_policy(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {
                        "AWS": [ACCOUNT, account_root, *IDS],
                        "Service": "a.b",
                        "Federated": [other_user, ALICE.arn],
                    },
                    "Action": "sts:AssumeRole",
                },
                {"Effect": "Deny", "NotPrincipal": {"AWS": ALICE.arn}, "Action": "sts:*"},
                {"Effect": "Deny", "Principal": "*", "Action": "sts:TagSession"},
            ],
        }
    )
    assert named_arns(document) == tuple(IDS)
    renamed = with_names(document, IDS)
    first, second, third = (each.principals for each in renamed.statements)
    assert first is not None
    assert second is not None
    assert third is not None
    ids = (f"AWS:{each}" for each in (ACCOUNT, account_root, *IDS.values()))
    others = ("Service:a.b", f"Federated:{other_user}", f"Federated:{ALICE.arn}")
    assert first.values == (*ids, *others)
    assert (second.values, second.negated) == ((f"AWS:{ALICE.user_id}",), True)
    assert third == document.statements[2].principals
    assert with_names(document, {}) == document


def test_a_narrowed_session_is_not_trusted_by_its_role_alone() -> None:
    """Who trusts a role lets its narrowed sessions in only where these may do it themselves."""
    narrowed = msgspec.structs.replace(SESSION, permissions=CompiledPolicies((), ()))
    of_role = {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/Backend"}}
    assert trust(of_role, principal=narrowed) is Trust.ACCOUNT
    assert trust({"Principal": {"AWS": SESSION.arn}}, principal=narrowed) is Trust.PRINCIPAL


def test_deny_wins() -> None:
    """A statement that denies outweighs those that allow, in any order."""
    allow, deny = {"Principal": {"AWS": ALICE.arn}}, {"Principal": "*", "Effect": "Deny"}
    assert trust(allow, deny) is Trust.DENIED
    assert trust(deny, allow) is Trust.DENIED


def test_not_principal_excludes() -> None:
    """A Deny for all but some spares these only."""
    allow = {"Principal": {"AWS": ACCOUNT}}
    deny = {"NotPrincipal": {"AWS": ALICE.arn}, "Effect": "Deny"}
    assert trust(allow, deny) is Trust.ACCOUNT
    assert trust(allow, deny, principal=SESSION) is Trust.DENIED


def test_conditions_and_actions_count() -> None:
    """A statement holds for its action and under its conditions only."""
    statement = {
        "Principal": {"AWS": ACCOUNT},
        "Condition": {"StringEquals": {"sts:ExternalId": "12345"}},
    }
    assert trust(statement) is Trust.NONE
    assert trust(statement, sts__externalid="12345") is Trust.ACCOUNT
    assert trust(statement, action="sts:TagSession", sts__externalid="12345") is Trust.NONE
