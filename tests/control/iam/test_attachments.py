"""Managed policies on users and roles, as lists show them."""

from typing import Any

import pytest

from greenroom.model.identity_errors import NoSuchEntity
from tests.control.iam_caller import IamCaller, policy, trust


async def attached() -> tuple[IamCaller, str]:
    """Return an account with a policy on two users and two roles, and its ARN."""
    iam = IamCaller()
    made = await iam("CreatePolicy", PolicyName="p", Path="/x/", PolicyDocument=policy("a:b"))
    arn = made["Policy"]["Arn"]
    for name, path in (("one", "/"), ("two", "/x/")):
        await iam("CreateUser", UserName=name, Path=path)
        await iam("CreateRole", RoleName=name, Path=path, AssumeRolePolicyDocument=trust())
        await iam("AttachUserPolicy", UserName=name, PolicyArn=arn)
        await iam("AttachRolePolicy", RoleName=name, PolicyArn=arn)
    return iam, arn


async def test_whom_a_policy_is_attached_to() -> None:
    """Of one kind, or below one path, or all; in pages."""
    iam, arn = await attached()

    async def names(**asked: Any) -> tuple[list[str], list[str], bool]:
        found = await iam("ListEntitiesForPolicy", PolicyArn=arn, **asked)
        users = [each["UserName"] for each in found["PolicyUsers"]]
        return users, [each["RoleName"] for each in found["PolicyRoles"]], found["IsTruncated"]

    assert await names() == (["one", "two"], ["one", "two"], False)
    assert await names(EntityFilter="User") == (["one", "two"], [], False)
    assert await names(EntityFilter="Role") == ([], ["one", "two"], False)
    assert await names(EntityFilter="Group") == ([], [], False)
    assert await names(PathPrefix="/x/") == (["two"], ["two"], False)
    assert await names(MaxItems=3) == (["one"], ["one", "two"], True)


async def test_what_is_attached() -> None:
    """Below one path, or all."""
    iam, _ = await attached()
    made = await iam("CreatePolicy", PolicyName="q", PolicyDocument=policy("a:b"))
    await iam("AttachUserPolicy", UserName="one", PolicyArn=made["Policy"]["Arn"])
    asks: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["p", "q"]),
        ({"PathPrefix": "/x/"}, ["p"]),
        ({"PathPrefix": "/y/"}, []),
    ]
    for asked, names in asks:
        found = await iam("ListAttachedUserPolicies", UserName="one", **asked)
        assert [each["PolicyName"] for each in found["AttachedPolicies"]] == names


async def test_who_was_deleted_a_moment_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds the policy no more is not listed, and no fault."""
    iam, arn = await attached()
    get_role = iam.store.identities.get_role

    async def gone(account: str, name: str) -> object:
        if name == "one":
            raise NoSuchEntity("gone")
        return await get_role(account, name)

    monkeypatch.setattr(iam.store.identities, "get_role", gone)
    found = await iam("ListEntitiesForPolicy", PolicyArn=arn)
    assert [each["RoleName"] for each in found["PolicyRoles"]] == ["two"]
    assert [each["UserName"] for each in found["PolicyUsers"]] == ["one", "two"]
