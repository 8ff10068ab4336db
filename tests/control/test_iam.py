"""The operations of IAM, as botocore sees them.

Covers: greenroom.control.iam.authorize,
    greenroom.control.iam.inline_policies, greenroom.control.iam.keys,
    greenroom.control.iam.operations, greenroom.control.iam.policies, greenroom.control.iam.roles,
    greenroom.control.iam.simulation, greenroom.control.iam.tags, greenroom.control.iam.users,
    greenroom.model.iam_errors, greenroom.model.identity_errors
"""

import base64
import itertools
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from greenroom.aws import query_service
from greenroom.bus.memory import MemoryBus
from greenroom.control.iam import simulation
from greenroom.control.iam.operations import OPERATIONS
from greenroom.control.long_work import LongWork
from greenroom.control.pipeline import Pipeline
from greenroom.identities.accounts import Accounts
from greenroom.model.identity import AccessKey, User
from greenroom.model.principal import PrincipalType
from greenroom.model.quotas import Quotas, RateProfile, caller_rate_name
from greenroom.policies.decision import CompiledPolicy
from greenroom.policies.document import parse_identity_policy
from greenroom.telemetry.metrics import Metrics
from tests.control.iam_caller import ACCOUNT, REGION, IamCaller, Refused, policy, trust

CREATE_ROOM = policy("ivschat:CreateRoom")
ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def document_of(*statements: object) -> str:
    """Return a document of several statements."""
    return msgspec.json.encode({"Version": "2012-10-17", "Statement": statements}).decode()


async def refused(calling: Any) -> str:
    """Return the code of a refusal."""
    with pytest.raises(Refused) as error:
        await calling
    return error.value.code


def test_operations_are_of_the_models() -> None:
    """Every action in the table is an operation of its service."""
    for action in OPERATIONS:
        assert query_service.operation(*action.split(":")).name == action.partition(":")[2]


# ---------------------------------------------------------------------------------------- users


async def test_life_of_a_user() -> None:
    """A user is created, found, listed with others in the order of names, and deleted."""
    iam = IamCaller()
    made = await iam("CreateUser", UserName="anna", Path="/ops/", Tags=[{"Key": "k", "Value": ""}])
    user = made["User"]
    assert user["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ops/anna"
    assert user["UserId"].startswith("AIDA")
    assert user["Tags"] == [{"Key": "k", "Value": ""}]
    assert (await iam("GetUser", UserName="Anna")) == {"User": user}
    assert await refused(iam("CreateUser", UserName="ANNA")) == "EntityAlreadyExists"
    await iam("CreateUser", UserName="Bert")
    assert [each["UserName"] for each in (await iam("ListUsers"))["Users"]] == ["anna", "Bert"]
    assert len((await iam("ListUsers", PathPrefix="/ops/"))["Users"]) == 1
    await iam("DeleteUser", UserName="anna")
    assert await refused(iam("GetUser", UserName="anna")) == "NoSuchEntity"
    assert await refused(iam("DeleteUser", UserName="anna")) == "NoSuchEntity"
    await iam("GetUser", UserName="bert")
    assert iam.changed == [ACCOUNT] * 3, "three changes, and more questions"


async def test_pages() -> None:
    """A list goes on where it was cut, and says whether there is more."""
    iam = IamCaller()
    for number in range(5):
        await iam("CreateUser", UserName=f"u{number}")
    first = await iam("ListUsers", MaxItems=2)
    second = await iam("ListUsers", MaxItems=2, Marker=first["Marker"])
    third = await iam("ListUsers", MaxItems=2, Marker=second["Marker"])
    names = [user["UserName"] for page in (first, second, third) for user in page["Users"]]
    assert names == ["u0", "u1", "u2", "u3", "u4"]
    assert [page["IsTruncated"] for page in (first, second, third)] == [True, True, False]
    assert "Marker" not in third
    for marker in ("?", "gICA"):
        assert await refused(iam("ListUsers", Marker=marker)) == "ValidationError"


async def test_the_caller_itself() -> None:
    """GetUser without a name describes the caller; a role's session must name a user."""
    iam = IamCaller()
    anna = await iam.user(document=policy("iam:GetUser"))
    assert (await iam("GetUser", anna))["User"]["UserName"] == "anna"
    root = (await iam("GetUser"))["User"]
    assert (root["Arn"], root["UserName"]) == (f"arn:aws:iam::{ACCOUNT}:root", "root")
    assert (root["Path"], root["UserId"]) == ("/", ACCOUNT)
    assert root["CreateDate"].timestamp() == 0
    session = msgspec.structs.replace(anna, type=PrincipalType.ASSUMED_ROLE, user_name=None)
    assert await refused(iam("GetUser", session)) == "ValidationError"


async def test_tags() -> None:
    """Tags are added, listed by key and removed; bad ones are refused as a whole."""
    iam = IamCaller()
    await iam("CreateUser", UserName="anna")
    await iam(
        "TagUser", UserName="anna", Tags=[{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "ü"}]
    )
    await iam("UntagUser", UserName="anna", TagKeys=["b", "none"])
    assert (await iam("ListUserTags", UserName="anna"))["Tags"] == [{"Key": "a", "Value": "ü"}]
    for keys, code in ((["aws:x"], "ValidationError"), (["x", "X"], "InvalidInput")):
        tags = [{"Key": key, "Value": ""} for key in keys]
        assert await refused(iam("TagUser", UserName="anna", Tags=tags)) == code


async def test_tags_of_policies_and_groups_of_users() -> None:
    """A policy's tags are listed; a user that is there has no groups."""
    iam = IamCaller()
    tags: Any = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    made = await iam("CreatePolicy", PolicyName="p", PolicyDocument=CREATE_ROOM, Tags=tags)
    arn = made["Policy"]["Arn"]
    assert (await iam("ListPolicyTags", PolicyArn=arn))["Tags"] == tags
    await iam("CreateUser", UserName="u")
    answer = await iam("ListGroupsForUser", UserName="u")
    assert (answer["Groups"], answer["IsTruncated"]) == ([], False)
    assert await refused(iam("ListGroupsForUser", UserName="none")) == "NoSuchEntity"


async def test_what_is_not_supported_is_refused() -> None:
    """A permissions boundary is refused, for ignoring it would grant too much."""
    iam = IamCaller()
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/p"
    creating = iam("CreateUser", UserName="u", PermissionsBoundary=boundary)
    assert await refused(creating) == "InvalidInput"
    assert await refused(iam("CreateGroup", GroupName="g")) == "InvalidAction"


# ----------------------------------------------------------------------------------------- keys


async def test_life_of_a_key() -> None:
    """A key is made with its secret once, listed, switched off and deleted; two at most."""
    iam = IamCaller()
    await iam("CreateUser", UserName="anna")
    key = (await iam("CreateAccessKey", UserName="anna"))["AccessKey"]
    caller = await iam.resolver.resolve(key["AccessKeyId"], None)
    assert caller.secret_access_key == key["SecretAccessKey"]
    assert caller.principal.user_name == "anna"
    assert len(key["SecretAccessKey"]) == 40
    await iam("CreateAccessKey", UserName="anna")
    assert await refused(iam("CreateAccessKey", UserName="anna")) == "LimitExceeded"
    named: dict[str, Any] = {"UserName": "anna", "AccessKeyId": key["AccessKeyId"]}
    await iam("UpdateAccessKey", Status="Inactive", **named)
    listed = (await iam("ListAccessKeys", UserName="anna"))["AccessKeyMetadata"]
    assert [each["Status"] for each in listed] == ["Inactive", "Active"]
    assert "SecretAccessKey" not in listed[0]
    used = await iam("GetAccessKeyLastUsed", AccessKeyId=key["AccessKeyId"])
    assert used == {
        "UserName": "anna",
        "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"},
    }
    assert await refused(iam("DeleteUser", UserName="anna")) == "DeleteConflict"
    await iam("DeleteAccessKey", **named)
    assert await refused(iam("DeleteAccessKey", **named)) == "NoSuchEntity"
    expired = iam("UpdateAccessKey", UserName="anna", AccessKeyId="A" * 20, Status="Expired")
    assert await refused(expired) == "ValidationError"


