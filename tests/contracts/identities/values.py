"""Users, roles, policies and keys to keep."""

from typing import Any

from greenroom.model.identity import (
    AccessKey,
    IdentityKind,
    ManagedPolicy,
    PolicyVersion,
    Role,
    User,
)

ACCOUNT, OTHER = "123456789012", "210987654321"
USER, ROLE = IdentityKind.USER, IdentityKind.ROLE
DOCUMENT = '{"Version": "2012-10-17", "Statement": []}'


def user(name: str = "anna", **members: Any) -> User:
    """Return a user."""
    members = {"account": ACCOUNT, "id": f"AIDA{name}", "create_date": 1, **members}
    return User(name=name, **members)


def role(name: str = "mod", **members: Any) -> Role:
    """Return a role."""
    return Role(
        account=ACCOUNT, name=name, id=f"AROA{name}", create_date=1, trust_policy="{}", **members
    )


def policy(name: str = "chat", document: str = DOCUMENT, **members: Any) -> ManagedPolicy:
    """Return a managed policy with one version."""
    return ManagedPolicy(
        account=ACCOUNT,
        name=name,
        id=f"ANPA{name}",
        create_date=1,
        update_date=1,
        versions=(PolicyVersion(id="v1", document=document, create_date=1),),
        **members,
    )


def key(key_id: str = "AKIA1", user_name: str = "anna", **members: Any) -> AccessKey:
    """Return an access key."""
    members = {"account": ACCOUNT, "sealed_secret": b"\0sealed\xff", "create_date": 1, **members}
    return AccessKey(access_key_id=key_id, user_name=user_name, **members)
