from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from greenroom.aws.policy import NO_POLICIES, CompiledPolicies
from greenroom.aws.policy_document import parse_trust_policy
from greenroom.aws.trust import CompiledTrustPolicy, Trust
from greenroom.model.principal import AccessRequest, Principal, PrincipalType

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


def trust(
    *statements: Mapping[str, Any],
    principal: Principal = ALICE,
    action: str = "sts:AssumeRole",
    **context: str,
) -> Trust:
    """Return what a trust policy of these statements says."""
    defaults = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [{**defaults, **s} for s in statements]}
    values = {key.replace("__", ":"): value for key, value in context.items()}
    request = AccessRequest(action, ROLE, values)
    return CompiledTrustPolicy(parse_trust_policy(document)).decide(principal, request)


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
        ({"Service": "lambda.amazonaws.com"}, Trust.NONE, Trust.NONE),
        ({"Federated": "accounts.google.com"}, Trust.NONE, Trust.NONE),
    ],
)
def test_principals(principal: object, of_user: Trust, of_session: Trust) -> None:
    """A principal is trusted by its own name, or with its account."""
    assert trust({"Principal": principal}) is of_user
    assert trust({"Principal": principal}, principal=SESSION) is of_session


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