async def test_a_use_of_a_key_is_noted() -> None:
    """Whose signature was good, for which service and region: what GetAccessKeyLastUsed shows."""
    iam = IamCaller()
    await iam("CreateUser", UserName="anna")
    key = (await iam("CreateAccessKey", UserName="anna"))["AccessKey"]
    await iam("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=policy("iam:*"))
    await iam("GetUser", await iam.resolver.resolve(key["AccessKeyId"], None))
    await iam.known.write_last_used(iam.store.identities.record_last_used)
    used = (await iam("GetAccessKeyLastUsed", AccessKeyId=key["AccessKeyId"]))["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("iam", REGION)
    assert used["LastUsedDate"].timestamp() == int(iam.time.clock.now())


async def test_own_keys() -> None:
    """A user's own keys need no name; the root must name a user."""
    iam = IamCaller()
    anna = await iam.user(
        document=policy("iam:*AccessKey*", resource="arn:aws:iam::*:user/${aws:username}")
    )
    key = (await iam("CreateAccessKey", anna))["AccessKey"]
    assert key["UserName"] == "anna"
    assert len((await iam("ListAccessKeys", anna))["AccessKeyMetadata"]) == 1
    await iam("GetAccessKeyLastUsed", anna, AccessKeyId=key["AccessKeyId"])
    await iam("CreateUser", UserName="bert")
    other = (await iam("CreateAccessKey", UserName="bert"))["AccessKey"]
    using = iam("GetAccessKeyLastUsed", anna, AccessKeyId=other["AccessKeyId"])
    assert await refused(using) == "AccessDenied"
    assert await refused(iam("ListAccessKeys", anna, UserName="bert")) == "AccessDenied"
    assert await refused(iam("CreateAccessKey")) == "ValidationError"


async def test_keys_of_other_accounts_are_not_there() -> None:
    """Nothing is told of one, not even to the root."""
    iam, theirs, key_id = IamCaller(), "210987654321", "AKIAEVEEVEEVEEVEEVE1"
    await iam.store.identities.create_user(
        User(account=theirs, name="eve", id="AIDAEVE", create_date=0)
    )
    await iam.store.identities.create_access_key(
        AccessKey(
            access_key_id=key_id,
            account=theirs,
            user_name="eve",
            sealed_secret=b"",
            create_date=0,
        )
    )
    assert await refused(iam("GetAccessKeyLastUsed", AccessKeyId=key_id)) == "NoSuchEntity"
    other = key_id.replace("1", "2")
    assert await refused(iam("GetAccessKeyLastUsed", AccessKeyId=other)) == "NoSuchEntity"


# ------------------------------------------------------------------------------------- policies


@pytest.mark.parametrize("kind", ["User", "Role"])
async def test_inline_policies(kind: str) -> None:
    """An inline policy is put, replaced, shown as it was given, listed and deleted."""
    iam = IamCaller()
    await iam("CreateUser", UserName="x")
    await iam("CreateRole", RoleName="x", AssumeRolePolicyDocument=trust())
    holder: dict[str, Any] = {f"{kind}Name": "x"}
    named = {**holder, "PolicyName": "p"}
    bad = iam(f"Put{kind}Policy", PolicyDocument='{"Statement": []}', **named)
    assert await refused(bad) == "MalformedPolicyDocument"
    await iam(f"Put{kind}Policy", PolicyDocument=policy("ivschat:*"), **named)
    await iam(f"Put{kind}Policy", PolicyDocument=CREATE_ROOM, **named)
    found = await iam(f"Get{kind}Policy", **named)
    assert found == {**named, "PolicyDocument": found["PolicyDocument"]}
    assert unquote(found["PolicyDocument"]) == CREATE_ROOM
    assert (await iam(f"List{kind}Policies", **holder))["PolicyNames"] == ["p"]
    assert await refused(iam(f"Delete{kind}", **holder)) == "DeleteConflict"
    await iam(f"Delete{kind}Policy", **named)
    assert await refused(iam(f"Get{kind}Policy", **named)) == "NoSuchEntity"
    await iam(f"Delete{kind}", **holder)


async def test_managed_policies_and_versions() -> None:
    """A managed policy has up to five versions, one of which is the default."""
    iam = IamCaller()
    named: dict[str, Any] = {"PolicyName": "p", "Description": "what p is for"}
    made = (await iam("CreatePolicy", **named, PolicyDocument=CREATE_ROOM))["Policy"]
    arn = made["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/p"
    assert (await iam("GetPolicy", PolicyArn=arn))["Policy"].items() >= named.items()
    assert (made["IsAttachable"], made["PermissionsBoundaryUsageCount"]) == (True, 0)
    for number in range(2, 6):
        document = policy(f"ivschat:Get{number}")
        await iam(
            "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=document, SetAsDefault=number == 3
        )
    wrong = iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument="{}")
    assert await refused(wrong) == "MalformedPolicyDocument"
    sixth = iam("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=CREATE_ROOM)
    assert await refused(sixth) == "LimitExceeded"
    versions = (await iam("ListPolicyVersions", PolicyArn=arn))["Versions"]
    assert [each["VersionId"] for each in versions] == ["v5", "v4", "v3", "v2", "v1"]
    assert [each["IsDefaultVersion"] for each in versions].index(True) == 2
    deleting = iam("DeletePolicyVersion", PolicyArn=arn, VersionId="v3")
    assert await refused(deleting) == "DeleteConflict"
    await iam("SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v1")
    version = (await iam("GetPolicyVersion", PolicyArn=arn, VersionId="v1"))["PolicyVersion"]
    assert unquote(version["Document"]) == CREATE_ROOM
    assert version["IsDefaultVersion"]
    assert await refused(iam("DeletePolicy", PolicyArn=arn)) == "DeleteConflict"
    for gone in ("v2", "v3", "v4", "v5"):
        assert await refused(iam("DeletePolicy", PolicyArn=arn)) == "DeleteConflict"
        await iam("DeletePolicyVersion", PolicyArn=arn, VersionId=gone)
    getting = iam("GetPolicyVersion", PolicyArn=arn, VersionId="v2")
    assert await refused(getting) == "NoSuchEntity"
    await iam("DeletePolicy", PolicyArn=arn)
    assert await refused(iam("GetPolicy", PolicyArn=arn)) == "NoSuchEntity"


async def test_too_long_policies() -> None:
    """Documents have AWS's lengths."""
    iam = IamCaller()
    long = policy(*(f"ivschat:Get{number:020}" for number in range(300)))
    assert (
        await refused(iam("CreatePolicy", PolicyName="p", PolicyDocument=long)) == "LimitExceeded"
    )
    await iam("CreateUser", UserName="u")
    putting = iam("PutUserPolicy", UserName="u", PolicyName="p", PolicyDocument=long)
    assert await refused(putting) == "LimitExceeded"
    creating = iam(
        "CreateRole",
        RoleName="r",
        AssumeRolePolicyDocument=trust(["1" * 12] * 0, *[f"sts:A{n:020}" for n in range(100)]),
    )
    assert await refused(creating) == "LimitExceeded"


async def test_attachments() -> None:
    """A managed policy is attached to users and roles, and both sides say so."""
    iam = IamCaller()
    await iam("CreateUser", UserName="u")
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust())
    made = await iam("CreatePolicy", PolicyName="p", Path="/x/", PolicyDocument=CREATE_ROOM)
    arn = made["Policy"]["Arn"]
    await iam("AttachUserPolicy", UserName="u", PolicyArn=arn)
    await iam("AttachRolePolicy", RoleName="r", PolicyArn=arn)
    listed = await iam("ListAttachedUserPolicies", UserName="u", PathPrefix="/x/")
    assert listed["AttachedPolicies"] == [{"PolicyName": "p", "PolicyArn": arn}]
    listed = await iam("ListAttachedRolePolicies", RoleName="r", PathPrefix="/y/")
    assert listed["AttachedPolicies"] == []
    entities = await iam("ListEntitiesForPolicy", PolicyArn=arn)
    assert [each["UserName"] for each in entities["PolicyUsers"]] == ["u"]
    assert [each["RoleName"] for each in entities["PolicyRoles"]] == ["r"]
    entities = await iam("ListEntitiesForPolicy", PolicyArn=arn, EntityFilter="Role")
    assert entities["PolicyUsers"] == []
    assert (await iam("GetPolicy", PolicyArn=arn))["Policy"]["AttachmentCount"] == 2
    assert await refused(iam("DeletePolicy", PolicyArn=arn)) == "DeleteConflict"
    await iam("DetachUserPolicy", UserName="u", PolicyArn=arn)
    entities = await iam("ListEntitiesForPolicy", PolicyArn=arn)
    assert (entities["PolicyUsers"], len(entities["PolicyRoles"])) == ([], 1)
    assert await refused(iam("DetachUserPolicy", UserName="u", PolicyArn=arn)) == "NoSuchEntity"
    await iam("DetachRolePolicy", RoleName="r", PolicyArn=arn)
    await iam("CreatePolicy", PolicyName="q", PolicyDocument=CREATE_ROOM)
    assert len((await iam("ListPolicies", Scope="Local"))["Policies"]) == 2
    assert (await iam("ListPolicies", Scope="AWS"))["Policies"] == []
    assert await refused(iam("ListPolicies", Scope="AWS", Marker="!")) == "ValidationError"
    for usage, count in (("PermissionsPolicy", 2), ("PermissionsBoundary", 0)):
        assert len((await iam("ListPolicies", PolicyUsageFilter=usage))["Policies"]) == count
    assert (await iam("ListPolicies", OnlyAttached=True))["Policies"] == []


# ---------------------------------------------------------------------------------------- roles


async def test_life_of_a_role() -> None:
    """A role has a trust policy, a description and a longest session, all of which can change."""
    iam = IamCaller()
    bad = iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=CREATE_ROOM)
    assert await refused(bad) == "MalformedPolicyDocument"
    made = await iam(
        "CreateRole", RoleName="r", AssumeRolePolicyDocument=trust(), Description="d", Path="/a/"
    )
    role = made["Role"]
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/a/r"
    assert role["RoleId"].startswith("AROA")
    assert role["MaxSessionDuration"] == 3600
    await iam("UpdateRole", RoleName="r", MaxSessionDuration=7200)
    changed = trust({"AWS": "210987654321"})
    await iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=changed)
    found = (await iam("GetRole", RoleName="r"))["Role"]
    assert (found["Description"], found["MaxSessionDuration"]) == ("d", 7200)
    assert unquote(found["AssumeRolePolicyDocument"]) == changed
    await iam("UpdateRole", RoleName="r", Description="")
    await iam("TagRole", RoleName="r", Tags=[{"Key": "k", "Value": "v"}])
    found = (await iam("GetRole", RoleName="r"))["Role"]
    assert found["Tags"] == [{"Key": "k", "Value": "v"}]
    assert ("Description" in found, found["MaxSessionDuration"]) == (False, 7200)
    assert [each["RoleName"] for each in (await iam("ListRoles"))["Roles"]] == ["r"]
    await iam("DeleteRole", RoleName="r")
    assert await refused(iam("GetRole", RoleName="r")) == "NoSuchEntity"


