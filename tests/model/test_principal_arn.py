import pytest

from greenroom.model.identity import IdentityKind, Role, User
from greenroom.model.principal_arn import PrincipalArn

ACCOUNT = "123456789012"
ANNA = User(account=ACCOUNT, name="anna", id="AIDA1", create_date=1, path="/team/")
MOD = Role(
    account=ACCOUNT, name="mod", id="AROA1", create_date=1, trust_policy="{}", path="/team/x/"
)


@pytest.mark.parametrize(
    ("text", "kind", "name", "session"),
    [
        (ANNA.arn, IdentityKind.USER, "anna", ""),
        (f"arn:aws:iam::{ACCOUNT}:user/anna", IdentityKind.USER, "anna", ""),
        (MOD.arn, IdentityKind.ROLE, "mod", ""),
        (MOD.session_arn("shift"), IdentityKind.ROLE, "mod", "shift"),
    ],
)
def test_arns_that_name_somebody(text: str, kind: IdentityKind, name: str, session: str) -> None:
    """Users and roles with and without paths, and sessions of roles, which have no path."""
    assert PrincipalArn.parse(text) == PrincipalArn(ACCOUNT, kind, name, session)


@pytest.mark.parametrize(
    "text",
    [
        "*",
        ACCOUNT,
        f"arn:aws:iam::{ACCOUNT}:root",
        f"arn:aws:iam::{ACCOUNT}:user/",
        f"arn:aws:iam::{ACCOUNT}:group/anna",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/mod",
        "AIDAJQABLZS4A3QDU576Q",
    ],
)
def test_texts_that_name_nobody(text: str) -> None:
    """Accounts, ids and whatever else are no ARNs of users, roles or sessions."""
    assert PrincipalArn.parse(text) is None


def test_ids_and_arns_of_who_is_found() -> None:
    """A session is known by its role's id and its own name."""
    user, role, session = (
        PrincipalArn.parse(arn) for arn in (ANNA.arn, MOD.arn, MOD.session_arn("shift"))
    )
    assert user is not None
    assert role is not None
    assert session is not None
    assert (user.id_in(ANNA), user.arn_in(ANNA)) == ("AIDA1", ANNA.arn)
    assert (role.id_in(MOD), role.arn_in(MOD)) == ("AROA1", MOD.arn)
    assert (session.id_in(MOD), session.arn_in(MOD)) == ("AROA1:shift", MOD.session_arn("shift"))