# --------------------------------------------------------------------------------- authorization


async def test_who_may_what() -> None:
    """A user needs a policy for the operation and the resource; the sentence says so."""
    iam = IamCaller()
    await iam("CreateUser", UserName="bert", Path="/team/")
    anna = await iam.user(
        document=policy("iam:GetUser", "iam:ListUsers", resource="arn:aws:iam::*:user/team/*")
    )
    await iam("GetUser", anna, UserName="bert")
    with pytest.raises(Refused) as error:
        await iam("DeleteUser", anna, UserName="bert")
    assert error.value.status == 403
    assert error.value.message == (
        f"User: arn:aws:iam::{ACCOUNT}:user/anna is not authorized to perform: iam:DeleteUser on"
        f" resource: arn:aws:iam::{ACCOUNT}:user/team/bert because no identity-based policy allows"
        " the iam:DeleteUser action"
    )
    assert await refused(iam("GetUser", anna, UserName="nobody")) == "AccessDenied"
    assert await refused(iam("CreatePolicy", anna, PolicyName="p", PolicyDocument="x")) == (
        "AccessDenied"
    )


@pytest.mark.parametrize("name", ["admin", "ADMIN", "Admin"])
async def test_the_case_of_a_name_changes_no_decision(name: str) -> None:
    """A policy is asked about the user or role by its own name, however a request writes it."""
    iam = IamCaller()
    await iam("CreateUser", UserName="Admin", Path="/ops/")
    await iam("CreateRole", RoleName="Admin", Path="/ops/", AssumeRolePolicyDocument=trust())
    own = [f"arn:aws:iam::{ACCOUNT}:{kind}/ops/Admin" for kind in ("user", "role")]
    all_but = {"Effect": "Deny", "Action": ["iam:*"], "Resource": own}
    kept_out = await iam.user("bob", document_of(ALLOW_ALL, all_but))
    for operation, of in (("CreateAccessKey", "UserName"), ("ListRolePolicies", "RoleName")):
        assert await refused(iam(operation, kept_out, **{of: name})) == "AccessDenied"
    let_in = await iam.user("carl", policy("iam:*", resource=own))
    await iam("CreateAccessKey", let_in, UserName=name)
    await iam("ListRolePolicies", let_in, RoleName=name)
    shouting = [arn.replace("Admin", "ADMIN") for arn in own]
    misled = await iam.user("dora", policy("iam:*", resource=shouting))
    assert await refused(iam("CreateAccessKey", misled, UserName=name)) == "AccessDenied"


async def test_tags_and_policies_in_conditions() -> None:
    """Policies can ask for tags of the request and the resource, and for the attached policy."""
    iam = IamCaller()
    arn = (await iam("CreatePolicy", PolicyName="p", PolicyDocument=CREATE_ROOM))["Policy"]["Arn"]
    await iam("CreateUser", UserName="mine", Tags=[{"Key": "team", "Value": "a"}])
    await iam("CreateUser", UserName="other")
    deleting = policy("iam:DeleteUser", Condition={"StringEquals": {"aws:ResourceTag/team": "a"}})
    anna = await iam.user("anna", deleting)
    assert await refused(iam("DeleteUser", anna, UserName="other")) == "AccessDenied"
    attaching = policy("iam:AttachUserPolicy", Condition={"ArnEquals": {"iam:PolicyARN": arn}})
    bert = await iam.user("bert", attaching)
    await iam("AttachUserPolicy", bert, UserName="other", PolicyArn=arn)
    another = iam("AttachUserPolicy", bert, UserName="other", PolicyArn=arn + "2")
    assert await refused(another) == "AccessDenied"
    await iam("DeleteUser", anna, UserName="mine")
    team = {"StringEquals": {"aws:RequestTag/team": "a"}}
    creating = policy("iam:CreateUser", "iam:TagUser", Condition=team)
    carl = await iam.user("carl", creating)
    assert await refused(iam("CreateUser", carl, UserName="new")) == "AccessDenied"
    await iam("CreateUser", carl, UserName="new", Tags=[{"Key": "team", "Value": "a"}])


async def test_lists_are_about_nothing_in_particular() -> None:
    """Who may list may do it whatever there is, by a permission for `*` and for no single one."""
    iam = IamCaller()
    anna = await iam.user("anna", policy("iam:ListUsers", "iam:ListPolicies"))
    bert = await iam.user("bert", policy("iam:ListUsers", resource=anna.arn))
    assert [each["UserName"] for each in (await iam("ListUsers", anna))["Users"]] == [
        "anna",
        "bert",
    ]
    assert (await iam("ListPolicies", anna))["Policies"] == []
    assert await refused(iam("ListUsers", bert)) == "AccessDenied"


@pytest.mark.parametrize("key", ["aws:ResourceTag/team", "iam:ResourceTag/team"])
async def test_tags_of_each_kind(key: str) -> None:
    """They are those of the kind that is asked for, whatever else has that name."""
    iam = IamCaller()
    tags: Any = [{"Key": "team", "Value": "a"}]
    others: Any = [{"Key": "team", "Value": "b"}]
    for kind, own, other in (("user", tags, others), ("role", others, tags)):
        trusting: Any = {"AssumeRolePolicyDocument": trust()}
        await iam("CreateUser", UserName=kind, Tags=own)
        await iam("CreateRole", RoleName=kind, Tags=other, **trusting)
    made = await iam("CreatePolicy", PolicyName="p", PolicyDocument=CREATE_ROOM, Tags=tags)
    arn = made["Policy"]["Arn"]
    team = {"StringEquals": {key: "a"}}
    asking = policy("iam:Get*", "iam:CreateUser", "iam:CreateRole", Condition=team)
    anna = await iam.user("anna", asking)
    await iam("GetUser", anna, UserName="user")
    await iam("GetRole", anna, RoleName="role")
    await iam("GetPolicy", anna, PolicyArn=arn)
    for refusing in (
        iam("GetUser", anna, UserName="role"),
        iam("GetRole", anna, RoleName="user"),
        iam("GetUser", anna),
        iam("GetUser", anna, UserName="nobody"),
        iam("GetRole", anna, RoleName="nobody"),
        iam("CreateUser", anna, UserName="user"),
        iam("CreateRole", anna, RoleName="role", AssumeRolePolicyDocument=trust()),
    ):
        assert await refused(refusing) == "AccessDenied"
    await iam("TagUser", UserName="anna", Tags=tags)
    assert (await iam("GetUser", anna))["User"]["UserName"] == "anna"
    made = await iam("CreatePolicy", PolicyName="other", PolicyDocument=CREATE_ROOM, Tags=others)
    assert await refused(iam("GetPolicy", anna, PolicyArn=made["Policy"]["Arn"])) == "AccessDenied"


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("User", {"UserName": "new", "Path": "/ops/"}),
        ("Role", {"RoleName": "new", "Path": "/ops/", "AssumeRolePolicyDocument": trust()}),
        ("Policy", {"PolicyName": "new", "Path": "/ops/", "PolicyDocument": CREATE_ROOM}),
    ],
)
async def test_tags_on_what_is_created_need_a_permission_of_their_own(
    kind: str, parameters: dict[str, Any]
) -> None:
    """Who may create but not tag cannot mint tags that policies trust; a Deny holds here, too."""
    iam = IamCaller()
    create, tag = f"iam:Create{kind}", f"iam:Tag{kind}"
    tags: dict[str, Any] = {"Tags": [{"Key": "team", "Value": "admins"}]}
    creator = await iam.user("creator", policy(create))
    deny = {"Effect": "Deny", "Action": [tag], "Resource": "*"}
    forbidden = await iam.user("forbidden", document_of(ALLOW_ALL, deny))
    elsewhere = f"arn:aws:iam::{ACCOUNT}:{kind.lower()}/other/new"
    of_another = {"Effect": "Allow", "Action": [tag], "Resource": elsewhere}
    allow = {"Effect": "Allow", "Action": [create], "Resource": "*"}
    misplaced = await iam.user("misplaced", document_of(allow, of_another))
    for refused_one in (creator, forbidden, misplaced):
        with pytest.raises(Refused, match=f"not authorized to perform: {tag} on resource: arn:"):
            await iam(f"Create{kind}", refused_one, **parameters, **tags)
    allowed = await iam.user("allowed", policy(create, tag))
    await iam(f"Create{kind}", allowed, **parameters, **tags)
    untagged = {name: text if "Name" not in name else "plain" for name, text in parameters.items()}
    await iam(f"Create{kind}", creator, **untagged)


# ------------------------------------------------------------------------------------ simulation


async def test_simulate_principal_policy() -> None:
    """A user's inline and managed policies are asked, with the given ones and the given context."""
    iam = IamCaller()
    await iam("CreateUser", UserName="u", Tags=[{"Key": "team", "Value": "a"}])
    own = policy("ivschat:Get*", Condition={"StringEquals": {"aws:PrincipalTag/team": "a"}})
    await iam("PutUserPolicy", UserName="u", PolicyName="own", PolicyDocument=own)
    deny = policy("ivschat:DeleteRoom", effect="Deny")
    arn = (await iam("CreatePolicy", PolicyName="deny", PolicyDocument=deny))["Policy"]["Arn"]
    await iam("AttachUserPolicy", UserName="u", PolicyArn=arn)
    answer = await iam(
        "SimulatePrincipalPolicy",
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/u",
        ActionNames=["ivschat:GetRoom", "ivschat:DeleteRoom", "ivschat:CreateRoom", "ivschat:X"],
        PolicyInputList=[
            policy("ivschat:X", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})
        ],
        ContextEntries=[
            {
                "ContextKeyName": "aws:SourceIp",
                "ContextKeyValues": ["192.0.2.7"],
                "ContextKeyType": "ip",
            }
        ],
    )
    results = {each["EvalActionName"]: each for each in answer["EvaluationResults"]}
    assert [each["EvalDecision"] for each in results.values()] == [
        "allowed",
        "explicitDeny",
        "implicitDeny",
        "allowed",
    ]
    matched = [
        [statement["SourcePolicyId"] for statement in each["MatchedStatements"]]
        for each in results.values()
    ]
    assert matched == [["user_u_own"], ["deny"], [], ["PolicyInputList.1"]]


async def test_who_is_simulated() -> None:
    """A user has a name and a role has none; their types differ, as in their own requests."""
    iam = IamCaller()
    await iam("CreateUser", UserName="u")
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust())
    asked = policy(
        "a:b", Condition={"StringEquals": {"aws:PrincipalType": "User", "aws:username": "u"}}
    )
    role = policy("a:b", Condition={"StringEquals": {"aws:PrincipalType": "AssumedRole"}})
    for name in ("user/u", "role/r"):
        for other, document in (("user/u", asked), ("role/r", role)):
            answer = await iam(
                "SimulatePrincipalPolicy",
                PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:{name}",
                PolicyInputList=[document],
                ActionNames=["a:b"],
            )
            (result,) = answer["EvaluationResults"]
            assert (result["EvalDecision"] == "allowed") is (name == other), (name, other)


async def test_as_much_as_can_be_simulated() -> None:
    """White space counts here, as it came."""
    iam = IamCaller()
    asked = CREATE_ROOM.ljust(131_072)
    await iam("SimulateCustomPolicy", PolicyInputList=[asked], ActionNames=["a:b"])
    asking = iam("SimulateCustomPolicy", PolicyInputList=[asked[:-1], "{}"], ActionNames=["a:b"])
    assert await refused(asking) == "InvalidInput"


async def test_requests_have_a_rate() -> None:
    """Those of IAM and of STS, of each caller, as the quotas say."""
    iam = IamCaller()
    quotas = Quotas(RateProfile.OFF, {caller_rate_name(each): 3 for each in ("iam", "sts")})
    accounts = Accounts(iam.store.identities, MemoryBus(), iam.time.clock)
    iam.pipeline = Pipeline(iam.known, accounts, iam.time.clock, quotas, Metrics())
    for service, operation in (("iam", "ListUsers"), ("sts", "GetCallerIdentity")):
        for _ in range(3):
            await iam(operation, service=service)
        assert await refused(iam(operation, service=service)) == "Throttling"


async def test_large_simulations() -> None:
    """The policies of one simulation have a largest size together."""
    iam = IamCaller()
    long = policy(*(f"ivschat:Get{number:020}" for number in range(2000)))
    simulating = iam("SimulateCustomPolicy", PolicyInputList=[long, long], ActionNames=["a:b"])
    assert await refused(simulating) == "InvalidInput"


def counted(iam: IamCaller) -> IamCaller:
    """Let each look at the clock be a microsecond of CPU time."""
    looks = itertools.count()
    turns = LongWork(lambda: next(looks) / 1_000_000)
    iam.serve(msgspec.structs.replace(iam.services, simulations=turns))
    return iam


@pytest.mark.parametrize(
    ("policies", "values", "what"),
    [
        (100, 200, "of ivschat:GetRoom on \\* takes"),
        (300, 1, None),
    ],
)
async def test_simulations_have_a_budget(policies: int, values: int, what: str | None) -> None:
    """What takes too long is refused by its name, with the pair; others go on."""
    iam = counted(IamCaller())
    asked = [f"{number:05}*" for number in range(policies)]
    condition = {"ForAllValues:StringLike": {"aws:thing": asked}}
    entry = {
        "ContextKeyName": "aws:thing",
        "ContextKeyValues": [f"{policies - 1:05}x"] * values,
        "ContextKeyType": "stringList",
    }
    simulating = iam(
        "SimulateCustomPolicy",
        PolicyInputList=[policy("ivschat:Get*", Condition=condition)],
        ActionNames=["ivschat:GetRoom"],
        ContextEntries=[entry],
    )
    if what is None:
        assert (await simulating)["EvaluationResults"][0]["EvalDecision"] == "allowed"
        return
    with pytest.raises(Refused, match=what) as refusal:
        await simulating
    assert (refusal.value.code, refusal.value.status) == ("InvalidInput", 400)
    answer = await iam(
        "SimulateCustomPolicy", PolicyInputList=[CREATE_ROOM], ActionNames=["ivschat:CreateRoom"]
    )
    assert answer["EvaluationResults"][0]["EvalDecision"] == "allowed"


async def test_a_policy_that_takes_long_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused by the name that results have for it."""
    monkeypatch.setattr(simulation, "STEP_SECONDS", 0.0001)
    long = policy(*(f"ivschat:Get{number:03}*" for number in range(200)))
    simulating = counted(IamCaller())(
        "SimulateCustomPolicy", PolicyInputList=[CREATE_ROOM, long], ActionNames=["a:b"]
    )
    with pytest.raises(Refused, match=r"of PolicyInputList\.2 takes too long"):
        await simulating


async def test_reading_a_policy_and_making_it_ready_are_two_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each may take the time of a step, for every policy."""
    seconds = [0.0]

    def spend(check: Any) -> None:
        seconds[0] += 0.9 * simulation.STEP_SECONDS
        check()

    def parsed(text: str, characters: int, check: Any) -> Any:
        spend(check)
        return parse_identity_policy(text, characters, check)

    def made(id_: str, document: Any, check: Any) -> Any:
        spend(check)
        return CompiledPolicy(id_, document, check)

    monkeypatch.setattr(simulation, "parse_identity_policy", parsed)
    monkeypatch.setattr(simulation, "CompiledPolicy", made)
    iam = IamCaller()
    work = LongWork(lambda: seconds[0])
    iam.serve(msgspec.structs.replace(iam.services, simulations=work))
    answer = await iam(
        "SimulateCustomPolicy", PolicyInputList=[CREATE_ROOM] * 2, ActionNames=["a:b"]
    )
    assert len(answer["EvaluationResults"]) == 1


async def test_all_pairs_of_a_simulation_have_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pairs that are quick have an end, too."""
    monkeypatch.setattr(simulation, "TOTAL_SECONDS", 0.01)
    iam = counted(IamCaller())
    simulating = iam(
        "SimulateCustomPolicy",
        PolicyInputList=[policy(*(f"ivschat:Get{number:03}*" for number in range(300)))] * 5,
        ActionNames=[f"ivschat:{number}" for number in range(1_000)],
        MaxItems=1_000,
    )
    assert await refused(simulating) == "InvalidInput"


async def test_a_marker_far_away_is_found_at_once() -> None:
    """A page begins where it begins, without a walk through all pairs before it."""
    iam = IamCaller()
    names = [f"ivschat:{number}" for number in range(2_000)]
    answer = await iam(
        "SimulateCustomPolicy",
        PolicyInputList=[CREATE_ROOM],
        ActionNames=names,
        ResourceArns=[f"arn:aws:ivschat:::{number}" for number in range(2_000)],
        Marker=base64.urlsafe_b64encode(b"3999999").decode(),
    )
    (last,) = answer["EvaluationResults"]
    assert (last["EvalActionName"], last["EvalResourceName"]) == (
        names[-1],
        "arn:aws:ivschat:::1999",
    )
    assert not answer["IsTruncated"]


@pytest.mark.parametrize(
    ("values", "type_", "decision"),
    [
        (["a"], "string", "allowed"),
        (["b"], "string", "implicitDeny"),
        (["a"], "stringList", "implicitDeny"),  # a list, though a short one
        (["a", "a"], "string", "implicitDeny"),  # a list, whatever it is said to be
        (["a" * 4_096], "string", "implicitDeny"),
        ([], "stringList", "implicitDeny"),
    ],
)
async def test_the_values_of_an_entry(values: list[str], type_: str, decision: str) -> None:
    """One value can stand for a variable, unless its entry says that it is a list."""
    entry = {"ContextKeyName": "AWS:Thing", "ContextKeyValues": values, "ContextKeyType": type_}
    condition = {"StringEquals": {"aws:other": "${aws:thing}"}}
    answer = await IamCaller()(
        "SimulateCustomPolicy",
        PolicyInputList=[policy("a:b", Condition=condition)],
        ActionNames=["a:b"],
        ContextEntries=[{"ContextKeyName": "aws:other", "ContextKeyValues": ["a"]}, entry],
    )
    assert answer["EvaluationResults"][0]["EvalDecision"] == decision


@pytest.mark.parametrize(
    "given",
    [
        {"PermissionsBoundaryPolicyInputList": [CREATE_ROOM]},
        {"ResourcePolicy": CREATE_ROOM},
    ],
)
async def test_what_is_not_simulated(given: dict[str, Any]) -> None:
    """A policy of a kind that is not served is refused: without it the answer would be wrong."""
    simulating = IamCaller()(
        "SimulateCustomPolicy", PolicyInputList=[CREATE_ROOM], ActionNames=["a:b"], **given
    )
    with pytest.raises(Refused, match=f"{next(iter(given))} is not supported") as refusal:
        await simulating
    assert refusal.value.code == "InvalidInput"


@pytest.mark.parametrize("missing", ["ContextKeyName", "ContextKeyValues"])
async def test_half_an_entry(missing: str) -> None:
    """An entry has a name and values."""
    entry = {"ContextKeyName": "aws:thing", "ContextKeyValues": ["a"], "ContextKeyType": "string"}
    del entry[missing]
    simulating = IamCaller()(
        "SimulateCustomPolicy",
        PolicyInputList=[CREATE_ROOM],
        ActionNames=["a:b"],
        ContextEntries=[entry],
    )
    with pytest.raises(Refused, match="needs ContextKeyName and ContextKeyValues"):
        await simulating


@pytest.mark.parametrize(
    "given",
    [
        {"PolicyInputList": [policy(*(f"ivschat:Get{number:020}" for number in range(400)))]},
        {
            "ContextEntries": [
                {"ContextKeyName": "aws:thing", "ContextKeyValues": ["x" * 4_097, "x"]}
            ]
        },
    ],
)
async def test_what_is_too_large_to_be_simulated(given: dict[str, Any]) -> None:
    """A policy that nobody could have, and a value that no request has, are refused."""
    iam = IamCaller()
    given = {"PolicyInputList": [CREATE_ROOM], **given}
    code = await refused(iam("SimulateCustomPolicy", ActionNames=["a:b"], **given))
    assert code in {"InvalidInput", "MalformedPolicyDocument"}


async def test_a_long_inline_policy_is_not_parsed() -> None:
    """It is refused by its length, which is known at once."""
    iam = IamCaller()
    await iam("CreateUser", UserName="u")
    long = policy(*(f"ivschat:Get{number:020}" for number in range(3000)))
    putting = iam("PutUserPolicy", UserName="u", PolicyName="p", PolicyDocument=long)
    assert await refused(putting) == "LimitExceeded"


async def test_simulations_in_pages() -> None:
    """Actions times resources are cut into pages."""
    iam = IamCaller()
    parameters: dict[str, Any] = {
        "PolicyInputList": [CREATE_ROOM],
        "ActionNames": ["ivschat:A", "ivschat:B", "ivschat:CreateRoom"],
        "ResourceArns": ["arn:aws:ivschat:::1", "arn:aws:ivschat:::2"],
        "MaxItems": 4,
    }
    first = await iam("SimulateCustomPolicy", **parameters)
    second = await iam("SimulateCustomPolicy", Marker=first["Marker"], **parameters)
    results = first["EvaluationResults"] + second["EvaluationResults"]
    assert [(each["EvalActionName"][-1], each["EvalResourceName"][-1]) for each in results] == [
        *(("A", "1"), ("A", "2"), ("B", "1"), ("B", "2")),
        *(("m", "1"), ("m", "2")),
    ]
    assert [each["EvalDecision"] for each in results][-2:] == ["allowed", "allowed"]
    assert not second["IsTruncated"]


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/none", "NoSuchEntity"),
        (f"arn:aws:iam::{ACCOUNT}:user/other/known", "NoSuchEntity"),
        (f"arn:aws:iam::{ACCOUNT}:group/group", "InvalidInput"),
        ("arn:aws:iam::210987654321:user/u", "InvalidInput"),
        ("x" * 20, "InvalidInput"),
    ],
)
async def test_simulating_others(arn: str, code: str) -> None:
    """Only users and roles of the own account can be simulated, by their whole ARN."""
    iam = IamCaller()
    await iam("CreateUser", UserName="known")
    simulating = iam("SimulatePrincipalPolicy", PolicySourceArn=arn, ActionNames=["a:b"])
    assert await refused(simulating) == code
